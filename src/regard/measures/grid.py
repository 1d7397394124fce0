"""Patches on a grid: does it fit the keys, and which patch is each query?"""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.errors import ArgumentError
from regard.measures.rows import patch_rows

Grid = tuple[int, int]


def on_patches(
    weights: xr.DataArray,
    grid: Grid,
    *,
    prefix: int,
    query: str,
    over: str,
    caller: str,
    renormalise: bool = True,
) -> tuple[xr.DataArray, NDArray[np.int64]]:
    """Checked rows of the queries that are patches, over the keys that are, and which they are.

    Args:
        weights: Self-attention, any dims that include ``query`` and ``over``.
        grid: Rows and columns of patches.
        prefix: How many tokens at the start are no patches.
        query: The dim of the tokens that attend; its coordinate, if any, numbers them.
        over: The dim of the tokens that are attended to.
        caller: The name of the calling function, for messages.
        renormalise: Whether what is left of a row is put to a sum of 1.

    Returns:
        Rows as of `regard.measures.rows.patch_rows`, and the number of each query's patch.

    Raises:
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: the grid does not fit the keys, or no query is a patch.

    Example:
        >>> weights = xr.DataArray([[0.2, 0.2, 0.6]] * 3, dims=["query", "key"])
        >>> dims = {"query": "query", "over": "key"}
        >>> rows, places = on_patches(weights, (1, 2), prefix=1, **dims, caller="example")
        >>> rows.values.round(2).tolist(), places.tolist()
        ([[0.25, 0.75], [0.25, 0.75]], [0, 1])
    """
    check_grid(weights.sizes[over], grid, prefix=prefix, caller=caller)
    kept, places = patch_queries(weights, grid, prefix=prefix, query=query, caller=caller)
    rows = patch_rows(kept, over=over, prefix=prefix, caller=caller, renormalise=renormalise)
    return rows, places


def patch_queries(
    weights: xr.DataArray, grid: Grid, *, prefix: int, query: str, caller: str
) -> tuple[xr.DataArray, NDArray[np.int64]]:
    """The queries that are patches, and which patch each is.

    Raises:
        ArgumentError: a query lies beyond the grid, or none is a patch.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5]], coords={"query": [2]}, dims=["query", "key"])
        >>> patch_queries(weights, (1, 2), prefix=1, query="query", caller="example")[1]
        array([1])
    """
    count = weights.sizes[query]
    labels = weights[query].values if query in weights.coords else np.arange(count)
    places = labels.astype(np.int64) - prefix
    inside = places >= 0
    if not inside.any() or places.max() >= grid[0] * grid[1]:
        raise ArgumentError(
            f"{caller}: the queries are tokens {labels.min()}..{labels.max()}; patches are "
            f"{prefix}..{prefix + grid[0] * grid[1] - 1}. Number them by a coordinate of '{query}'."
        )
    return weights.isel({query: inside}), places[inside]


def check_grid(keys: int, grid: Grid, *, prefix: int, caller: str) -> None:
    """Refuse a grid whose number of patches is not that of the keys after the prefix.

    Raises:
        ArgumentError: they differ.

    Example:
        >>> check_grid(5, (2, 2), prefix=1, caller="example")
    """
    if min(grid) < 1 or grid[0] * grid[1] != keys - prefix:
        raise ArgumentError(
            f"{caller}: the grid is {tuple(grid)} and there are {keys} keys, {prefix} of them "
            f"before the patches. Rows times columns must be {keys - prefix}."
        )
