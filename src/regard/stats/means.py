"""How sure is a mean? Intervals, paired differences and several tests at once.

Images of one prompt resemble each other, so a hundred of them are less than a hundred
independent observations. Everything here takes ``clusters`` and resamples whole clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.axes import SAMPLE
from regard.errors import ArgumentError, AxisError
from regard.stats.clusters import Floats, exchange_p, groups_of, per_cluster
from regard.stats.ends import LEAST, ends_of


@dataclass(frozen=True)
class Interval:
    """A mean and where it would likely lie in another sample of the same kind.

    Attributes:
        mean: Over all values that are numbers.
        low: Lower end; NaN with fewer than five clusters, of which no interval can be trusted.
        high: Upper end; NaN with fewer than five clusters.
        n: Values that are numbers.
        clusters: How many independent groups they make.
        undefined: Values that were NaN, and were left out.
        level: Share of such intervals that hold the true mean, 0..1.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int
    undefined: int
    level: float

    def __str__(self) -> str:
        if np.isfinite(self.low):
            return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g} (no interval: {self.clusters} of at least {LEAST} clusters)"


@dataclass(frozen=True)
class Difference:
    """How much one set of values lies above another, value by value.

    Attributes:
        interval: Of the mean difference.
        p: How often a difference at least as far from 0 would come by chance if it made none
            which of the two is which; 0..1.
        exact: Whether every exchange was tried; else they were sampled.
    """

    interval: Interval
    p: float
    exact: bool


def bootstrap(
    values: Any,
    *,
    clusters: Sequence[Any] | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    repeats: int = 2000,
) -> Interval:
    """The mean of some values with its interval, in the unit of the values.

    The ends come from a bootstrap of Student's t over whole clusters, the shorter side at least
    0.8 and the longer at least once and at most three times as far as by Student's t itself. With
    5 to 50 clusters between 90 and 98 of 100 such intervals of 95 % hold the true mean of normal
    and skewed values. Clusters of only two different values are counted (Wilson's interval).

    Args:
        values: Numbers in one row; NaN means undefined and is left out and counted.
        clusters: What each value belongs to, such as its prompt; by default each is its own.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        bounds: What no value can lie beyond, such as ``(0.0, 1.0)`` of shares: then no end does,
            and clusters that are all alike are not taken for sure: others might not be.
        seed: Of the bootstrap; the same seed gives the same interval.
        repeats: How many resamples.

    Returns:
        An `Interval`.

    Raises:
        ArgumentError: there is no number, one is infinite, ``clusters`` is of another length,
            a value lies beyond ``bounds``, or ``level`` or ``repeats`` cannot be.

    Example:
        >>> print(bootstrap([1.0, 1.0, 3.0, 3.0], clusters=["cat", "cat", "dog", "dog"]))
        2 (no interval: 2 of at least 5 clusters)
        >>> print(bootstrap([0.0] * 10, bounds=(0.0, 1.0)))
        0 [0, 0.2775]

    Source:
        Efron and Tibshirani (1993), "An Introduction to the Bootstrap", section 12.5; clusters:
        Davison and Hinkley (1997), "Bootstrap Methods and their Application", section 3.8; two
        values: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical
        Inference".

    Differs from the paper:
        The longer side of few clusters is lengthened and both are held near Student's t, as
        simulations asked for: `regard.stats.ends` has the numbers.
    """
    row = _row(values, "bootstrap")
    return _interval("bootstrap", row, clusters, level, seed, repeats, bounds)


def intervals(
    values: xr.DataArray,
    *,
    over: str = SAMPLE,
    clusters: Sequence[Any] | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    repeats: int = 2000,
) -> xr.Dataset:
    """`bootstrap` along one dim of an array, such as for each layer and head at once.

    The same clusters are resampled for all, so that they may be compared.

    Args:
        values: Any dims that include ``over``; NaN is left out and counted.
        over: The dim whose members are resampled.
        clusters: What each member belongs to; by default each is its own.
        level: As for `bootstrap`.
        bounds: As for `bootstrap`.
        seed: As for `bootstrap`.
        repeats: As for `bootstrap`.

    Returns:
        ``mean``, ``low`` and ``high`` in the unit of ``values``, and the numbers ``n`` and
        ``undefined``, over the dims of ``values`` less ``over``.

    Raises:
        AxisError: ``over`` is not a dim of ``values``.
        ArgumentError: as for `bootstrap`.

    Example:
        >>> values = xr.DataArray([[0.0, 1.0]] * 5 + [[1.0, 1.0]] * 5, dims=["sample", "head"])
        >>> found = intervals(values, bounds=(0.0, 1.0))
        >>> found["low"].values.round(2), found["mean"].values
        (array([0.24, 0.72]), array([0.5, 1. ]))

    Source:
        As `bootstrap`.
    """
    if over not in values.dims:
        raise AxisError(
            f"intervals: the array has no dim '{over}'; it has {values.dims}. "
            f"Name the dim that holds the samples with over=..."
        )
    first = values.transpose(over, ...)
    flat = first.values.astype(np.float64).reshape(first.sizes[over], -1)
    groups = groups_of("intervals", len(flat), clusters)
    means, ends = _bootstrapped("intervals", flat, groups, level, seed, repeats, bounds)
    kept = first.isel({over: 0}, drop=True)
    found = {
        "mean": means,
        "low": ends[0],
        "high": ends[1],
        "n": np.isfinite(flat).sum(0),
        "undefined": np.isnan(flat).sum(0),
    }
    named = {name: kept.copy(data=each.reshape(kept.shape)) for name, each in found.items()}
    return xr.Dataset(named, attrs={"level": level, "seed": seed, "repeats": repeats})


