"""Values in whole clusters, such as all images of a prompt: added up, resampled, exchanged."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.errors import ArgumentError

Floats = NDArray[np.float64]

DRAWN_AT_ONCE = 2_000_000
"""Clusters resampled in one go; with their counts about 50 MB."""


def groups_of(caller: str, number: int, clusters: Sequence[Any] | None) -> NDArray[np.int64]:
    """The number of each value's cluster, from 0 in the order in which they come.

    Raises:
        ArgumentError: a cluster is empty, or there are more or fewer than ``number``.

    Example:
        >>> groups_of("example", 3, ["cat", "dog", "cat"])
        array([0, 1, 0])
    """
    if clusters is None:
        return np.arange(number)
    named = np.asarray(pd.Series(list(clusters), dtype=object).factorize()[0], dtype=np.int64)
    if len(named) != number or (named < 0).any():
        raise ArgumentError(
            f"{caller}: clusters has {len(named)} entries, {int((named < 0).sum())} of them empty, "
            f"for {number} values. Name the cluster of each value."
        )
    return named


def per_cluster(values: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Sums and numbers of what is not NaN, [cluster, column].

    Example:
        >>> per_cluster(np.array([[1.0], [np.nan], [2.0]]), np.array([0, 1, 0]))
        (array([[3.],
               [0.]]), array([[2.],
               [0.]]))
    """
    number = int(groups.max()) + 1
    there = np.isfinite(values)
    sums, counts = np.zeros((2, number, values.shape[1]))
    np.add.at(sums, groups, np.where(there, values, 0.0))
    np.add.at(counts, groups, there)
    return sums, counts


def resampled(arrays: Sequence[Floats], *, seed: int, repeats: int) -> Iterator[list[Floats]]:
    """Totals over clusters resampled with replacement, of each array [cluster, column].

    Yields:
        For some resamples at a time the totals of each array, [resample, column].
    """
    rng, number = np.random.default_rng(seed), len(arrays[0])
    for part in _parts(repeats, number):
        chosen = rng.integers(0, number, size=(part, number)) + number * np.arange(part)[:, None]
        times = np.bincount(chosen.ravel(), minlength=part * number).reshape(part, number)
        yield [times @ each for each in arrays]


def exchange_p(sums: Floats, *, seed: int, repeats: int) -> tuple[float, bool]:
    """How often the total of ``sums`` is as far from 0 when signs are exchanged; and if exactly.

    Example:
        >>> exchange_p(np.array([1.0, 1.0, 1.0]), seed=0, repeats=100)
        (0.25, True)
    """
    # Equal totals must count as equal, though they were added up in another order.
    least = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    if 2 ** len(sums) <= repeats:
        ways = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float(np.mean(np.abs((2 * ways - 1) @ sums) >= least)), True
    rng, hits = np.random.default_rng(seed), 0
    for part in _parts(repeats, len(sums)):
        signs = 2.0 * rng.integers(0, 2, size=(part, len(sums))) - 1.0
        hits += int((np.abs(signs @ sums) >= least).sum())
    return (1 + hits) / (1 + repeats), False


def _parts(repeats: int, number: int) -> list[int]:
    """How many repeats to do at a time, so that memory is bounded."""
    most = max(1, DRAWN_AT_ONCE // max(1, number))
    return [min(most, repeats - done) for done in range(0, repeats, most)]
