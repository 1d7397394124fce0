"""What the page of an image has of its own: its queries, and how much they attend to each patch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from regard.axes import HEAD, KEY, QUERY, STEP
from regard.trace import Trace
from regard.views.plain import base64_of, model_of
from regard.views.tiles import Tiles, peaks_of, quantised

NAMED = {
    "cls": "The class token",
    "distillation": "The distillation token",
    "mean": "The mean over all patches",
    "probe": "The learned query of the pooling head",
}


@dataclass(frozen=True)
class Asked:
    """One query that the page shows: its name, the tokens it is the mean of, and its patch."""

    name: str
    tokens: tuple[int, ...]
    cell: tuple[int, int] | None = None

    @property
    def python(self) -> str:
        """As one writes it in Python."""
        return f'"{self.name}"' if self.cell is None else f"({self.cell[0]}, {self.cell[1]})"


def parts_of_queries(trace: Trace, budget: int) -> tuple[Tiles, dict[str, Any]]:
    """The maps of the queries of an image, and what their page has of its own; see `payload`.

    Where maps exceed the budget, heads are averaged first, then only the queries that have a name
    are kept; the page says so.

    Example:
        >>> from regard.trace import toy_vision
        >>> tiles, parts = parts_of_queries(toy_vision(), 1000)
        >>> [query["name"] for query in parts["entries"][:3]]
        ['cls', 'mean', 'patch 0, 0']
    """
    shown = _shown(trace.self_attention)
    first = next(iter(shown.values()))
    asked, averaged, notices = _fitting(trace, shown, budget)
    values = {name: _rows(each, asked, averaged=averaged) for name, each in shown.items()}
    before = len(first.attrs["prefix"])
    tiles = _tiles(values, before, tuple(first.attrs["grid"]), averaged=averaged)
    firsts = [place for place, each in enumerate(asked) if each.cell is not None]
    return tiles, {
        "kind": "queries",
        **_about(trace.recipe),
        "before": base64_of(_before(values, before)),
        "prefix": list(first.attrs["prefix"]),
        "entries": [_entry(each, column) for column, each in enumerate(asked)],
        "firstPatch": firsts[0] if firsts else None,
        "columns": len(asked),
        "tokens": first.sizes[KEY],
        "layers": _layers(shown, trace.recipe.get("norm_outliers") or {}),
        "groups": [],
        "reading": {"carriers": False, "layer": "all"},
        "steps": [{"label": "0", "text": "one look", "python": "0"}],
        "averaged": list(first.attrs["averaged"]),
        "notices": [*_unshown(trace, shown), *notices],
        "table": _table(trace.recipe.get("prediction") or []),
    }


def _shown(weights: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """The layers in which the tokens themselves look; the pooling head if there are no others."""
    own = {name: each for name, each in weights.items() if each.attrs["kind"] == "self"}
    return own or dict(weights)


def _unshown(trace: Trace, shown: Mapping[str, xr.DataArray]) -> list[str]:
    if len(shown) == len(trace.self_attention):
        return []
    return ['The pooling head is not on this page; ask the trace: trace.attention("probe").']


def _fitting(
    trace: Trace, shown: Mapping[str, xr.DataArray], budget: int
) -> tuple[list[Asked], bool, list[str]]:
    """The queries that fit, whether heads must be averaged, and what to say about it."""
    first = next(iter(shown.values()))
    named, patches = _named(trace, first), _patches(first)
    grid = first.attrs["grid"]
    one = sum(each.sizes[HEAD] for each in shown.values()) * grid[0] * grid[1]
    mean = len(shown) * grid[0] * grid[1]
    if one * (len(named) + len(patches)) <= budget:
        return [*named, *patches], False, []
    notices = ["To keep this page small, heads are averaged in it."]
    if mean * (len(named) + len(patches)) <= budget:
        return [*named, *patches], True, [*notices, "The trace has them all."]
    notices = ["To keep this page small, single patches are not queries in it."]
    if one * len(named) <= budget:
        return named, False, [*notices, "The trace has them all."]
    notices = ["To keep this page small, heads are averaged in it, and patches are no queries."]
    return named, True, [*notices, "The trace has them all."]


def _named(trace: Trace, first: xr.DataArray) -> list[Asked]:
    if first.attrs["kind"] == "pool":
        return [Asked("probe", (0,))]
    prefix = first.attrs["prefix"]
    return [
        Asked(
            name,
            (prefix.index(name),)
            if name in prefix
            else tuple(range(len(prefix), first.sizes[KEY])),
        )
        for name in trace.queries
        if name != "probe"
    ]


def _patches(first: xr.DataArray) -> list[Asked]:
    """Every patch as a query, or none where some were not kept."""
    before, (rows, columns) = len(first.attrs["prefix"]), first.attrs["grid"]
    kept = {int(query) for query in first[QUERY].values}
    if first.attrs["kind"] == "pool" or not kept.issuperset(range(before, first.sizes[KEY])):
        return []
    return [
        Asked(f"patch {row}, {column}", (before + row * columns + column,), (row, column))
        for row in range(rows)
        for column in range(columns)
    ]


def _rows(weights: xr.DataArray, asked: Sequence[Asked], *, averaged: bool) -> np.ndarray:
    """Attention of each query to all keys, over head, query and key; mean over steps."""
    place = {int(query): at for at, query in enumerate(weights[QUERY].values)}
    values = np.asarray(weights.mean(STEP, dtype=np.float64).values)
    if averaged:
        values = values.mean(axis=0, keepdims=True)
    picked = [values[:, [place[token] for token in each.tokens]].mean(axis=1) for each in asked]
    return np.stack(picked, axis=1)


def _tiles(
    values: Mapping[str, np.ndarray], before: int, grid: tuple[int, int], *, averaged: bool
) -> Tiles:
    layers, lows, spans, peaks = {}, {}, {}, {}
    for name, rows in values.items():
        maps = rows[None, :, :, before:].reshape(1, *rows.shape[:2], *grid)
        layers[name], lows[name], spans[name] = quantised(maps)
        peaks[name] = peaks_of(maps)
    return Tiles(layers, lows, spans, ((0,),), averaged, peaks)


def _before(values: Mapping[str, np.ndarray], before: int) -> bytes:
    parts = [rows[..., :before].astype(np.dtype("<f4")).tobytes() for rows in values.values()]
    return b"".join(parts)


def _layers(
    shown: Mapping[str, xr.DataArray], outliers: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "label": f"layer {number}",
            "kind": weights.attrs["kind"],
            "grid": list(weights.attrs["grid"]),
            "heads": [int(head) for head in weights[HEAD].values],
            "outliers": list(outliers.get(name, ())),
        }
        for number, (name, weights) in enumerate(shown.items())
    ]


def _entry(asked: Asked, column: int) -> dict[str, Any]:
    return {
        "name": asked.name,
        "text": asked.name,
        "nth": 1,
        "role": "word",
        "content": True,
        "pieces": [asked.name],
        "tokens": 1,
        "column": column,
        "mass": None,
        "tint": 0.0,
        "mark": "",
        "evidence": NAMED.get(asked.name, f"The token {asked.name}"),
        "cell": asked.cell,
        "python": asked.python,
    }


def _table(prediction: Sequence[Sequence[Any]]) -> dict[str, Any]:
    top = max((float(share) for _, share in prediction), default=0.0) or 1.0
    columns = [
        {"name": "label", "label": "label", "title": "What the model calls it", "numeric": False},
        {"name": "probability", "label": "probability", "title": "0..1", "numeric": True},
    ]
    rows = [
        {
            "name": label,
            "entry": None,
            "special": False,
            "mark": "",
            "tint": round(float(share) / top, 4),
            "values": [label, float(share)],
        }
        for label, share in prediction
    ]
    hidden = {"hidden": False}
    return {
        "columns": [{**each, **hidden, "bar": each["numeric"]} for each in columns],
        "rows": rows,
        "note": "",
    }


def _about(recipe: Mapping[str, Any]) -> dict[str, Any]:
    prediction, size = recipe.get("prediction") or [], recipe.get("size")
    said = [f"{label} {float(share):.1%}" for label, share in prediction]
    pixels = f"{size[0]}×{size[1]} pixels" if size else "an image"
    return {
        "prompt": str(prediction[0][0]) if prediction else f"{pixels} seen by {model_of(recipe)}",
        "run": [pixels, *said[:1]],
        "shown": f"{pixels} as the model saw them{_moved(recipe.get('interpolation') or {})}",
        "said": ", ".join(said),
    }


def _moved(how: Mapping[str, Any]) -> str:
    if not how:
        return ""
    old, new = ("×".join(map(str, how[end])) for end in ("from", "to"))
    return f"; positions interpolated from {old} to {new} patches ({how['mode']}): off the training"
