"""What a page has of patches: where tokens of an image attend, and what is said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from regard.axes import HEAD, KEY, QUERY, STEP
from regard.trace import Trace
from regard.trace.attention import Query, places_of
from regard.trace.labels import PATCHES
from regard.trace.patches import Patch, patches_of
from regard.views.payload_steps import merged_notice
from regard.views.plain import Side, base64_of, described, model_of, stages_of
from regard.views.tiles import Averaging, Layers, Read, averaged, fit_of, tiles_of

NAMED = {
    "cls": "The class token",
    "distillation": "The distillation token",
    "mean": "The mean over all patches",
    "probe": "The learned query of the pooling head",
}


@dataclass(frozen=True)
class ShownPatch:
    """One token of the image whose attention the page shows, and of which grid it is a patch."""

    name: str
    query: Query
    grid: tuple[int, int] | None = None

    @property
    def patch(self) -> Patch | None:
        """Its row and column or its point; None of a token before the patches."""
        return None if isinstance(self.query, str) else self.query

    @property
    def point(self) -> bool:
        """Whether it is named by a point of the image, which is a patch of every grid."""
        return self.patch is not None and any(isinstance(side, float) for side in self.patch)

    @property
    def python(self) -> str:
        """As one writes it in Python."""
        return f'"{self.query}"' if self.patch is None else f"({self.patch[0]}, {self.patch[1]})"


def fitting(
    trace: Trace, layers: Layers, budget: int, group: int
) -> tuple[list[ShownPatch], Averaging]:
    """The queries whose maps fit, and how far these are averaged.

    Where they exceed the budget, heads are averaged first; then patches of coarser grids stand for
    those of finer ones, and at last only queries that have a name are kept.

    Args:
        trace: What was seen.
        layers: Its layers of patches that are shown.
        budget: The most bytes that the maps may take.
        group: How many neighbouring steps are averaged in any case.

    Example:
        >>> from regard.trace import toy_vision
        >>> asked, fit = fitting(toy_vision(), toy_vision().layers, 1000, 1)
        >>> [each.name for each in asked[:3]], fit.heads_averaged
        (['cls', 'mean', 'patch 0, 0'], False)
    """
    sets = _sets(trace, layers) if layers else [[]]
    for asked in sets:
        for heads_averaged in (False, True):
            fit = Averaging(heads_averaged, group)
            if asked and fit.bytes_of(layers, len(asked)) <= budget:
                return asked, fit
    if not sets[-1]:
        return [], Averaging(group=group)
    least = fit_of(layers, len(sets[-1]), budget)
    return sets[-1], replace(least, heads_averaged=True, group=max(group, least.group))


def patches_side(
    trace: Trace, layers: Layers, asked: Sequence[ShownPatch], fit: Averaging, *, first: int
) -> Side:
    """The tokens of an image that attend, with their maps; ``first`` is the number of the first."""
    read = _rows(asked)
    tiles = tiles_of(layers, lambda name, layer: _over_grid(read(name, layer), layer), fit)
    whole = next((each.grid for each in asked if each.grid), None)
    place = next((at for at, each in enumerate(asked) if each.grid), 0)
    prefix = list(dict.fromkeys(name for each in layers.values() for name in each.attrs["prefix"]))
    numbers = [] if trace.tokens else [f"layer {number}" for number in range(len(layers))]
    told = described(layers, of=PATCHES, columns=len(asked), labels=numbers)
    outliers = trace.recipe.get("norm_outliers") or {}
    before = [averaged(_before(read(*each), each[1], prefix), fit) for each in layers.items()]
    one = next(iter(layers.values()))
    return Side(
        of=PATCHES,
        layers=layers,
        tiles=tiles,
        entries=[_entry(each, column) for column, each in enumerate(asked)],
        described=[{**each, "outliers": list(outliers.get(each["name"], ()))} for each in told],
        groups=stages_of(told) if trace.tokens else [],
        first="all",
        averaged=[axis for axis in (STEP, HEAD) if axis in one.attrs["averaged"]],
        notices=[*_small(trace, layers, asked, fit), *merged_notice(tiles)],
        more={
            "prefix": prefix,
            "before": base64_of(b"".join(part.astype("<f4").tobytes() for part in before)),
            "patches": whole and {"first": first + place, "grid": list(whole)},
        },
    )


def _small(trace: Trace, layers: Layers, asked: Sequence[ShownPatch], fit: Averaging) -> list[str]:
    """What is said of what was averaged or left out to keep the page small."""
    small = "To keep this page small,"
    heads = "heads of self-attention" if trace.tokens else "heads"
    grid = next((each.grid for each in asked if each.grid), None)
    if len(asked) == len(_sets(trace, layers)[0]):
        return [f"{small} {heads} are averaged in it."] if fit.heads_averaged else []
    if grid:
        return [f"{small} patches of {grid[0]}×{grid[1]} stand for finer ones in it."]
    if fit.heads_averaged:
        return [f"{small} {heads} are averaged in it, and patches are no queries."]
    return [f"{small} single patches are not queries in it."]


def _sets(trace: Trace, layers: Layers) -> list[list[ShownPatch]]:
    """The queries that a page may have, the most first."""
    first = next(iter(layers.values()))
    if first.attrs["kind"] == "pool":
        return [[ShownPatch("probe", "probe")]]
    named = [ShownPatch(name, name) for name in trace.queries if name != "probe"]
    grids = dict.fromkeys(tuple(each.attrs["grid"]) for each in layers.values())
    if all(map(_is_whole, layers.values())):
        finest = sorted(grids, key=np.prod, reverse=True)
        return [*([*named, *_cells(grid, alone=len(grids) == 1)] for grid in finest), named]
    kept = [ShownPatch(name, patch) for name, patch in patches_of(trace.recipe).items()]
    return [[*named, *(kept or _kept(layers, grids))]]


def _is_whole(layer: xr.DataArray) -> bool:
    kept = {int(query) for query in layer[QUERY].values}
    return kept.issuperset(range(len(layer.attrs["prefix"]), layer.sizes[KEY]))


def _cells(grid: tuple[int, int], *, alone: bool) -> list[ShownPatch]:
    """Every patch of a grid; where it is not alone, by the point at its centre."""
    rows, columns = grid
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    if alone:
        return [ShownPatch(f"patch {row}, {column}", (row, column), grid) for row, column in cells]
    return [
        ShownPatch(
            f"patch {row}, {column} of {rows}×{columns}",
            ((row + 0.5) / rows, (column + 0.5) / columns),
            grid,
        )
        for row, column in cells
    ]


def _kept(layers: Layers, grids: Mapping[tuple[int, ...], Any]) -> list[ShownPatch]:
    """Patches that every layer has kept, where all have the same grid."""
    if len(grids) > 1:
        return []
    kept = set.intersection(*({int(q) for q in each[QUERY].values} for each in layers.values()))
    first = next(iter(layers.values()))
    before, columns = len(first.attrs["prefix"]), first.attrs["grid"][1]
    cells = [divmod(query - before, columns) for query in sorted(kept) if query >= before]
    return [ShownPatch(f"patch {row}, {column}", (row, column)) for row, column in cells]


def _rows(asked: Sequence[ShownPatch]) -> Read:
    """Reads the attention of each query to all keys, over step, head, query and key."""

    def read(name: str, layer: xr.DataArray) -> np.ndarray:
        place = {int(query): at for at, query in enumerate(layer[QUERY].values)}
        values = np.asarray(layer.values, dtype=np.float64)
        tokens = [places_of(layer, name, each.query) for each in asked]
        picked = [values[:, :, [place[each] for each in those]].mean(axis=2) for those in tokens]
        return np.stack(picked, axis=2)

    return read


def _over_grid(rows: np.ndarray, layer: xr.DataArray) -> np.ndarray:
    patches = rows[..., len(layer.attrs["prefix"]) :]
    return patches.reshape(*rows.shape[:-1], *layer.attrs["grid"])


def _before(rows: np.ndarray, layer: xr.DataArray, prefix: Sequence[str]) -> np.ndarray:
    """What goes to each token before the patches; 0 where a layer has none of the name."""
    own = layer.attrs["prefix"]
    found = np.zeros((*rows.shape[:-1], len(prefix)))
    for at, name in enumerate(prefix):
        if name in own:
            found[..., at] = rows[..., own.index(name)]
    return found


def _entry(asked: ShownPatch, column: int) -> dict[str, Any]:
    where = "" if asked.patch is None else "Where this patch of the image attends"
    return {
        "name": asked.name,
        "text": asked.name,
        "nth": 1,
        "of": PATCHES,
        "role": "word",
        "content": True,
        "pieces": [asked.name],
        "tokens": 1,
        "column": column,
        "mass": None,
        "tint": 0.0,
        "mark": "",
        "evidence": NAMED.get(asked.name, where or f"The token {asked.name}"),
        "cell": asked.patch,
        "point": asked.point,
        "python": asked.python,
    }


def about_image(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of an image of one's own: what it is, and what the model calls it."""
    prediction, size = recipe.get("prediction") or [], recipe.get("size")
    said = [f"{label} {float(share):.1%}" for label, share in prediction]
    pixels = f"{size[0]}×{size[1]} pixels" if size else "an image"
    return {
        "prompt": str(prediction[0][0]) if prediction else f"{pixels} seen by {model_of(recipe)}",
        "run": [pixels, *said[:1]],
        "shown": f"{pixels} as the model saw them{_moved(recipe.get('interpolation') or {})}",
        "said": ", ".join(said),
        "table": _table(prediction),
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


def _moved(how: Mapping[str, Any]) -> str:
    if not how:
        return ""
    old, new = ("×".join(map(str, how[end])) for end in ("from", "to"))
    return f"; positions interpolated from {old} to {new} patches ({how['mode']}): off the training"
