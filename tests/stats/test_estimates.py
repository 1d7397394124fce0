import numpy as np
import pytest
import scipy.stats

from regard.stats.estimates import UNKNOWN, correlation_of, difference_of, mean_of

RNG = np.random.default_rng(4)


def test_the_interval_of_a_difference_is_that_of_welch():
    first, second = RNG.normal(1.0, 1.0, 60), RNG.normal(0.4, 2.0, 40)
    found = difference_of(first, second)

    def difference(a, b, axis=-1):
        return a.mean(axis) - b.mean(axis)

    ends = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(first.mean() - second.mean())
    # Ours bends to skewness, of which there is little here, and is drawn at random.
    width = ends.high - ends.low
    assert found.low == pytest.approx(ends.low, abs=width / 8)
    assert found.high == pytest.approx(ends.high, abs=width / 8)
    exchanged = scipy.stats.permutation_test((first, second), difference, n_resamples=4000, rng=1)
    assert found.p == pytest.approx(exchanged.pvalue, abs=0.02)
    assert found.n == 100


def test_a_correlation_is_that_of_scipy():
    one = RNG.normal(size=48)
    other = one + RNG.normal(size=48) * 2
    found, expected = correlation_of(one, other), scipy.stats.spearmanr(one, other)
    assert found.value == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.02)
    # Bonett and Wright: z = 0.5 log((1 + r) / (1 - r)) +- 1.96 sqrt((1 + r^2 / 2) / 45).
    z, r = np.arctanh(found.value), found.value
    reach = 1.959964 * np.sqrt((1 + r**2 / 2) / 45)
    assert (found.low, found.high) == pytest.approx(tuple(np.tanh([z - reach, z + reach])))


def test_the_interval_of_a_correlation_holds_the_true_one():
    # Of normal pairs with correlation r, ranks correlate by 6 / pi asin(r / 2).
    rng, true, held = np.random.default_rng(0), 6 / np.pi * np.arcsin(0.3), 0
    for _ in range(150):
        one = rng.normal(size=20)
        found = correlation_of(one, 0.6 * one + 0.8 * rng.normal(size=20))
        held += found.low <= true <= found.high
    assert 135 <= held <= 149


def test_a_perfect_correlation_of_few_is_not_sure():
    found = correlation_of(np.arange(6.0), np.arange(6.0) ** 3)
    assert found.value == pytest.approx(1.0)
    assert 0.3 < found.low < 0.95
    assert np.isnan(correlation_of(np.arange(4.0), np.arange(4.0)).low)


def test_a_correlation_with_a_constant_is_unknown():
    assert correlation_of(np.arange(5.0), np.ones(5)) == UNKNOWN
    assert correlation_of(np.arange(2.0), np.arange(2.0)) == UNKNOWN


def test_the_mean_is_held_against_its_bound():
    values = RNG.normal(2.0, 1.0, 200)
    near, far = mean_of(values, bound=values.mean()), mean_of(values, bound=0.0)
    assert near.p == pytest.approx(1.0)
    assert far.p == 1 / 2001  # none of 2000 exchanges comes as far
    assert near.value == pytest.approx(far.value)
    assert near.low == pytest.approx(far.low)
    half = 1.96 / np.sqrt(200)
    assert far.low == pytest.approx(values.mean() - half, abs=half / 5)


def test_undefined_values_are_left_out():
    assert mean_of(np.array([1.0, np.nan, 3.0])).value == 2.0
    assert mean_of(np.array([1.0, np.nan])) == UNKNOWN
    assert difference_of(np.array([1.0]), np.array([1.0, 2.0])) == UNKNOWN
