"""Self-attention of one picture: where each token of a vision transformer looks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from regard.arguments import indices, listed, shown
from regard.axes import HEAD, KEY, QUERY, STEP, X, Y
from regard.errors import ArgumentError, AxisError, unknown
from regard.layers import LayerQuery
from regard.trace import pick
from regard.trace.pick import Pick

DIMS = (STEP, HEAD, QUERY, KEY)
UNIT = "attention weight"

MEAN, PROBE = "mean", "probe"

Query = str | tuple[int, int]
"""A token before the patches by its name, a patch by row and column, "mean" or "probe"."""


def layer_weights(
    weights: ArrayLike,
    *,
    grid: tuple[int, int],
    prefix: Sequence[str] = (),
    patch: tuple[int, int] | None = None,
    queries: Sequence[int] | None = None,
    kind: str = "self",
    place: str | None = None,
    steps: Sequence[int] = (0,),
    timesteps: Sequence[float] = (float("nan"),),
    averaged: Iterable[str] = (),
) -> xr.DataArray:
    """The self-attention of one layer, labelled as a trace wants it.

    Args:
        weights: Attention weights in 0..1 over step, head, query and key.
        grid: Rows and columns of the patches; they are the last keys, row by row.
        prefix: Names of the keys before them, such as ``["cls", "register.1"]``.
        patch: Rows and columns of a patch in pixels.
        queries: Which tokens the queries are, numbered as the keys are; None for all of them.
        kind: ``self``, or ``pool`` for a layer in which one learned query, the probe, looks.
        place: Where in the model the layer is, where a model has such places.
        steps: The denoising steps; a vision transformer has one.
        timesteps: The scheduler's time at those steps.
        averaged: The axes that were averaged while the model ran; they have size 1.

    Returns:
        float32 over step, head, query and key; each row sums to 1 over the keys.

    Raises:
        AxisError: ``weights`` has not four axes, or not as many queries and keys as is said.

    Example:
        >>> even = layer_weights(np.full((1, 2, 5, 5), 0.2), grid=(2, 2), prefix=["cls"])
        >>> even.sizes["key"], even.attrs["prefix"]
        (5, ['cls'])
    """
    values = np.asarray(weights, dtype=np.float32)
    keys = len(prefix) + grid[0] * grid[1]
    asked = list(range(1 if kind == "pool" else keys)) if queries is None else list(queries)
    wanted = (len(steps), len(asked), keys)
    if values.ndim != len(DIMS) or (values.shape[0], *values.shape[2:]) != wanted:
        raise AxisError(
            f"layer_weights: the shape is {values.shape} for {wanted[0]} steps, {wanted[1]} "
            f"queries and {keys} keys ({len(prefix)} and {grid[0]}x{grid[1]} patches). Give "
            f"weights over (step, head, query, key)."
        )
    coords = {
        STEP: list(steps),
        "timestep": (STEP, np.asarray(timesteps, dtype=np.float64)),
        HEAD: np.arange(values.shape[1]),
        QUERY: asked,
        KEY: np.arange(keys),
    }
    attrs = {
        "units": UNIT,
        "kind": kind,
        "place": place,
        "grid": list(grid),
        "prefix": list(prefix),
        "patch": None if patch is None else list(patch),
        "averaged": sorted(averaged),
    }
    return xr.DataArray(values, coords, DIMS, name="weights", attrs=attrs)


def check(weights: Mapping[str, xr.DataArray]) -> None:
    """Refuse layers that are not labelled, or that disagree about the picture.

    Raises:
        AxisError: a layer lacks a dim, or has another grid or prefix than the first.
        ArgumentError: a weight is no number.
    """
    first: xr.DataArray | None = None
    for name, each in weights.items():
        if each.dims != DIMS:
            raise AxisError(
                f"Trace: layer '{name}' has dims {each.dims}; give {DIMS}, as layer_weights."
            )
        first = each if first is None else first
        if any(each.attrs[key] != first.attrs[key] for key in ("grid", "prefix")):
            raise AxisError(
                f"Trace: layer '{name}' has the grid {each.attrs['grid']} after "
                f"{each.attrs['prefix']}, the first layer {first.attrs['grid']} after "
                f"{first.attrs['prefix']}. Keep layers that see the same tokens."
            )
        if not np.isfinite(each.values).all():
            raise ArgumentError(
                f"Trace: layer '{name}' has values that are no numbers. Look again."
            )


def queries_of(weights: Mapping[str, xr.DataArray]) -> tuple[str, ...]:
    """The queries that have a name, in order: those before the patches, the mean, the probe.

    Example:
        >>> even = layer_weights(np.full((1, 1, 2, 2), 0.5), grid=(1, 1), prefix=["cls"])
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
    """Where one query looks, over the patches; what `Trace.attention` does."""
    query = _checked_query(query)
    kind = "pool" if query == PROBE else "self"
    known = {name: each for name, each in weights.items() if each.attrs["kind"] == kind}
    places = _places(weights, known, query)
    chosen = pick.layers(known, layers, caller="attention")
    first = known[chosen[0]]
    prefix, grid = first.attrs["prefix"], first.attrs["grid"]
    total = np.zeros(first.sizes[KEY])
    for name in chosen:
        each = known[name]
        at_step = pick.positions(each, steps, axis=STEP, layer=name, caller="attention")
        at_head = pick.positions(each, heads, axis=HEAD, layer=name, caller="attention")
        part = each.sel({QUERY: places}).isel({STEP: at_step, HEAD: at_head})
        # float64: thousands of small weights are added up.
        total += part.mean((STEP, HEAD, QUERY), dtype=np.float64).values / len(chosen)
    attrs = {
        "units": UNIT,
        "query": query if isinstance(query, str) else list(query),
        "layers": chosen,
        "grid": list(grid),
        "prefix_mass": {name: float(total[i]) for i, name in enumerate(prefix)},
    }
    values = total[len(prefix) :].reshape(grid)
    return xr.DataArray(values, dims=(Y, X), name="attention", attrs=attrs)


