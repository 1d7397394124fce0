"""Which layers a page has, and in which steps."""

from typing import Any

import numpy as np
import xarray as xr

from regard.axes import STEP
from regard.trace import Trace
from regard.trace.labels import of_words
from regard.views.tiles import Tiles

ONE_LOOK = [{"label": "0", "text": "one look", "python": "0"}]
"""The steps of an image of one's own."""


def shown_layers(
    trace: Trace,
) -> tuple[dict[str, xr.DataArray], dict[str, xr.DataArray], list[str]]:
    """The layers of words and of patches that a page has, in the steps that all ran in.

    Returns:
        Both by name, and what the page says of what it leaves out.

    Example:
        >>> from regard.trace import toy_trace
        >>> words, patches, notices = shown_layers(toy_trace())
        >>> len(words), patches, notices
        (2, {}, [])
    """
    words = {name: each for name, each in trace.layers.items() if of_words(each)}
    patches = trace.self_attention
    own = {name: each for name, each in patches.items() if each.attrs["kind"] != "pool"}
    notices = []
    if own and len(own) < len(patches):
        notices.append(
            'The pooling head is not on this page; ask the trace: trace.attention("probe").'
        )
    patches = own or patches
    shared = set.intersection(*map(_steps, (words or patches).values()))
    if not shared:
        return words, patches, notices  # refused where maps are made
    if any(_steps(each) != shared for each in words.values()):
        notices.append(
            "Some layers did not run in every step, as caches do. The page has the "
            f"{len(shared)} steps in which all ran. The trace has them all."
        )
    there = {name: each for name, each in patches.items() if _steps(each) >= shared}
    if len(there) < len(patches):
        notices.append("Layers whose patches were not seen at these steps are not on this page.")
    return _only(words, shared), _only(there, shared), notices


def _steps(layer: xr.DataArray) -> set[int]:
    return {int(step) for step in layer[STEP].values}


def _only(layers: dict[str, xr.DataArray], steps: set[int]) -> dict[str, xr.DataArray]:
    """Layers in some of their steps."""
    return {
        name: each if _steps(each) == steps else each.sel({STEP: sorted(steps)})
        for name, each in layers.items()
    }


def steps_of(layer: xr.DataArray, tiles: Tiles) -> list[dict[str, Any]]:
    """The steps of the maps with their times, as the page names them."""
    times = layer.coords.get("timestep")
    at = {
        int(step): None if times is None else float(times.values[index])
        for index, step in enumerate(layer[STEP].values)
    }
    return [_step(group, at) for group in tiles.steps]


def _step(group: tuple[int, ...], at: dict[int, float | None]) -> dict[str, Any]:
    label = str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}"
    time = at[group[0]]
    known = time is not None and np.isfinite(time)
    return {
        "label": label,
        "text": f"step {label}, t = {time:.4g}" if known else f"step {label}",
        "python": str(group[0]) if len(group) == 1 else str(list(group)),
    }


def merged_notice(tiles: Tiles) -> list[str]:
    """What a page says of steps that are averaged in it."""
    most = max(len(group) for group in tiles.steps)
    return [f"To keep this page small, every {most} steps are averaged in it."] if most > 1 else []
