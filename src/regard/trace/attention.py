"""Where one token of an image attends, from the self-attention of its layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.arguments import shown
from regard.axes import HEAD, KEY, QUERY, STEP, X, Y
from regard.errors import ArgumentError, unknown
from regard.layers import LayerQuery
from regard.trace import pick
from regard.trace.grid import resize
from regard.trace.labels import UNIT
from regard.trace.patches import Patch, cell_of, patch_or_none
from regard.trace.pick import Pick

MEAN, PROBE = "mean", "probe"

Query = str | Patch
"""A token before the patches by its name, a patch by row and column or by a point of the image,
"mean" or "probe"."""


def queries_of(weights: Mapping[str, xr.DataArray]) -> tuple[str, ...]:
    """The queries that have a name, in order: those before the patches, the mean, the probe.

    Example:
        >>> from regard.trace import labelled_layer
        >>> even = labelled_layer(np.full((1, 1, 2, 2), 0.5), grid=(1, 1), prefix=["cls"])
        >>> queries_of({"layers.0": even})
        ('cls', 'mean')
    """
    own = [each for each in weights.values() if each.attrs["kind"] != "pool"]
    probes = [PROBE] if len(own) < len(weights) else []
    if not own:
        return tuple(probes)
    prefix, kept = own[0].attrs["prefix"], {int(query) for query in own[0][QUERY].values}
    named = [name for place, name in enumerate(prefix) if place in kept]
    patches = range(len(prefix), own[0].sizes[KEY])
    return (*named, *([MEAN] if kept.issuperset(patches) else []), *probes)


def attention(
    weights: Mapping[str, xr.DataArray],
    query: Query,
    *,
    steps: Pick,
    layers: LayerQuery,
    heads: Pick,
) -> xr.DataArray:
    """Where one query attends, over the patches; what `Trace.attention` does."""
    query = _checked_query(query)
    pooled = query == PROBE
    known = {n: each for n, each in weights.items() if (each.attrs["kind"] == "pool") == pooled}
    _check_known(weights, known, query)
    chosen = pick.layers(known, layers, caller="attention")
    grid = max((tuple(known[name].attrs["grid"]) for name in chosen), key=np.prod)
    total = np.zeros(grid)
    before: dict[str, float] = {}
    for name in chosen:
        each = known[name]
        row = _mean_row(each, name, query, steps=steps, heads=heads) / len(chosen)
        prefix = each.attrs["prefix"]
        for place, key in enumerate(prefix):
            before[key] = before.get(key, 0.0) + float(row[place])
        total += _on(row[len(prefix) :].reshape(each.attrs["grid"]), grid)
    attrs = {
        "units": UNIT,
        "query": query if isinstance(query, str) else list(query),
        "layers": chosen,
        "grid": list(grid),
        "prefix_mass": before,
    }
    return xr.DataArray(total, dims=(Y, X), name="attention", attrs=attrs)


def _mean_row(
    each: xr.DataArray, name: str, query: Query, *, steps: Pick, heads: Pick
) -> NDArray[np.float64]:
    """The attention of a query in one layer, over the keys."""
    at_step = pick.positions(each, steps, axis=STEP, layer=name, caller="attention")
    at_head = pick.positions(each, heads, axis=HEAD, layer=name, caller="attention")
    part = each.sel({QUERY: places_of(each, name, query)}).isel({STEP: at_step, HEAD: at_head})
    # float64: thousands of small weights are added up.
    mean: NDArray[np.float64] = part.mean((STEP, HEAD, QUERY), dtype=np.float64).values
    return mean


def _on(values: NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float64]:
    """A map on a finer grid, with the same sum: a patch of the coarse one stands for several."""
    if values.shape == grid:
        return values
    moved: NDArray[np.float64] = resize(xr.DataArray(values, dims=(Y, X)), grid).values
    moved *= values.sum() / max(moved.sum(), np.finfo(np.float64).tiny)
    return moved


def _checked_query(query: Any) -> Query:
    """A name, or a patch.

    Raises:
        ArgumentError: it is neither.
    """
    patch = query if isinstance(query, str) else patch_or_none(query)
    if patch is None:
        raise ArgumentError(
            f"attention: query is {shown(query)} and must be the name of a token, such as 'cls', "
            f"a patch by its row and column, such as (0, 0), or a point of the image, such as "
            f"(0.5, 0.5)."
        )
    return patch


def _check_known(
    weights: Mapping[str, xr.DataArray], known: Mapping[str, xr.DataArray], query: Query
) -> None:
    if query not in queries_of(weights) and (isinstance(query, str) or not known):
        advice = "Or name a patch by its row and column, such as (0, 0)."
        raise unknown("query", str(query), queries_of(weights), advice=advice)


def places_of(layer: xr.DataArray, name: str, query: Query) -> list[int]:
    """Which tokens of a layer a query stands for.

    Raises:
        ArgumentError: there is no such patch, or it was not kept.
    """
    prefix, (rows, columns) = layer.attrs["prefix"], layer.attrs["grid"]
    if query == PROBE:
        return [0]
    if query == MEAN:
        return list(range(len(prefix), len(prefix) + rows * columns))
    if isinstance(query, str):
        return [prefix.index(query)]
    row, column = cell_of(query, (rows, columns), caller="attention", layer=name)
    place = len(prefix) + row * columns + column
    if place not in layer[QUERY].values:
        raise ArgumentError(
            f"attention: where patch {query} looks was not kept. Look again with queries=None, or, "
            f"where an image is generated, with self_attention=[{query}]."
        )
    return [place]