def _checked_query(query: Any) -> Query:
    """A name, or the row and column of a patch.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(query, str):
        return query
    patch = indices(query, "query", "attention") if listed(query) is not None else None
    if not isinstance(patch, list) or len(patch) != 2:
        raise ArgumentError(
            f"attention: query is {shown(query)} and must be the name of a token, such as 'cls', "
            f"or a patch by its row and column, such as (0, 0)."
        )
    return patch[0], patch[1]


def _places(
    weights: Mapping[str, xr.DataArray], known: Mapping[str, xr.DataArray], query: Query
) -> list[int]:
    """Which tokens a query stands for."""
    if query not in queries_of(weights) and (isinstance(query, str) or not known):
        advice = "Or name a patch by its row and column, such as (0, 0)."
        raise unknown("query", str(query), queries_of(weights), advice=advice)
    first = next(iter(known.values()))
    prefix, (rows, columns) = first.attrs["prefix"], first.attrs["grid"]
    if query == PROBE:
        return [0]
    if query == MEAN:
        return list(range(len(prefix), len(prefix) + rows * columns))
    if isinstance(query, str):
        return [prefix.index(query)]
    return [_patch(first, query, len(prefix), rows, columns)]


def _patch(
    weights: xr.DataArray, patch: tuple[int, int], before: int, rows: int, columns: int
) -> int:
    row, column = patch
    if not (-rows <= row < rows and -columns <= column < columns):
        raise ArgumentError(
            f"attention: there is no patch {patch}; rows are 0..{rows - 1} and columns "
            f"0..{columns - 1}. Choose among these, or count from the end with -1."
        )
    place = before + (row % rows) * columns + column % columns
    if place not in weights[QUERY].values:
        raise ArgumentError(
            f"attention: where patch {patch} looks was not kept. Look again with queries=None."
        )
    return place
