"""Thresholds from which on a map is hot, computed from the map itself.

Kernels over the last two axes of NumPy arrays or tensors. An even map has no hot part: NaN.
"""

from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

TRIED = 100
"""How many thresholds the oracle tries: percentiles of the map, fine enough for two digits."""


def level_of_maps(heat: Any, name: str, mass: float = 0.8) -> Any:
    """The threshold that goes by this name; ``mass`` is the share that the rule of mass keeps."""
    xp = array_namespace(heat)
    flat = xp.reshape(heat, (*heat.shape[:-2], -1))
    level = mass_level_of_rows(flat, mass) if name == "mass" else LEVELS[name](flat)
    return xp.where(even(heat), xp.full_like(level, float("nan")), level)


def mean_level_of_rows(values: Any) -> Any:
    """The mean along the last axis."""
    return array_namespace(values).mean(values, axis=-1)


def mass_level_of_rows(values: Any, mass: float = 0.8) -> Any:
    """The value of the last of the fewest entries that together hold a share of the sum."""
    xp = array_namespace(values)
    ordered = xp.sort(xp.clip(values, min=0.0), axis=-1, descending=True)
    reached = xp.cumulative_sum(ordered, axis=-1)
    slack = max(1e-12, 8 * float(xp.finfo(values.dtype).eps))  # as in coverage_of_rows
    short = reached < (mass - slack) * reached[..., -1:]
    last = xp.sum(xp.astype(short, xp.int64), axis=-1, keepdims=True)
    last = xp.clip(last, max=values.shape[-1] - 1)
    return xp.take_along_axis(ordered, last, axis=-1)[..., 0]


def otsu_level_of_rows(values: Any) -> Any:
    """The least value of the upper of the two classes that differ most, by Otsu's criterion."""
    xp = array_namespace(values)
    ordered = xp.sort(values, axis=-1)
    count = values.shape[-1]
    below = xp.arange(1, count, dtype=values.dtype, device=values.device)
    sums = xp.cumulative_sum(ordered, axis=-1)
    low = sums[..., :-1] / below
    high = (sums[..., -1:] - sums[..., :-1]) / (count - below)
    between = below * (count - below) * (high - low) ** 2
    # Equal values cannot be told apart by a threshold.
    cut = ordered[..., 1:] > ordered[..., :-1]
    best = xp.argmax(xp.where(cut, between, xp.full_like(between, -1.0)), axis=-1, keepdims=True)
    return xp.take_along_axis(ordered, best + 1, axis=-1)[..., 0]


LEVELS: dict[str, Callable[[Any], Any]] = {
    "mean": mean_level_of_rows,
    "mass": mass_level_of_rows,
    "otsu": otsu_level_of_rows,
}
"""Thresholds by name, of rows of values."""


def oracle_level_of_maps(heat: Any, mask: Any) -> Any:
    """The percentile of the map at which its hot part overlaps the mask best."""
    xp = array_namespace(heat, mask)
    heat, mask = xp.broadcast_arrays(heat, mask)
    flat = xp.reshape(heat, (*heat.shape[:-2], -1))
    ordered = xp.sort(flat, axis=-1)
    count = flat.shape[-1]
    best = xp.full_like(ordered[..., 0], float("nan"))
    score = xp.full_like(best, -1.0)
    for number in range(min(TRIED, count)):
        level = ordered[..., number * count // min(TRIED, count)]
        got = _overlap(heat, mask, level)
        best, score = xp.where(got > score, level, best), xp.where(got > score, got, score)
    return xp.where(even(heat), xp.full_like(best, float("nan")), best)


def even(heat: Any) -> Any:
    """Whether all values of the last two axes are alike, or one is no number."""
    xp = array_namespace(heat)
    return ~(xp.max(heat, axis=(-2, -1)) > xp.min(heat, axis=(-2, -1)))


def _overlap(heat: Any, mask: Any, level: Any) -> Any:
    xp = array_namespace(heat, mask)
    hot = heat >= level[..., None, None]
    both = xp.sum(xp.astype(hot & mask, heat.dtype), axis=(-2, -1))
    return both / xp.clip(xp.sum(xp.astype(hot | mask, heat.dtype), axis=(-2, -1)), min=1.0)
