"""Where attention lies: maps against masks, and the baselines to beat."""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from regard.arguments import number, number_or_none, shown
from regard.axes import X, Y
from regard.errors import ArgumentError
from regard.measures.about import MAP_AND_MASK, NONE, labelled, measure
from regard.measures.inside import (
    average_precision_of_maps,
    energy_lift_of_maps,
    energy_of_maps,
    iou_of_maps,
    pointing_game_of_maps,
    roc_area_of_maps,
)
from regard.measures.levels import LEVELS, level_of_maps, oracle_level_of_maps
from regard.measures.planes import at_pixels_of, on_planes, scaled_to

one_map = partial(measure, reads=MAP_AND_MASK, reduce=NONE)


@one_map(unit="1", higher="better overlap")
def iou(
    heat: xr.DataArray,
    mask: xr.DataArray,
    *,
    threshold: float | str | xr.DataArray,
    scale: str = "range",
    mass: float = 0.8,
) -> xr.DataArray:
    """Overlap of the hot part of a map with a mask: 0 apart, 1 where they are the same.

    The map is resized bilinearly to the pixels of the mask; what reaches the threshold is hot. A
    number counts on a common scale: fix it beforehand, on other maps (`best_threshold`). A name
    takes the threshold from the map itself. ``oracle`` takes it from the mask too, the best there
    is: a bound for the others, and no result.

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims.
        mask: True where the thing is, over ``y``, ``x`` and perhaps dims of ``heat``.
        threshold: A number; several, as an array over a dim of its own, for a sweep; or ``mean``
            (what reaches the mean), ``mass`` (the fewest pixels that hold a share of the map),
            ``otsu`` (the split into two classes that differ most) or ``oracle``.
        scale: For numbers. ``range`` takes the least value to 0 and the greatest to 1; ``mean``
            divides by the mean, so that 1 is an even share.
        mass: The share of the map that ``mass`` keeps.

    Returns:
        Intersection over union, less ``y`` and ``x``; NaN for an empty mask or an even map, and
        ``attrs["undefined"]`` counts these.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean, or there is no such threshold or scale.

    Example:
        >>> heat = xr.DataArray([[0.1, 0.2], [0.3, 0.9]], dims=["y", "x"])
        >>> mask = xr.DataArray([[False, False], [True, True]], dims=["y", "x"])
        >>> iou(heat, mask, threshold=0.5).item(), iou(heat, mask, threshold="oracle").item()
        (0.5, 1.0)

    Source:
        Jaccard (1912), "The Distribution of the Flora in the Alpine Zone", the coefficient of
        community. ``otsu``: Otsu (1979), "A Threshold Selection Method from Gray-Level
        Histograms", here on the values themselves. ``mean``: Chefer et al. (2021), "Transformer
        Interpretability Beyond Attention Visualization", segmentation. ``mass``: Caron et al.
        (2021), "Emerging Properties in Self-Supervised Vision Transformers".
    """
    if isinstance(threshold, str):
        resized = at_pixels_of(mask, heat, caller="iou")
        level = _named_level(resized, mask, threshold, mass=mass)
        value = on_planes(iou_of_maps, resized, mask, level)
        told: dict[str, Any] = {"threshold": threshold}
        return labelled(value, iou, **told, **({"mass": mass} if threshold == "mass" else {}))
    if not isinstance(threshold, xr.DataArray):
        threshold = number(threshold, "threshold", "iou", cure="Or name a rule, such as 'mean'.")
    scaled = scaled_to(scale, at_pixels_of(mask, heat, caller="iou"))
    value = on_planes(iou_of_maps, scaled, mask, threshold)
    told = {"threshold": "sweep" if isinstance(threshold, xr.DataArray) else threshold}
    return labelled(value, iou, **told, scale=scale)


@one_map(unit="1", higher="the peak lies inside")
def pointing_game(heat: xr.DataArray, mask: xr.DataArray, *, tolerance: int = 0) -> xr.DataArray:
    """Whether the hottest pixel lies on the mask: 1 a hit, 0 a miss, between them if several tie.

    Where several pixels are hottest, it is the share of them that hits: the expected
    score of one of them chosen at random. The mean over maps is the accuracy.

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims; resized to the pixels of the mask.
        mask: True where the thing is.
        tolerance: Pixels by which a miss still counts as a hit.

    Returns:
        0..1, less ``y`` and ``x``; NaN for an empty mask.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean, or ``tolerance`` is negative.

    Example:
        >>> heat = xr.DataArray([[0.1, 0.9, 0.9]], dims=["y", "x"])
        >>> pointing_game(heat, heat > 0.5).item()
        1.0

    Source:
        Zhang et al. (2018), "Top-Down Neural Attention by Excitation Backprop", the pointing game.

    Differs from the paper:
        Ties count by their share, and the tolerance is none unless one is given.
    """
    if tolerance < 0:
        raise ArgumentError(f"pointing_game: tolerance is {tolerance} and must not be negative.")
    resized = at_pixels_of(mask, heat, caller="pointing_game")
    wide = xr.apply_ufunc(
        partial(_widened, by=tolerance), mask, input_core_dims=[[Y, X]], output_core_dims=[[Y, X]]
    )
    value = on_planes(pointing_game_of_maps, resized, wide)
    return labelled(value, pointing_game, tolerance=tolerance)


