"""The ends of an interval from few clusters, such as prompts: as wide as they must be to cover.

A plain bootstrap of five clusters holds the true mean in 83 of 100 cases where it promises 95, for
it knows neither how uncertain the spread of so few is nor that skewed data err to one side. Here
Student's t gives the width, a bootstrap of t the longer side, and what is alike or has two values
is counted. Which shares were chosen, and how often the intervals cover, stands in
``tests/measures/test_coverage.py``.
"""

from collections.abc import Iterator

import numpy as np

from regard.stats.clusters import Floats, resampled

LEAST = 5
"""Clusters that an interval needs; of fewer nothing known covers skewed data."""

FARTHEST = 3.0
"""Times Student's reach that an end may lie from the mean: a bootstrap of five knows no more."""

NEAREST = 0.8
"""Times Student's reach that the shorter side has at least."""

RARER, FEW = 0.4, 20
"""What the longer side may miss, as a share of half of what the interval may, up to `FEW` clusters;
it goes to 1 with more."""

ALIKE = 1e-12
"""Share of the largest value up to which values count as equal."""


def ends_of(
    sums: Floats,
    counts: Floats,
    *,
    level: float,
    seed: int,
    repeats: int,
    bounds: tuple[float, float] | None = None,
) -> Floats:
    """Lower and upper ends [2, column] of the means of sums and counts [cluster, column].

    NaN with fewer than `LEAST` clusters. Where all are alike both are their value, but with
    ``bounds``, which a few others might well reach.

    Args:
        sums: Of the values of each cluster.
        counts: How many they are; 0 for a cluster that has none.
        level: Share of such intervals that hold the true mean.
        seed: Of the bootstrap.
        repeats: How many resamples.
        bounds: What no value can lie beyond; then no end does, and clusters that are all alike
            have an interval too.

    Source:
        Wilson (1927), "Probable Inference", for two values; Efron and Tibshirani (1993), "An
        Introduction to the Bootstrap", section 12.5, for the bootstrap of t.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 is NaN: a column without any number
        means = sums.sum(0) / counts.sum(0)
        each = np.where(counts > 0, sums / counts, np.nan)
    number = (counts > 0).sum(0).astype(np.float64)
    enough = number >= LEAST
    ends = np.full((2, len(means)), np.nan)
    if not enough.any():
        return ends
    low, high = (pick(each, axis=0, where=counts > 0, initial=start)
                 for pick, start in ((np.min, np.inf), (np.max, -np.inf)))  # fmt: skip
    alike = enough & (high - low <= ALIKE * np.maximum(np.abs(low), np.abs(high)))
    pair = enough & ~alike & ((each == low) | (each == high) | (counts == 0)).all(0)
    rest = enough & ~alike & ~pair
    ends[:, alike] = means[alike]
    if bounds is not None:
        ends[:, alike] = _alike(means[alike], number[alike], level, bounds)
    share = (means[pair] - low[pair]) / (high[pair] - low[pair])
    ends[:, pair] = low[pair] + (high - low)[pair] * wilson(share, number[pair], level)
    if rest.any():
        ends[:, rest] = _studentised(sums[:, rest], counts[:, rest], level, seed, repeats)
    return ends if bounds is None else np.clip(ends, *bounds)


def reaches(ts: Floats, freedom: Floats, number: Floats, level: float) -> tuple[Floats, Floats]:
    """How far the ends lie below and above the mean, in standard errors.

    Args:
        ts: Resampled values of t, [resample, column]; infinite where a resample has no spread.
        freedom: Degrees of freedom of Student's t, [column].
        number: Clusters, [column].
        level: Share of intervals that hold the true mean.
    """
    from scipy.special import stdtrit

    usual = stdtrit(freedom, (1 + level) / 2)
    half = (1 - level) / 2
    rarer = half * (1 - (1 - RARER) * np.minimum(1.0, FEW / number))
    ordered = np.sort(ts, axis=0)
    plain = _tails(ordered, np.broadcast_to(half, rarer.shape))
    longer = plain[1] >= plain[0]  # a large t comes up where the true mean lies far below
    far = np.where(longer, *_tails(ordered, rarer)[::-1])
    near = np.where(longer, *plain)
    far = np.clip(far, usual, FARTHEST * usual)
    near = np.clip(near, NEAREST * usual, usual)
    return np.where(longer, far, near), np.where(longer, near, far)


def t_of(off: Floats, own: Floats, error: Floats) -> Floats:
    """Resampled means less the mean over their own standard errors; infinite where those are 0.

    Args:
        off: How far the mean of each resample lies from the mean.
        own: The standard error of the resample.
        error: That of all values, which says what counts as 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ts = np.where(own > 1e-9 * error, off / own, np.sign(off) * np.inf)
    return np.where(
        np.abs(off) <= 1e-9 * error, 0.0, np.nan_to_num(ts, nan=0.0, posinf=np.inf, neginf=-np.inf)
    )


