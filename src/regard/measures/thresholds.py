"""What maps are held against: a threshold fixed beforehand, and the centred disc."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from regard.axes import X, Y
from regard.errors import ArgumentError
from regard.measures.inside import (
    iou_of_maps,
)
from regard.measures.planes import at_pixels_of, scaled_to


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
        (_comparable(heat, mask, scale=scale).values, mask.transpose(Y, X).values)
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


def _comparable(heat: xr.DataArray, mask: xr.DataArray, *, scale: str) -> xr.DataArray:
    return scaled_to(scale, at_pixels_of(mask, heat, caller="best_threshold"))
