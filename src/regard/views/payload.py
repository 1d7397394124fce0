"""What the viewer is given: a trace as plain JSON values, maps as bytes in base64."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from regard.axes import HEAD, LAYER, STEP
from regard.trace import Trace
from regard.views.colour import colours
from regard.views.entries import entries_of, table_of, words_of
from regard.views.plain import base64_of, image_of, packed, parity_text, placed, recipe_rows
from regard.views.tiles import Tiles, tiles_of


def payload(trace: Trace) -> dict[str, Any]:
    """Everything that the viewer shows, as plain JSON values.

    Args:
        trace: What was seen.

    Returns:
        The words with their tint and evidence, the axes, the maps in base64, the table, the image
        and the recipe.

    Raises:
        ArgumentError: the layers of the trace have no step in common.

    Example:
        >>> from regard.trace import toy_trace
        >>> [word["name"] for word in payload(toy_trace())["words"]]
        ['a', 'cat', 'and', 'a#2', 'dog', '[start]', '[end]', '[pad]']
    """
    entries = entries_of(trace)
    kept = [entry for entry in entries if entry.kept]
    shown = in_common(trace)
    tiles = tiles_of(shown, [entry.kept for entry in kept])
    layers = _layers(shown, tiles)
    return {
        **_about(trace),
        **packed(tiles),
        "words": words_of(entries, kept),
        "tokens": len(trace.tokens),
        "layers": layers,
        "places": _ordered(layer["place"] for layer in layers),
        "heads": max((layer["heads"] for layer in layers), key=len),
        "steps": _steps(shown, tiles),
        "averaged": _averaged(trace),
        "notices": _notices(trace, shown, tiles),
        "table": table_of(trace, entries),
        "colours": base64_of(colours()),
        "image": image_of(trace.image),
    }


def in_common(trace: Trace) -> Trace:
    """The trace in the steps that all its layers ran in; itself if that is all, or none.

    Example:
        >>> from regard.trace import toy_trace
        >>> toy = toy_trace()
        >>> in_common(toy) is toy
        True
    """
    ran = [{int(step) for step in maps[STEP].values} for maps in trace.layers.values()]
    shared = sorted(set.intersection(*ran)) if ran else []
    if not shared or all(len(steps) == len(shared) for steps in ran):
        return trace
    return replace(trace, layers={n: maps.sel(step=shared) for n, maps in trace.layers.items()})


def _layers(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    described = []
    for name, maps in trace.layers.items():
        rows, columns = tiles.layers[name].shape[-2:]
        place = maps.attrs.get("place")
        described.append(
            {
                "name": name,
                "label": f"{place} {rows}×{columns}" if place else f"{rows}×{columns}",
                "place": place,
                "kind": maps.attrs.get("kind") or "cross",
                "grid": [rows, columns],
                "heads": [int(head) for head in maps[HEAD].values],
            }
        )
    return placed(described, tiles)


def _steps(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    first = next(iter(trace.layers.values()))
    times = first.coords.get("timestep")
    at = {
        int(step): None if times is None else float(times.values[index])
        for index, step in enumerate(first[STEP].values)
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


def _averaged(trace: Trace) -> list[str]:
    first = next(iter(trace.layers.values()))
    return [axis for axis in (STEP, HEAD, LAYER) if axis in first.attrs.get("averaged", ())]


def _notices(trace: Trace, shown: Trace, tiles: Tiles) -> list[str]:
    notices = []
    if shown is not trace:
        notices.append(
            "Some layers did not run in every step, as caches do. The page has the "
            f"{sum(map(len, tiles.steps))} steps in which all ran."
        )
    if tiles.heads_averaged:
        notices.append("To keep this page small, heads are averaged in it.")
    merged = max(len(group) for group in tiles.steps)
    if merged > 1:
        notices.append(f"To keep this page small, every {merged} steps are averaged in it.")
    if notices:
        notices.append("The trace has them all.")
    return [*notices, *_read_elsewhere(trace)]


def _read_elsewhere(trace: Trace) -> list[str]:
    """That separate heat maps read words in another way than the page opens with, if they do."""
    carriers, layers = trace.reading["carriers"], trace.reading["layers"]
    at = ["at its own and the next token"] if carriers else []
    where = [f"in {', '.join(layers)}"] if layers else []
    if not (at or where):
        return []
    why = trace.recipe["reading"].get("why", "")
    how = ", ".join([*at, *where])
    return [
        f"The files in heatmaps read each word {how}{f' ({why})' if why else ''}; this page opens "
        f"on a word's own tokens in all layers."
    ]


def _about(trace: Trace) -> dict[str, Any]:
    recipe = trace.recipe
    known = {
        "seed": "seed {}",
        "steps": "{} steps",
        "guidance_scale": "guidance {:g}",
        "scheduler": "{}",
    }
    run = [text.format(recipe[key]) for key, text in known.items() if recipe.get(key) is not None]
    return {
        "prompt": str(recipe.get("prompt", "")),
        "model": str(recipe.get("model", "unknown model")),
        "run": [str(recipe.get("model", "unknown model")), *run],
        "parity": parity_text(recipe.get("parity_error")),
        "cut": str(recipe.get("cut") or ""),
        "saved": "trace.zarr",
        "recipe": recipe_rows(recipe),
    }


def _ordered(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