def wilson(share: Floats, number: Floats, level: float) -> Floats:
    """Lower and upper end of a share that was seen in a number of trials, [2, ...].

    Args:
        share: Of the trials, 0..1.
        number: How many trials there were, at least one.
        level: How often such intervals hold the true share.

    Example:
        >>> wilson(np.array([0.0]), np.array([10.0]), 0.95).round(4).ravel()
        array([0.    , 0.2775])

    Source:
        Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    from scipy.special import ndtri

    z = ndtri((1 + level) / 2)
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    reach = np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    reach = reach * z / (1 + z**2 / number)
    # Of none and of all, the ends are what they are, without what was rounded off.
    low, high = np.where(share == 0, 0.0, centre - reach), np.where(share == 1, 1.0, centre + reach)
    ends: Floats = np.clip(np.stack([low, high]), 0.0, 1.0)
    return ends


def _alike(means: Floats, number: Floats, level: float, bounds: tuple[float, float]) -> Floats:
    """As many others as may well have gone unseen might lie as far as the bounds."""
    unseen = wilson(np.zeros(len(means)), number, level)[1]
    return np.stack([means - unseen * (means - bounds[0]), means + unseen * (bounds[1] - means)])


def _tails(ordered: Floats, miss: Floats) -> tuple[Floats, Floats]:
    """Minus the low, and the high quantile of each column, the next one outwards."""
    last = len(ordered) - 1
    steps = np.floor(miss * last).astype(np.int64)
    across = np.arange(ordered.shape[1])
    return -ordered[steps, across], ordered[last - steps, across]


def _studentised(sums: Floats, counts: Floats, level: float, seed: int, repeats: int) -> Floats:
    number = (counts > 0).sum(0).astype(np.float64)
    total = counts.sum(0)
    means = sums.sum(0) / total
    apart = sums - means * counts  # of the clusters from the mean, as the estimator is linearised
    grow = number / (number - 1)
    error = np.sqrt(grow * (apart**2).sum(0)) / total
    ts = np.concatenate(list(_resampled_ts(apart, counts, grow, error, seed, repeats)))
    down, up = reaches(ts, number - 1, number, level)
    return np.stack([means - down * error, means + up * error])


def _resampled_ts(
    apart: Floats, counts: Floats, grow: Floats, error: Floats, seed: int, repeats: int
) -> Iterator[Floats]:
    """Resampled values of t, [part, column] at a time."""
    even = bool((counts == counts[:1]).all())
    arrays = [apart, apart**2]
    if not even:
        arrays += [counts, counts * apart, counts**2]
    number = len(counts)
    for far, squares, *more in resampled(arrays, seed=seed, repeats=repeats):
        of = more if more else [number * counts[0], far * counts[0], number * counts[0] ** 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            off = far / of[0]
            spread = squares - 2 * off * of[1] + off**2 * of[2]
            own = np.sqrt(grow * np.maximum(spread, 0.0)) / of[0]
        yield t_of(off, own, error)
