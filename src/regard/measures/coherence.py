"""Do the patches of an object look at the same object?"""

from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY, QUERY, X, Y
from regard.errors import ArgumentError
from regard.measures.about import GRID_ROWS_AND_MASK, labelled, measure
from regard.measures.grid import Grid, on_patches
from regard.measures.rows import check_dims
from regard.stats.ranks import or_nan
from regard.trace import resize


@measure(
    unit="share of attention",
    higher="the object looks more at itself",
    reads=GRID_ROWS_AND_MASK,
    reduce="the mean over the queries on the object",
)
def coherence(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    *,
    prefix: int = 0,
    query: str = QUERY,
    over: str = KEY,
) -> xr.DataArray:
    """How much the patches of an object look at the same object: 0 not at all, 1 nowhere else.

    By chance they would score the object's share of the patches: see `coherence_lift`.

    Args:
        weights: Self-attention, any dims that include ``query`` and ``over``; queries are numbered
            as for `attention_distance`.
        mask: True where the object is, over ``y``, ``x`` and perhaps more dims, of any size. A
            patch belongs to it if at least half of its area does.
        grid: Rows and columns of patches.
        prefix: How many tokens at the start are no patches; they are left out, and the rest of
            each row is put to a sum of 1.
        query: The dim of the tokens that attend.
        over: The dim of the tokens that are attended to.

    Returns:
        The mean over the queries on the object of their mass on it: the dims of ``weights`` and
        ``mask`` less ``query``, ``over``, ``y`` and ``x``. NaN where no query is on the object.

    Raises:
        AxisError: a dim is missing.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: the grid does not fit the keys, or the mask is not boolean.

    Example:
        >>> weights = xr.DataArray([[0.75, 0.25], [0.5, 0.5]], dims=["query", "key"])
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> coherence(weights, mask, (1, 2)).item()
        0.75

    Source:
        Ours: the mass of an object's attention that stays on it.
    """
    value, chance = _coherence(weights, mask, grid, prefix, query, over, caller="coherence")
    return labelled(value, coherence, chance=float(chance.mean()))


@measure(
    unit="1",
    high="patches",
    higher="the object looks more at itself than by chance",
    reads=GRID_ROWS_AND_MASK,
    reduce="the mean over the queries on the object",
)
def coherence_lift(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    *,
    prefix: int = 0,
    query: str = QUERY,
    over: str = KEY,
) -> xr.DataArray:
    """How many times more than by chance an object looks at itself: 1 as even attention would.

    Args:
        weights: As for `coherence`.
        mask: As for `coherence`.
        grid: Rows and columns of patches.
        prefix: As for `coherence`.
        query: The dim of the tokens that attend.
        over: The dim of the tokens that are attended to.

    Returns:
        `coherence` over the object's share of the patches; NaN where no query is on the object.

    Raises:
        RegardError: as for `coherence`.

    Example:
        >>> weights = xr.DataArray([[0.75, 0.25], [0.5, 0.5]], dims=["query", "key"])
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> coherence_lift(weights, mask, (1, 2)).item()
        1.5

    Source:
        Ours: `coherence` over chance.
    """
    value, chance = _coherence(weights, mask, grid, prefix, query, over, caller="coherence_lift")
    return labelled(value / chance, coherence_lift)


def coherence_of_rows(weights: Any, queries: Any, keys: Any) -> Any:
    """Mean over ``queries`` of the mass on ``keys``; both are 0 or 1 along the last axes."""
    xp = array_namespace(weights)
    on_object = xp.sum(weights * keys[..., None, :], axis=-1)
    asked = queries > 0
    # A query without mass on patches is NaN; it counts only if it is on the object.
    mass = xp.sum(xp.where(asked, on_object, xp.zeros_like(on_object)), axis=-1)
    count = xp.sum(queries, axis=-1)
    return mass / or_nan(count)


def _coherence(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    prefix: int,
    query: str,
    over: str,
    *,
    caller: str,
) -> tuple[xr.DataArray, xr.DataArray]:
    check_dims(weights, query, over, caller=caller)
    check_dims(mask, Y, X, caller=caller)
    if mask.dtype != np.dtype(bool):
        raise ArgumentError(f"{caller}: the mask holds {mask.dtype} and must be boolean.")
    rows, places = on_patches(weights, grid, prefix=prefix, query=query, over=over, caller=caller)
    inside = resize(mask.astype(np.float64), grid) >= 0.5
    keys = inside.stack({over: (Y, X)}, create_index=False).astype(rows.dtype)
    queries = keys.isel({over: places}).rename({over: query})
    value: xr.DataArray = xr.apply_ufunc(
        coherence_of_rows, rows.drop_vars([query, over], errors="ignore"), queries, keys,
        input_core_dims=[[query, over], [query], [over]],
    )  # fmt: skip
    chance = keys.mean(over)
    return value, chance.where(chance > 0)
