"""How well two verdicts agree, and how well a score finds what it is meant to find."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.stats.estimates import REPEATS, Estimate
from regard.stats.means import bootstrap

Rows = NDArray[np.int64]


def kappa(one: Any, other: Any) -> float:
    """Cohen's kappa of two rows of verdicts: 1 agree in all, 0 as by chance, NaN where all is one.

    Example:
        >>> kappa([True, True, False, False], [True, True, False, True])
        0.5

    Source:
        Cohen (1960), "A Coefficient of Agreement for Nominal Scales".
    """
    first, second = np.asarray(one, bool), np.asarray(other, bool)
    agreed = float((first == second).mean())
    both, none = first.mean() * second.mean(), (1 - first.mean()) * (1 - second.mean())
    by_chance = float(both + none)
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def area(scores: Any, found: Any) -> float:
    """Area under the ROC curve: the chance that a score is higher for what is to be found, 0..1.

    Equal scores count one half; NaN where all or none is to be found.

    Example:
        >>> area([0.1, 0.4, 0.4, 0.8], [False, True, False, True])
        0.875

    Source:
        Hanley and McNeil (1982), "The Meaning and Use of the Area under a ROC Curve".
    """
    from scipy.stats import rankdata

    wanted = np.asarray(found, bool)
    hits, others = int(wanted.sum()), int((~wanted).sum())
    if not hits or not others:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[wanted].sum() - hits * (hits + 1) / 2) / (hits * others))


def resampled(
    statistic: Callable[[Rows], float], clusters: Any, *, bound: float = 0.0, seed: int = 0
) -> Estimate:
    """A statistic of rows with its interval, whole clusters of rows resampled with replacement.

    Args:
        statistic: Of the numbers of some rows, each as often as it was sampled.
        clusters: What each row belongs to, such as its prompt.
        bound: What p holds the statistic against.
        seed: Of the resampling.

    Example:
        >>> values = np.arange(40.0)
        >>> found = resampled(lambda rows: values[rows].mean(), np.arange(40))
        >>> found.value, found.low < 19.5 < found.high, found.p < 0.01
        (19.5, True, True)

    Source:
        Davison and Hinkley (1997), "Bootstrap Methods and their Application", section 3.8.
    """
    codes, names = pd.factorize(np.asarray(clusters))
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(REPEATS):
        chosen = rng.integers(0, len(members), len(members))
        found.append(statistic(np.concatenate([members[each] for each in chosen])))
    known = np.array(found)[np.isfinite(found)]
    value = float(statistic(np.arange(len(codes))))
    if not len(known):
        return Estimate(value, float("nan"), float("nan"), len(codes), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    beyond = min(int((known <= bound).sum()), int((known >= bound).sum()))
    p = min(1.0, 2 * (1 + beyond) / (1 + len(known)))
    return Estimate(value, float(low), float(high), len(codes), p)


def rate(hits: Any, clusters: Any, *, bound: float) -> Estimate:
    """A share of rows with its interval over clusters, and p by counting clusters with any hit.

    Example:
        >>> found = rate([False] * 60, list(range(60)), bound=0.1)
        >>> found.value, found.high < 0.1, found.p < 0.05
        (0.0, True, True)

    Source:
        Interval: `regard.stats.bootstrap`; p: the exact binomial test.
    """
    from scipy.stats import binomtest

    values = pd.Series(np.asarray(hits, float))
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, float("nan"))
    found = bootstrap(values.to_numpy(), clusters=list(clusters), bounds=(0.0, 1.0))
    any_hit = values.groupby(np.asarray(clusters)).max()
    p = binomtest(int(any_hit.sum()), len(any_hit), bound).pvalue
    return Estimate(found.mean, found.low, found.high, len(values), float(p))
