"""How widely attention is spread over the keys.

Measured per query; average afterwards, since the spread of an average is another number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY
from regard.errors import AxisError, NotAttentionError


def entropy(weights: xr.DataArray, *, over: str = KEY) -> xr.DataArray:
    """Shannon entropy of attention in bits: 0 on one key, log2(n) spread over n keys.

    Args:
        weights: Attention weights, any dims that include ``over``; each slice along ``over`` is
            >= 0 and sums to 1.
        over: The dim that holds the distribution.

    Returns:
        The dims of ``weights`` less ``over``, in bits.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.

    Example:
        >>> weights = xr.DataArray([[1.0, 0.0], [0.5, 0.5]], dims=["query", "key"])
        >>> entropy(weights).values
        array([0., 1.])

    Source:
        Shannon (1948), "A Mathematical Theory of Communication", section 6.
    """
    return _along(entropy_of_rows, weights, over=over, name="entropy", unit="bit")


def normalised_entropy(weights: xr.DataArray, *, over: str = KEY) -> xr.DataArray:
    """Entropy as a share of the most there can be: 0 on one key, 1 spread evenly.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.

    Returns:
        The dims of ``weights`` less ``over``, without unit; NaN where there is only one key.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> normalised_entropy(weights).values
        array([0.5])

    Source:
        Shannon (1948), "A Mathematical Theory of Communication", section 7, relative entropy.
    """
    return _along(
        normalised_entropy_of_rows, weights, over=over, name="normalised_entropy", unit="1"
    )


def perplexity(weights: xr.DataArray, *, over: str = KEY) -> xr.DataArray:
    """As how many keys with equal weights attention is spread: 1 on one key, n over n keys.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.

    Returns:
        The dims of ``weights`` less ``over``, in keys.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> perplexity(weights).values
        array([2.])

    Source:
        Jelinek et al. (1977), "Perplexity: a measure of the difficulty of speech recognition
        tasks".
    """
    return _along(perplexity_of_rows, weights, over=over, name="perplexity", unit="key")


def check_attention(weights: xr.DataArray, *, over: str, caller: str) -> None:
    """Refuse what is no attention over ``over``.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: it is empty, or a slice is negative or does not sum to 1 within 0.001.

    Example:
        >>> check_attention(xr.DataArray([0.5, 0.5], dims="key"), over="key", caller="example")
    """
    if over not in weights.dims:
        raise AxisError(
            f"{caller}: the array has no dim '{over}'; it has {weights.dims}. "
            f"Name the dim that sums to 1 with over=..."
        )
    if weights.size == 0:
        raise NotAttentionError(
            f"{caller}: the array is empty, {dict(weights.sizes)}. Give weights."
        )
    least = float(weights.min())
    off = float(np.abs(weights.sum(over, skipna=False).values - 1).max())
    # Negated, so that NaN is refused as well. 0.001: sums of float16 weights stay within it.
    if not (least >= 0 and off <= 0.001):
        raise NotAttentionError(
            f"{caller}: attention must be >= 0 and sum to 1 over '{over}'; here the least value "
            f"is {least:.4g} and one sum is off by {off:.4g}. Raw scores? Take their softmax first."
        )


def entropy_of_rows(weights: Any) -> Any:
    """``entropy`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    tiny = xp.finfo(weights.dtype).tiny
    # 0.0 - x and not -x, or a row with all its weight on one key would read -0.0.
    return 0.0 - xp.sum(weights * xp.log2(xp.clip(weights, min=tiny)), axis=-1)


def normalised_entropy_of_rows(weights: Any) -> Any:
    """``normalised_entropy`` over the last axis of a NumPy array or tensor; differentiable."""
    keys = weights.shape[-1]
    most = float(np.log2(keys)) if keys > 1 else float("nan")
    return entropy_of_rows(weights) / most


def perplexity_of_rows(weights: Any) -> Any:
    """``perplexity`` over the last axis of a NumPy array or tensor; differentiable."""
    return 2.0 ** entropy_of_rows(weights)


def _along(
    kernel: Callable[[Any], Any], weights: xr.DataArray, *, over: str, name: str, unit: str
) -> xr.DataArray:
    check_attention(weights, over=over, caller=name)
    value: xr.DataArray = xr.apply_ufunc(kernel, weights, input_core_dims=[[over]])
    return value.rename(name).assign_attrs(units=unit)