@one_map(unit="share of the map", higher="more of the map inside")
def energy(heat: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """What share of a map lies on the mask: 0 none, 1 all; an even map scores the mask's area.

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims; resized to the pixels of the mask.
            What is negative counts as 0.
        mask: True where the thing is.

    Returns:
        0..1, less ``y`` and ``x``; NaN for an empty mask, or a map without anything positive. The
        area of the mask, to hold it against, is in ``attrs["area"]`` (the mean over masks).

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean.

    Example:
        >>> heat = xr.DataArray([[1.0, 3.0]], dims=["y", "x"])
        >>> energy(heat, heat > 2).item()
        0.75

    Source:
        Wang et al. (2020), "Score-CAM: Score-Weighted Visual Explanations for Convolutional
        Neural Networks", the energy-based pointing game.
    """
    value = on_planes(energy_of_maps, at_pixels_of(mask, heat, caller="energy"), mask)
    return labelled(value, energy, area=float(mask.mean()))


@one_map(unit="1", high="pixels", higher="more of the map inside than by chance")
def energy_lift(heat: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """How many times the share of an even map lies on the mask: 0 none, 1 as an even map.

    It is `energy` over the area of the mask, and 1 for a mask that covers everything.

    Args:
        heat: As for `energy`.
        mask: True where the thing is.

    Returns:
        0 and up, less ``y`` and ``x``; NaN where `energy` is.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean.

    Example:
        >>> heat = xr.DataArray([[1.0, 3.0]], dims=["y", "x"])
        >>> energy_lift(heat, heat > 2).item()
        1.5

    Source:
        Wang et al. (2020), as `energy`; divided by what chance scores.
    """
    resized = at_pixels_of(mask, heat, caller="energy_lift")
    return labelled(on_planes(energy_lift_of_maps, resized, mask), energy_lift)


@one_map(unit="1", higher="inside is hotter")
def average_precision(heat: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """Precision over all thresholds, weighed by recall: 1 if inside is hotter than all outside.

    An even map scores the area of the mask. No threshold, no scale.

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims; resized to the pixels of the mask.
        mask: True where the thing is.

    Returns:
        0..1, less ``y`` and ``x``; NaN for an empty mask.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean.

    Example:
        >>> heat = xr.DataArray([[0.1, 0.8, 0.9]], dims=["y", "x"])
        >>> mask = xr.DataArray([[False, True, False]], dims=["y", "x"])
        >>> average_precision(heat, mask).item()
        0.5

    Source:
        Zhu (2004), "Recall, Precision and Average Precision"; tied values count as one threshold.
    """
    resized = at_pixels_of(mask, heat, caller="average_precision")
    return labelled(on_planes(average_precision_of_maps, resized, mask), average_precision)


@one_map(unit="1", higher="inside is hotter")
def roc_area(heat: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """The chance that a pixel inside is hotter than one outside: 0.5 for an even map, 1 at best.

    Args:
        heat: A map over ``y`` and ``x``, perhaps more dims; resized to the pixels of the mask.
        mask: True where the thing is.

    Returns:
        0..1, less ``y`` and ``x``; NaN for a mask that is empty or covers everything.

    Raises:
        AxisError: ``heat`` or ``mask`` lacks ``y`` or ``x``.
        ArgumentError: the mask is not boolean.

    Example:
        >>> heat = xr.DataArray([[0.1, 0.8, 0.9]], dims=["y", "x"])
        >>> mask = xr.DataArray([[False, True, False]], dims=["y", "x"])
        >>> roc_area(heat, mask).item()
        0.5

    Source:
        Hanley and McNeil (1982), "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve".
    """
    resized = at_pixels_of(mask, heat, caller="roc_area")
    return labelled(on_planes(roc_area_of_maps, resized, mask), roc_area)


def _named_level(heat: xr.DataArray, mask: xr.DataArray, name: str, *, mass: float) -> xr.DataArray:
    if name == "oracle":
        return on_planes(oracle_level_of_maps, heat, mask)
    if name not in LEVELS:
        raise ArgumentError(
            f"iou: threshold is '{name}' and must be a number or one of "
            f"{', '.join(sorted([*LEVELS, 'oracle']))}."
        )
    if not 0 < (number_or_none(mass) or 0.0) <= 1:
        raise ArgumentError(f"iou: mass is {shown(mass)} and must be over 0 and up to 1.")
    level: xr.DataArray = xr.apply_ufunc(
        partial(level_of_maps, name=name, mass=mass), heat, input_core_dims=[[Y, X]]
    )
    return level


def _widened(mask: Any, by: int) -> Any:
    """The mask and what lies within ``by`` pixels of it; an empty mask stays empty."""
    if by == 0:
        return mask
    from scipy.ndimage import distance_transform_edt

    wide = np.zeros_like(mask)
    for place in np.ndindex(mask.shape[:-2]):
        if mask[place].any():
            wide[place] = distance_transform_edt(~mask[place]) <= by
    return wide
