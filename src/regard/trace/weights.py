"""Self-attention of one image: where each of its tokens attends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from regard.arguments import shown
from regard.axes import HEAD, KEY, QUERY, STEP, X, Y
from regard.errors import ArgumentError, AxisError, unknown
from regard.layers import LayerQuery
from regard.trace import pick
from regard.trace.grid import resize
from regard.trace.patches import Patch, cell_of, patch_or_none
from regard.trace.pick import Pick

DIMS = (STEP, HEAD, QUERY, KEY)
UNIT = "attention weight"

MEAN, PROBE = "mean", "probe"

Query = str | Patch
"""A token before the patches by its name, a patch by row and column or by a point of the image,
"mean" or "probe"."""


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
        prefix: Names of the keys before them, such as ``["cls", "register.1"]``; ``text`` is all
            tokens of a text together.
        patch: Rows and columns of a patch in pixels.
        queries: Which tokens the queries are, numbered as the keys are; None for all of them.
        kind: ``self``; ``joint`` where text is attended to as well; or ``pool`` for a layer in
            which one learned query, the probe, attends.
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


def check(weights: Mapping[str, xr.DataArray], *, alike: bool = True) -> None:
    """Refuse layers that are not labelled, or that disagree about the image.

    Args:
        weights: The layers.
        alike: Whether all must see the same tokens, as those of a vision transformer do; the
            layers of a U-Net have grids of their own.

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
        if alike and any(each.attrs[key] != first.attrs[key] for key in ("grid", "prefix")):
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
    part = each.sel({QUERY: _places(each, name, query)}).isel({STEP: at_step, HEAD: at_head})
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


def _places(layer: xr.DataArray, name: str, query: Query) -> list[int]:
    """Which tokens of a layer a query stands for."""
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
