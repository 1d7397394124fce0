"""Ranking by a score: ranks, average precision and the area under the ROC curve, ties and all.

Kernels over the last axis of NumPy arrays or tensors. Equal scores are one threshold: sorted, they
form a run, and only the end of a run is a point of the curve.
"""

from typing import Any

from array_api_compat import array_namespace


def or_nan(divisor: Any) -> Any:
    """What to divide by, or NaN where it is not above 0: the quotient is undefined, unwarned.

    Example:
        >>> import numpy as np
        >>> 1 / or_nan(np.array([2.0, 0.0]))
        array([0.5, nan])
    """
    xp = array_namespace(divisor)
    return xp.where(divisor > 0, divisor, xp.full_like(divisor, float("nan")))


def average_precision_of_rows(scores: Any, positive: Any) -> Any:
    """Precision at each threshold, weighed by the recall that it adds; NaN without positives."""
    xp = array_namespace(scores, positive)
    hits, misses, new_hits, _ = _curve(scores, positive)
    precision = hits / xp.clip(hits + misses, min=1.0)
    return xp.sum(new_hits * precision, axis=-1) / or_nan(hits[..., -1])


def roc_area_of_rows(scores: Any, positive: Any) -> Any:
    """The area under the ROC curve by trapezoids; NaN without positives or without negatives."""
    xp = array_namespace(scores, positive)
    hits, misses, new_hits, new_misses = _curve(scores, positive)
    # Pairs in which the positive is hotter, those that tie by half.
    pairs = xp.sum(new_misses * (hits - new_hits / 2), axis=-1)
    return pairs / or_nan(hits[..., -1] * misses[..., -1])


def ranks_of_rows(values: Any) -> Any:
    """The rank of every value along the last axis, from 1; equal values share their mean rank."""
    xp = array_namespace(values)
    order = xp.argsort(values, axis=-1, stable=True)
    ordered = xp.take_along_axis(values, order, axis=-1)
    count = values.shape[-1]
    place = xp.broadcast_to(
        xp.arange(count, dtype=values.dtype, device=values.device), values.shape
    )
    first, last = _ends(ordered)
    start = greatest_so_far(xp.where(first, place, xp.zeros_like(place)))
    # From the other end: the last place of the run.
    back = xp.flip(xp.where(last, count - 1 - place, xp.zeros_like(place)), axis=-1)
    stop = count - 1 - xp.flip(greatest_so_far(back), axis=-1)
    shared = (start + stop) / 2 + 1
    return xp.take_along_axis(shared, xp.argsort(order, axis=-1, stable=True), axis=-1)


def greatest_so_far(values: Any) -> Any:
    """The greatest of each value and those before it, along the last axis."""
    xp = array_namespace(values)
    step = 1
    # Hillis and Steele (1986), "Data Parallel Algorithms": after each round a value has seen twice
    # as many before it. The array standard has no running maximum.
    while step < values.shape[-1]:
        seen = xp.maximum(values[..., step:], values[..., :-step])
        values = xp.concat([values[..., :step], seen], axis=-1)
        step *= 2
    return values


def _curve(scores: Any, positive: Any) -> tuple[Any, Any, Any, Any]:
    """Hits and misses down to each score, and those new at the end of each run of equal scores."""
    xp = array_namespace(scores, positive)
    order = xp.argsort(scores, axis=-1, descending=True, stable=True)
    ordered = xp.take_along_axis(scores, order, axis=-1)
    right = xp.astype(xp.take_along_axis(positive, order, axis=-1), scores.dtype)
    # NaN sorts anywhere; a row that has one has no curve.
    right = right + 0 * xp.sum(scores, axis=-1, keepdims=True)
    hits = xp.cumulative_sum(right, axis=-1)
    misses = xp.cumulative_sum(1 - right, axis=-1)
    _, last = _ends(ordered)
    return hits, misses, _new(hits, last), _new(misses, last)


def _new(count: Any, last: Any) -> Any:
    """What a running count gained since the run before; 0 but at the end of a run."""
    xp = array_namespace(count)
    nothing = xp.zeros_like(count)
    ends = greatest_so_far(xp.where(last, count, nothing))
    before = xp.concat([nothing[..., :1], ends[..., :-1]], axis=-1)
    return xp.where(last, count - before, nothing)


def _ends(ordered: Any) -> tuple[Any, Any]:
    """Where runs of equal values begin and end, in rows that are sorted."""
    xp = array_namespace(ordered)
    change = ordered[..., 1:] != ordered[..., :-1]
    edge = xp.ones_like(ordered[..., :1], dtype=xp.bool)
    return xp.concat([edge, change], axis=-1), xp.concat([change, edge], axis=-1)