def paired(
    before: Any,
    after: Any,
    *,
    clusters: Sequence[Any] | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
    repeats: int = 10_000,
) -> Difference:
    """How much ``after`` lies above ``before``, value by value: 0 where it makes no difference.

    The interval is that of `bootstrap` on the differences. For p, before and after are exchanged
    in whole clusters: in every way where there are no more than ``repeats``, else in as many
    sampled at random.

    Args:
        before: Numbers in one row.
        after: As many, in the same order; arrays with a coordinate must have the same one.
        clusters: What each pair belongs to, such as its prompt; by default each is its own.
        level: As for `bootstrap`.
        bounds: As for `bootstrap`, of the differences: ``(-1.0, 1.0)`` where the values are shares.
        seed: As for `bootstrap`.
        repeats: How many resamples, and how many exchanges.

    Returns:
        A `Difference`, in the unit of the values; a pair with a NaN is left out and counted.

    Raises:
        ArgumentError: the numbers differ, or as for `bootstrap`.

    Example:
        >>> found = paired([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
        >>> found.interval.mean, found.p  # of 8 exchanges two are as far: none, and all
        (1.0, 0.25)

    Source:
        Fisher (1935), "The Design of Experiments", section 21; p of sampled exchanges: Phipson and
        Smyth (2010), "Permutation P-values Should Never Be Zero".
    """
    _check_pairs(before, after)
    differences = _row(after, "paired") - _row(before, "paired")
    interval = _interval("paired", differences, clusters, level, seed, repeats, bounds)
    groups = groups_of("paired", len(differences), clusters)
    sums, counts = per_cluster(differences[:, None], groups)
    p, exact = exchange_p(sums[counts > 0], seed=seed, repeats=repeats)
    return Difference(interval, p, exact)


def holm(pvalues: Any) -> Floats:
    """The p values of several tests, raised: at 0.05 even one false alarm has that chance, 0..1.

    Args:
        pvalues: In one row, each 0..1; NaN is no test, stays NaN and is not counted.

    Returns:
        As many numbers in the same order, 0..1.

    Raises:
        ArgumentError: one lies outside 0..1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])

    Source:
        Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", section 3.
    """
    given = _row(pvalues, "holm")
    tests = ~np.isnan(given)
    p = given[tests]
    if ((p < 0) | (p > 1)).any():
        raise ArgumentError(f"holm: a p value lies in 0..1; here are {p.min():g} to {p.max():g}.")
    order = np.argsort(p, kind="stable")
    raised = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.full(given.shape, np.nan)
    adjusted[np.flatnonzero(tests)[order]] = raised
    return adjusted


def _interval(
    caller: str,
    values: Floats,
    clusters: Any,
    level: float,
    seed: int,
    repeats: int,
    bounds: tuple[float, float] | None,
) -> Interval:
    groups = groups_of(caller, len(values), clusters)
    means, ends = _bootstrapped(caller, values[:, None], groups, level, seed, repeats, bounds)
    there = np.isfinite(values)
    return Interval(
        mean=float(means[0]),
        low=float(ends[0, 0]),
        high=float(ends[1, 0]),
        n=int(there.sum()),
        clusters=len(np.unique(groups[there])),
        undefined=int((~there).sum()),
        level=level,
    )


def _bootstrapped(
    caller: str,
    values: Floats,
    groups: NDArray[np.int64],
    level: float,
    seed: int,
    repeats: int,
    bounds: tuple[float, float] | None,
) -> tuple[Floats, Floats]:
    """Means [column] and ends [2, column] of values [sample, column]."""
    _check_numbers(caller, values, level, repeats, bounds)
    sums, counts = per_cluster(values, groups)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: a column without any number
        means = sums.sum(0) / counts.sum(0)
    how: dict[str, Any] = {"level": level, "seed": seed, "repeats": repeats, "bounds": bounds}
    return means, ends_of(sums, counts, **how)


def _row(values: Any, caller: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ArgumentError(
            f"{caller}: the values have the shape {array.shape} and must be one row. "
            f"For more dims there is intervals()."
        )
    return array


def _check_numbers(
    caller: str,
    values: Floats,
    level: float,
    repeats: int,
    bounds: tuple[float, float] | None,
) -> None:
    if not np.isfinite(values).any():
        raise ArgumentError(f"{caller}: none of the {values.size} values is a number. Give one.")
    if np.isinf(values).any():
        raise ArgumentError(f"{caller}: a value is infinite. Leave it out, or make it NaN.")
    if not 0 < level < 1:
        raise ArgumentError(f"{caller}: level is {level} and must lie between 0 and 1, as 0.95.")
    if repeats < 1:
        raise ArgumentError(f"{caller}: repeats is {repeats} and must be 1 or more.")
    if bounds is not None:
        least, most = float(np.nanmin(values)), float(np.nanmax(values))
        slack = 1e-9 * (bounds[1] - bounds[0])
        if not (bounds[0] - slack <= least <= most <= bounds[1] + slack):
            raise ArgumentError(
                f"{caller}: the values lie in {least:g} to {most:g}, beyond bounds={bounds}. "
                f"Give bounds that hold them, or none."
            )


def _check_pairs(before: Any, after: Any) -> None:
    if len(before) != len(after):
        raise ArgumentError(
            f"paired: got {len(before)} values before and {len(after)} after. Give them in pairs."
        )
    if isinstance(before, xr.DataArray) and isinstance(after, xr.DataArray):
        for dim in before.coords.keys() & after.coords.keys() & set(before.dims):
            if not before.indexes[dim].equals(after.indexes[dim]):
                raise ArgumentError(
                    f"paired: the coordinates '{dim}' of before and after differ. "
                    f"Bring both into one order."
                )
