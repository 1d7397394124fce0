"""How well a map fits a mask, in numbers: kernels over the last two axes.

They take NumPy arrays or tensors; maps and masks have the same pixels.
"""

from typing import Any

from array_api_compat import array_namespace

from regard.stats.ranks import average_precision_of_rows, or_nan, roc_area_of_rows


def iou_of_maps(heat: Any, mask: Any, threshold: Any) -> Any:
    """``iou`` over the last two axes of NumPy arrays or tensors; the map is scaled already.

    Thresholds that are no single number have the leading axes of the result.
    """
    xp = array_namespace(heat, mask)
    level = threshold if isinstance(threshold, float | int) else threshold[..., None, None]
    hot = heat >= level
    both = xp.sum(xp.astype(hot & mask, heat.dtype), axis=(-2, -1))
    either = xp.sum(xp.astype(hot | mask, heat.dtype), axis=(-2, -1))
    known = xp.any(mask, axis=(-2, -1)) & xp.all(xp.isfinite(heat + level), axis=(-2, -1))
    return both / xp.where(known, either, xp.full_like(either, float("nan")))


def pointing_game_of_maps(heat: Any, mask: Any) -> Any:
    """``pointing_game`` over the last two axes of NumPy arrays or tensors."""
    xp = array_namespace(heat, mask)
    top = xp.astype(heat == xp.max(heat, axis=(-2, -1), keepdims=True), heat.dtype)
    hits = xp.sum(xp.where(mask, top, xp.zeros_like(top)), axis=(-2, -1))
    # NaN equals nothing, so a map with one has no top.
    return _where_there(mask, heat, hits / xp.clip(xp.sum(top, axis=(-2, -1)), min=1.0))


def energy_of_maps(heat: Any, mask: Any) -> Any:
    """``energy`` over the last two axes of NumPy arrays or tensors; differentiable."""
    xp = array_namespace(heat, mask)
    positive = xp.clip(heat, min=0.0)
    inside = xp.sum(xp.where(mask, positive, xp.zeros_like(positive)), axis=(-2, -1))
    total = xp.sum(positive, axis=(-2, -1))
    share = inside / or_nan(total)
    return _where_there(mask, heat, share)


def energy_lift_of_maps(heat: Any, mask: Any) -> Any:
    """``energy_lift`` over the last two axes of NumPy arrays or tensors; differentiable."""
    xp = array_namespace(heat, mask)
    area = xp.mean(xp.astype(mask, heat.dtype), axis=(-2, -1))
    return energy_of_maps(heat, mask) / or_nan(area)


def average_precision_of_maps(heat: Any, mask: Any) -> Any:
    """``average_precision`` over the last two axes of NumPy arrays or tensors."""
    return average_precision_of_rows(*_flat(heat, mask))


def roc_area_of_maps(heat: Any, mask: Any) -> Any:
    """``roc_area`` over the last two axes of NumPy arrays or tensors."""
    return roc_area_of_rows(*_flat(heat, mask))


def _flat(heat: Any, mask: Any) -> tuple[Any, Any]:
    """Both as rows of pixels, with the same leading axes."""
    xp = array_namespace(heat, mask)
    heat, mask = xp.broadcast_arrays(heat, mask)
    shape = (*heat.shape[:-2], heat.shape[-2] * heat.shape[-1])
    return xp.reshape(heat, shape), xp.reshape(mask, shape)


def _where_there(mask: Any, heat: Any, value: Any) -> Any:
    """``value``, or NaN for an empty mask or a map with NaN or infinite values."""
    xp = array_namespace(heat, mask)
    known = xp.any(mask, axis=(-2, -1)) & xp.all(xp.isfinite(heat), axis=(-2, -1))
    return xp.where(known, value, xp.full_like(value, float("nan")))
