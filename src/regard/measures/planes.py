"""A map made comparable with a mask: on the same pixels, on a common scale."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.measures.rows import check_labelled
from regard.stats.ranks import or_nan
from regard.trace import resize

SCALES = ("range", "mean")
"""How maps may be brought to a common scale; see `scaled_to`."""


def at_pixels_of(mask: xr.DataArray, heat: xr.DataArray, *, caller: str) -> xr.DataArray:
    """The map on the grid of the mask.

    Raises:
        AxisError: one of them lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean, or one of them is empty.

    Example:
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> heat = xr.DataArray([[3.0]], dims=["y", "x"])
        >>> at_pixels_of(mask, heat, caller="example").values
        array([[3., 3.]])
    """
    for what, plane in (("mask", mask), ("map", heat)):
        check_labelled(plane, caller)
        if not {Y, X} <= set(plane.dims):
            raise AxisError(f"{caller}: the {what} has dims {plane.dims}; it needs 'y' and 'x'.")
        if plane.size == 0:
            raise ArgumentError(f"{caller}: the {what} is empty, {dict(plane.sizes)}. Give pixels.")
    if mask.dtype != np.dtype(bool):
        raise ArgumentError(
            f"{caller}: the mask holds {mask.dtype} and must be boolean. "
            f"Give mask > 0, or as you mean."
        )
    if heat.sizes[Y] == mask.sizes[Y] and heat.sizes[X] == mask.sizes[X]:
        labels = [name for name in heat.coords if {Y, X} & set(heat[name].dims)]
        return heat.drop_vars(labels).astype(np.float64)
    return resize(heat, (mask.sizes[Y], mask.sizes[X]))


def scaled_to(scale: str, heat: xr.DataArray) -> xr.DataArray:
    """A map on a common scale: its ``range`` is 0..1, or its ``mean`` is 1.

    Raises:
        ArgumentError: there is no such scale.

    Example:
        >>> scaled_to("mean", xr.DataArray([[3.0, 1.0]], dims=["y", "x"])).values
        array([[1.5, 0.5]])
    """
    if scale not in SCALES:
        raise ArgumentError(f"iou: scale is '{scale}' and must be one of {', '.join(SCALES)}.")
    kernel = scaled_to_range if scale == "range" else scaled_to_mean
    scaled: xr.DataArray = xr.apply_ufunc(
        kernel, heat, input_core_dims=[[Y, X]], output_core_dims=[[Y, X]]
    )
    return scaled


def on_planes(
    kernel: Callable[..., Any], heat: xr.DataArray, mask: xr.DataArray, *scalars: Any
) -> xr.DataArray:
    """A kernel over the pixels of a map and of a mask that has the same, and of more arguments.

    Example:
        >>> plane = xr.DataArray([[1.0, 3.0]], dims=["y", "x"])
        >>> on_planes(lambda heat, mask: heat[mask].sum(), plane, plane > 2).item()
        3.0
    """
    planes: list[list[str]] = [[Y, X], [Y, X]]
    bare = mask.drop_vars([name for name in mask.coords if {Y, X} & set(mask[name].dims)])
    core = planes + [[] for _ in scalars]
    value: xr.DataArray = xr.apply_ufunc(kernel, heat, bare, *scalars, input_core_dims=core)
    return value


def scaled_to_range(heat: Any) -> Any:
    """Least value 0 and greatest 1 over the last two axes; NaN where all are equal."""
    xp = array_namespace(heat)
    least = xp.min(heat, axis=(-2, -1), keepdims=True)
    span = xp.max(heat, axis=(-2, -1), keepdims=True) - least
    return (heat - least) / or_nan(span)


def scaled_to_mean(heat: Any) -> Any:
    """Mean 1 over the last two axes; NaN where the mean is not above 0."""
    xp = array_namespace(heat)
    mean = xp.mean(heat, axis=(-2, -1), keepdims=True)
    return heat / or_nan(mean)
