"""How much of attention a few keys have: inequality, sparsity, the share of the heaviest.

Measured per query; average afterwards, since the concentration of an average is another number.
"""

import math
from functools import partial
from typing import Any

import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY
from regard.errors import ArgumentError
from regard.measures.about import ROWS, measure
from regard.measures.rows import of_rows


@measure(unit="1", high="1 - 1/keys", higher="more concentrated", reads=ROWS)
def gini(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """How unequal the shares of the keys are: 0 all alike, 1 - 1/n if one of n keys has all.

    Args:
        weights: As for `regard.measures.spread.entropy`.
        over: The dim that holds the distribution.
        prefix: As for `regard.measures.spread.entropy`.

    Returns:
        The dims of ``weights`` less ``over``, without unit.

    Raises:
        RegardError: as for `regard.measures.spread.entropy`.

    Example:
        >>> weights = xr.DataArray([[0.0, 1.0]], dims=["query", "key"])
        >>> gini(weights).values
        array([0.5])

    Source:
        Hurley and Rickard (2009), "Comparing Measures of Sparsity".
    """
    return of_rows(gini, gini_of_rows, weights, over=over, prefix=prefix)


@measure(unit="1", higher="more concentrated", reads=ROWS)
def hoyer(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """Sparsity by the ratio of two norms: 0 spread evenly, 1 on one key.

    Args:
        weights: As for `gini`.
        over: The dim that holds the distribution.
        prefix: As for `gini`.

    Returns:
        The dims of ``weights`` less ``over``, without unit; NaN where there is only one key.

    Raises:
        RegardError: as for `gini`.

    Example:
        >>> weights = xr.DataArray([[0.0, 1.0], [0.5, 0.5]], dims=["query", "key"])
        >>> hoyer(weights).values.round(12)
        array([1., 0.])

    Source:
        Hoyer (2004), "Non-negative Matrix Factorization with Sparseness Constraints".
    """
    return of_rows(hoyer, hoyer_of_rows, weights, over=over, prefix=prefix)


@measure(unit="share of attention", low="share of the keys", higher="more concentrated", reads=ROWS)
def topk_mass(
    weights: xr.DataArray,
    *,
    k: int | None = None,
    share: float = 0.05,
    over: str = KEY,
    prefix: int = 0,
) -> xr.DataArray:
    """What the heaviest keys have of all attention: k/n spread evenly, 1 if they have all of it.

    Args:
        weights: As for `gini`.
        k: How many keys; by default ``share`` of them.
        share: The share of the keys that counts, rounded up to whole keys, where ``k`` is None.
        over: The dim that holds the distribution.
        prefix: As for `gini`.

    Returns:
        The dims of ``weights`` less ``over``, as a share of attention; ``attrs["k"]`` has k.

    Raises:
        ArgumentError: ``k`` lies outside 1..keys, or ``share`` outside 0..1; else as `gini`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.25, 0.25]], dims=["query", "key"])
        >>> topk_mass(weights, k=2).values
        array([0.75])

    Source:
        The concentration ratio; Hall and Tideman (1967), "Measures of Concentration".
    """
    count = _how_many(weights.sizes.get(over, 0) - prefix, k, share)
    kernel = partial(topk_mass_of_rows, k=count)
    return of_rows(topk_mass, kernel, weights, over=over, prefix=prefix, k=count)


def _how_many(keys: int, k: int | None, share: float) -> int:
    if keys < 1:
        return 1  # what is wrong is told by the check of the rows
    if not 0 < share <= 1 or not (k is None or 1 <= k <= keys):
        raise ArgumentError(
            f"topk_mass: k is {k} and share {share}, and there are {keys} keys. "
            f"Give k in 1..{keys}, or a share over 0 and up to 1."
        )
    # Less a hair, so that 0.07 * 100 = 7.000000000000001 is seven keys.
    return math.ceil(share * keys - 1e-9) if k is None else k


def gini_of_rows(weights: Any) -> Any:
    """``gini`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    keys = weights.shape[-1]
    ranks = xp.arange(1, keys + 1, dtype=weights.dtype, device=weights.device)
    ordered = xp.sort(weights, axis=-1)
    total = xp.sum(weights, axis=-1)
    return xp.sum((2 * ranks - keys - 1) * ordered, axis=-1) / (keys * total)


def hoyer_of_rows(weights: Any) -> Any:
    """``hoyer`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    root = math.sqrt(weights.shape[-1])
    ratio = xp.sum(weights, axis=-1) / xp.sqrt(xp.sum(weights * weights, axis=-1))
    return (root - ratio) / (root - 1 if root > 1 else float("nan"))


def topk_mass_of_rows(weights: Any, k: int) -> Any:
    """``topk_mass`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    return xp.sum(xp.sort(weights, axis=-1, descending=True)[..., :k], axis=-1)
