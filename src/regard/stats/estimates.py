"""From values of single images or heads to an estimate with its interval and p."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.stats.correlation import spearman_of_pairs
from regard.stats.ends import LEAST, reaches, t_of
from regard.stats.means import paired

REPEATS = 2000
"""Draws for an interval or a p: the least p, 1/2001, still counts when raised for 20 tests."""

Floats = NDArray[Any]


@dataclass(frozen=True)
class Estimate:
    """A number, where it would likely lie in another sample, and whether chance would do.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval; NaN where there is none.
        high: Upper end.
        n: How many values it was made from.
        p: How often chance alone comes as far from the bound that it is held against; two-sided.
    """

    value: float
    low: float
    high: float
    n: int
    p: float


UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 0, float("nan"))
"""What can be said without two values."""


def mean_of(values: Floats, *, bound: float = 0.0, seed: int = 0) -> Estimate:
    """The mean of one value per image, held against a bound by exchanging signs.

    Example:
        >>> found = mean_of(np.array([1.0, 2.0, 3.0]), bound=1.0)
        >>> found.value, found.p  # differences 0, 1, 2: of 8 exchanges 4 are as far
        (2.0, 0.5)

    Source:
        `regard.stats.intervals.paired`.
    """
    known = np.isfinite(values)
    if known.sum() < 2:
        return UNKNOWN
    found = paired(np.full(len(values), bound), values, seed=seed, repeats=REPEATS)
    of = found.interval
    return Estimate(of.mean + bound, of.low + bound, of.high + bound, of.n, found.p)


def difference_of(first: Floats, second: Floats, *, seed: int = 0) -> Estimate:
    """By how much the mean of some images lies above that of others; p by exchanging images.

    Args:
        first: One value per image.
        second: One value per image, of other images.
        seed: Of the bootstrap.

    Returns:
        ``first`` less ``second``; both are resampled for the interval.

    Example:
        >>> found = difference_of(np.full(9, 3.0), np.full(9, 1.0))
        >>> found.value, found.low, found.n, found.p < 0.001
        (2.0, 2.0, 18, True)

    Source:
        Welch (1947), "The Generalization of Student's Problem when Several Different Population
        Variances are Involved"; Efron and Tibshirani (1993), "An Introduction to the Bootstrap",
        sections 8.3 and 12.5; p of sampled exchanges: Phipson and Smyth (2010), "Permutation
        P-values Should Never Be Zero".
    """
    if min(len(first), len(second)) < 2:
        return UNKNOWN
    rng = np.random.default_rng(seed)
    value = float(first.mean() - second.mean())
    low, high = _ends_of_difference(first, second, rng)
    pooled, whole = np.concatenate([first, second]), first.sum() + second.sum()
    # Equal differences must count as equal, though they were added up in another order.
    least, hits = abs(value) - 1e-12 * np.abs(pooled).max(), 0
    for _ in range(REPEATS):
        rng.shuffle(pooled)
        part = pooled[: len(first)].sum()
        hits += abs(part / len(first) - (whole - part) / len(second)) >= least
    p = (1 + hits) / (1 + REPEATS)
    return Estimate(value, float(low), float(high), len(pooled), float(p))


def correlation_of(one: Floats, other: Floats, *, seed: int = 0) -> Estimate:
    """Spearman's rank correlation of two rows, with an interval over pairs and p by shuffling.

    Example:
        >>> found = correlation_of(np.arange(9.0), np.arange(9.0) ** 2)
        >>> round(found.value, 6), found.n, found.p < 0.001
        (1.0, 9, True)

    Source:
        Spearman (1904), "The Proof and Measurement of Association between Two Things"; interval:
        Bonett and Wright (2000), "Sample Size Requirements for Estimating Pearson, Kendall and
        Spearman Correlations"; p as for `difference_of`.
    """
    rng, n = np.random.default_rng(seed), len(one)
    if n < 3:
        return UNKNOWN
    value = float(spearman_of_pairs(np.stack([one, other]))[0])
    if not np.isfinite(value):
        return UNKNOWN
    low, high = _ends_of_correlation(value, n)
    shuffled = rng.permuted(np.tile(other, (REPEATS, 1)), axis=1)
    by_chance = spearman_of_pairs(np.stack([np.broadcast_to(one, shuffled.shape), shuffled], 1))
    hits = int((np.abs(by_chance) >= abs(value) - 1e-9).sum())
    return Estimate(value, float(low), float(high), n, (1 + hits) / (1 + REPEATS))


def _ends_of_difference(
    first: Floats, second: Floats, rng: np.random.Generator
) -> tuple[float, float]:
    """By the bootstrap of t that `regard.stats.ends` has for one sample."""
    parts = [np.asarray(each, dtype=np.float64) for each in (first, second)]
    least = min(map(len, parts))
    off, own = np.zeros(REPEATS), np.zeros(REPEATS)
    for sign, part in zip((1, -1), parts, strict=True):
        if len(part) < LEAST:
            continue
        for number in range(REPEATS):
            chosen = rng.choice(part, len(part))
            off[number] += sign * (chosen.mean() - part.mean())
            own[number] += chosen.var(ddof=1) / len(part)
    each = np.array([part.var(ddof=1) / len(part) for part in parts])
    value = float(parts[0].mean() - parts[1].mean())
    if least < LEAST:
        return float("nan"), float("nan")
    if not each.sum():
        return value, value
    freedom = each.sum() ** 2 / sum(
        one**2 / (len(part) - 1) for one, part in zip(each, parts, strict=True)
    )
    error = np.sqrt(each.sum(keepdims=True))
    ts = t_of(off[:, None], np.sqrt(own)[:, None], error)
    down, up = reaches(ts, np.array([freedom]), np.array([float(least)]), 0.95)
    return float((value - down * error)[0]), float((value + up * error)[0])


def _ends_of_correlation(value: float, n: int) -> tuple[float, float]:
    """By Fisher's z, which no correlation of 1 has: there it takes one of a pair exchanged."""
    from scipy.special import ndtri

    if n < LEAST:
        return float("nan"), float("nan")
    most = 1 - 6 * 2 / (n * (n**2 - 1))
    held = float(np.clip(value, -most, most))
    reach = float(ndtri(0.975)) * np.sqrt((1 + held**2 / 2) / (n - 3))
    low, high = np.tanh([np.arctanh(held) - reach, np.arctanh(held) + reach])
    return float(min(low, value)), float(max(high, value))
