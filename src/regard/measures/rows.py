"""Rows of attention: what counts as attention, and how keys that are no patches are left out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.arguments import shown
from regard.errors import ArgumentError, AxisError, NotAttentionError
from regard.measures.about import labelled

OFF = 0.001
"""How far a sum may lie from 1: sums of float16 weights stay within it."""


def check_labelled(array: Any, caller: str) -> None:
    """Refuse what has no named dims.

    Raises:
        ArgumentError: it is no `xarray.DataArray`.

    Example:
        >>> check_labelled(xr.DataArray([0.5], dims="key"), "example")
    """
    if not isinstance(array, xr.DataArray):
        raise ArgumentError(
            f"{caller}: got {shown(array)} and needs an xarray.DataArray with named dims, such as "
            f"xr.DataArray(weights, dims=['query', 'key'])."
        )


def check_attention(weights: xr.DataArray, *, over: str, caller: str) -> None:
    """Refuse what is no attention over ``over``.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: it is empty, or a slice is negative or does not sum to 1 within 0.001.

    Example:
        >>> check_attention(xr.DataArray([0.5, 0.5], dims="key"), over="key", caller="example")
    """
    check_labelled(weights, caller)
    if over not in weights.dims:
        raise AxisError(
            f"{caller}: the array has no dim '{over}'; it has {weights.dims}. "
            f"Name the dim that sums to 1 with over=..."
        )
    if weights.size == 0:
        raise _empty(weights, caller)
    least = float(weights.min())
    off = float(np.abs(weights.sum(over, skipna=False).values - 1).max())
    # Negated, so that NaN is refused as well.
    if not (least >= 0 and off <= OFF):
        raise NotAttentionError(
            f"{caller}: attention must be >= 0 and sum to 1 over '{over}'; here the least value "
            f"is {least:.4g} and one sum is off by {off:.4g}. Raw scores? Take their softmax first."
        )


def check_dims(weights: xr.DataArray, *dims: str, caller: str) -> None:
    """Refuse an array that lacks one of the dims, or holds nothing.

    Raises:
        AxisError: the first dim that is missing is named.
        NotAttentionError: the array is empty.

    Example:
        >>> check_dims(xr.DataArray([0.5], dims="key"), "key", caller="example")
    """
    check_labelled(weights, caller)
    for dim in dims:
        if dim not in weights.dims:
            raise AxisError(
                f"{caller}: the array has no dim '{dim}'; it has {weights.dims}. "
                f"Give weights over {', '.join(dims)}."
            )
    if weights.size == 0:
        raise _empty(weights, caller)


def patch_rows(
    weights: xr.DataArray, *, over: str, prefix: int, caller: str, renormalise: bool = True
) -> xr.DataArray:
    """Checked rows without their first ``prefix`` keys, put to a sum of 1 again.

    Args:
        weights: Attention weights, any dims that include ``over``.
        over: The dim that sums to 1.
        prefix: How many keys at the start are no patches: CLS, registers.
        caller: The name of the calling function, for messages.
        renormalise: Whether the rest is divided by its sum.

    Returns:
        float32 or float64; a row with no mass on patches is NaN. ``attrs["prefix_mass"]`` is the
        mean mass that was left out.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: ``prefix`` is negative, or leaves no key.

    Example:
        >>> row = xr.DataArray([0.5, 0.25, 0.25], dims="key")
        >>> patch_rows(row, over="key", prefix=1, caller="example").values
        array([0.5, 0.5])
    """
    check_attention(weights, over=over, caller=caller)
    keys = weights.sizes[over]
    if not 0 <= prefix < keys:
        raise ArgumentError(
            f"{caller}: prefix is {prefix} and must lie in 0..{keys - 1}, for there are {keys} "
            f"keys. It counts the keys before the patches."
        )
    rows = precise(weights)
    if prefix == 0:
        return rows.assign_attrs(prefix_mass=0.0)
    rows = rows.isel({over: slice(prefix, None)})
    total = rows.sum(over)
    mass = float(1 - total.mean(dtype=np.float64))
    if renormalise:
        rows = rows / total.where(total > 0)
    return rows.assign_attrs(prefix_mass=mass)


def precise(weights: xr.DataArray) -> xr.DataArray:
    """The array in float32 or float64, without attrs: float16 adds up too roughly."""
    wide = weights.drop_attrs(deep=False)
    if wide.dtype in (np.float32, np.float64):
        return wide
    return wide.astype(np.float32 if wide.dtype == np.float16 else np.float64)


def of_rows(
    function: Callable[..., Any],
    kernel: Callable[[Any], Any],
    weights: xr.DataArray,
    *,
    over: str,
    prefix: int,
    **attrs: Any,
) -> xr.DataArray:
    """A kernel over the last axis as the measure ``function``: checked, labelled, with a unit."""
    rows = patch_rows(weights, over=over, prefix=prefix, caller=function.__name__)
    value: xr.DataArray = xr.apply_ufunc(kernel, rows, input_core_dims=[[over]])
    left_out = {"prefix_mass": rows.attrs["prefix_mass"]} if prefix else {}
    return labelled(value, function, **left_out, **attrs)


def mean_over(value: xr.DataArray, dim: str) -> xr.DataArray:
    """The mean over a dim without what is undefined; ``attrs["excluded"]`` counts that."""
    excluded = int(np.isnan(value.values).sum())
    return value.mean(dim, skipna=True).assign_attrs(excluded=excluded)


def where_known(value: Any, rows: Any) -> Any:
    """``value``, or NaN where the row it was counted from has NaN or infinite values.

    Comparing with NaN is false without a word, so what counts entries must ask.
    """
    xp = array_namespace(rows)
    known = xp.isfinite(xp.sum(rows, axis=-1))
    return xp.where(known, value, xp.full_like(value, float("nan")))


def _empty(weights: xr.DataArray, caller: str) -> NotAttentionError:
    return NotAttentionError(f"{caller}: the array is empty, {dict(weights.sizes)}. Give weights.")
