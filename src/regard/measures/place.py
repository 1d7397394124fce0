"""Where attention lies: maps against masks, and the baselines to beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.trace import resize

SCALES = ("range", "mean")


def iou(
    heat: xr.DataArray, mask: xr.DataArray, *, threshold: float, scale: str = "range"
) -> xr.DataArray:
    """Overlap of the hot part of a map with a mask: 0 apart, 1 where they are the same.

    The map is resized bilinearly to the pixels of the mask and put on a common scale; what reaches
    the threshold is hot. Fix the threshold beforehand, on other maps (`best_threshold`).

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims.
        mask: True where the thing is, over ``y``, ``x`` and perhaps dims of ``heat``.
        threshold: The least value that counts as hot, on that scale.
        scale: ``range`` takes the least value to 0 and the greatest to 1; ``mean`` divides by the
            mean, so that 1 is an even share.

    Returns:
        Intersection over union, less ``y`` and ``x``; NaN for an empty mask or an even map.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean, or there is no such scale.

    Example:
        >>> heat = xr.DataArray([[0.1, 0.2], [0.3, 0.9]], dims=["y", "x"])
        >>> mask = xr.DataArray([[False, False], [True, True]], dims=["y", "x"])
        >>> iou(heat, mask, threshold=0.5).item()
        0.5

    Source:
        Jaccard (1912), "The Distribution of the Flora in the Alpine Zone", the coefficient of
        community.
    """
    scaled = at_pixels_of(mask, heat, scale=scale)
    value: xr.DataArray = xr.apply_ufunc(
        iou_of_maps, scaled, mask, threshold, input_core_dims=[[Y, X], [Y, X], []]
    )
    return value.rename("iou").assign_attrs(units="1", threshold=threshold, scale=scale)


def best_threshold(
    heats: Sequence[xr.DataArray], masks: Sequence[xr.DataArray], *, scale: str = "range"
) -> float:
    """The one threshold that gives the highest mean `iou` on a set of maps.

    Choose it on other prompts than those that are reported. Tried are the percentiles of all
    values of the set.

    Args:
        heats: Maps over ``y`` and ``x``.
        masks: The mask of each.
        scale: As in `iou`.

    Returns:
        The threshold, on that scale.

    Raises:
        ArgumentError: the set is empty, the lists differ in length, or no pair can be judged.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.2, 0.8, 1.0]], dims=["y", "x"])
        >>> best = best_threshold([heat], [heat > 0.5])
        >>> 0.2 < best <= 0.8
        True

    Source:
        Jaccard (1912), as `iou`; one operating point for a whole set.
    """
    if not heats or len(heats) != len(masks):
        raise ArgumentError(
            f"best_threshold: got {len(heats)} maps and {len(masks)} masks. "
            f"Give one mask per map, and at least one."
        )
    pairs = [
        (at_pixels_of(mask, heat, scale=scale).values, mask.transpose(Y, X).values)
        for heat, mask in zip(heats, masks, strict=True)
    ]
    judged = [(heat, mask) for heat, mask in pairs if mask.any() and np.isfinite(heat).all()]
    if not judged:
        raise ArgumentError(
            "best_threshold: every mask is empty or every map even. Give maps of things seen."
        )
    values = np.concatenate([heat.ravel() for heat, _ in judged])
    tried = np.unique(np.quantile(values, np.linspace(0.01, 0.99, 99)))
    scores = [np.mean([iou_of_maps(heat, mask, t) for heat, mask in judged]) for t in tried]
    return float(tried[int(np.argmax(scores))])


def disc(grid: tuple[int, int]) -> xr.DataArray:
    """The map of one who guesses the centre: 1 in the middle, falling evenly to 0 at the corners.

    Cut at any threshold it is a centred disc. Choose its threshold as for the maps it is beside.

    Args:
        grid: Rows and columns.

    Returns:
        ``y``, ``x`` in 0..1, without unit.

    Raises:
        ArgumentError: a side of ``grid`` is less than 1.

    Example:
        >>> disc((1, 4)).values.round(2)
        array([[0.27, 0.76, 0.76, 0.27]])

    Source:
        Judd et al. (2012), "A Benchmark of Computational Models of Saliency to Predict Human
        Fixations", the centre baseline.
    """
    rows, columns = grid
    if min(grid) < 1:
        raise ArgumentError(f"disc: the grid is {grid} and needs at least one row and column.")
    down = np.arange(rows) + 0.5 - rows / 2
    across = np.arange(columns) + 0.5 - columns / 2
    distance = np.hypot(down[:, None], across[None, :])
    values = 1.0 - distance / np.hypot(rows / 2, columns / 2)
    return xr.DataArray(values, dims=(Y, X), name="disc", attrs={"units": "1"})


def at_pixels_of(mask: xr.DataArray, heat: xr.DataArray, *, scale: str) -> xr.DataArray:
    """The map on the grid of the mask, on a common scale.

    Raises:
        AxisError: one of them lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean, or there is no such scale.

    Example:
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> heat = xr.DataArray([[3.0, 1.0]], dims=["y", "x"])
        >>> at_pixels_of(mask, heat, scale="mean").values
        array([[1.5, 0.5]])
    """
    if not {Y, X} <= set(mask.dims):
        raise AxisError(f"iou: the mask has dims {mask.dims}; it needs 'y' and 'x'.")
    if mask.dtype != np.dtype(bool):
        raise ArgumentError(
            f"iou: the mask holds {mask.dtype} and must be boolean. Give mask > 0, or as you mean."
        )
    if scale not in SCALES:
        raise ArgumentError(f"iou: scale is '{scale}' and must be one of {', '.join(SCALES)}.")
    kernel = scaled_to_range if scale == "range" else scaled_to_mean
    resized = resize(heat, (mask.sizes[Y], mask.sizes[X]))
    scaled: xr.DataArray = xr.apply_ufunc(
        kernel, resized, input_core_dims=[[Y, X]], output_core_dims=[[Y, X]]
    )
    return scaled


def iou_of_maps(heat: Any, mask: Any, threshold: float) -> Any:
    """``iou`` over the last two axes of NumPy arrays or tensors; the map is scaled already."""
    xp = array_namespace(heat, mask)
    hot = heat >= threshold
    both = xp.sum(xp.astype(hot & mask, heat.dtype), axis=(-2, -1))
    either = xp.sum(xp.astype(hot | mask, heat.dtype), axis=(-2, -1))
    known = xp.any(mask, axis=(-2, -1)) & xp.all(xp.isfinite(heat), axis=(-2, -1))
    return both / xp.where(known, either, xp.full_like(either, float("nan")))


def scaled_to_range(heat: Any) -> Any:
    """Least value 0 and greatest 1 over the last two axes; NaN where all are equal."""
    xp = array_namespace(heat)
    least = xp.min(heat, axis=(-2, -1), keepdims=True)
    span = xp.max(heat, axis=(-2, -1), keepdims=True) - least
    return (heat - least) / xp.where(span > 0, span, xp.full_like(span, float("nan")))


def scaled_to_mean(heat: Any) -> Any:
    """Mean 1 over the last two axes; NaN where the mean is not above 0."""
    xp = array_namespace(heat)
    mean = xp.mean(heat, axis=(-2, -1), keepdims=True)
    return heat / xp.where(mean > 0, mean, xp.full_like(mean, float("nan")))
