import numpy as np
import pytest
import scipy.stats
import xarray as xr

from regard.experiments.studies.statistics import (
    UNKNOWN,
    correlation_of,
    difference_of,
    mean_of,
    peak_of,
    right_of_class,
    side_by_side,
    spread_of,
    told,
    trend_of,
)

RNG = np.random.default_rng(4)


def test_the_interval_of_a_difference_is_that_of_scipy():
    first, second = RNG.normal(1.0, 1.0, 60), RNG.normal(0.4, 2.0, 40)
    found = difference_of(first, second)

    def difference(a, b, axis=-1):
        return a.mean(axis) - b.mean(axis)

    other = scipy.stats.bootstrap(
        (first, second), difference, method="percentile", n_resamples=4000, rng=1
    )
    ends = other.confidence_interval
    assert found.value == pytest.approx(first.mean() - second.mean())
    # Both draw at random: the ends agree within a tenth of the width.
    width = ends.high - ends.low
    assert found.low == pytest.approx(ends.low, abs=width / 10)
    assert found.high == pytest.approx(ends.high, abs=width / 10)
    exchanged = scipy.stats.permutation_test((first, second), difference, n_resamples=4000, rng=1)
    assert found.p == pytest.approx(exchanged.pvalue, abs=0.02)
    assert found.n == 100


def test_a_correlation_is_that_of_scipy():
    one = RNG.normal(size=48)
    other = one + RNG.normal(size=48) * 2
    found, expected = correlation_of(one, other), scipy.stats.spearmanr(one, other)
    assert found.value == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.02)
    assert found.low < found.value < found.high


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


def test_a_trend_is_the_rank_correlation_with_depth_of_each_image():
    values = RNG.normal(size=(5, 12))
    expected = [scipy.stats.spearmanr(np.arange(12), row).statistic for row in values]
    found = trend_of(xr.DataArray(values.T, dims=["layer", "sample"]))
    np.testing.assert_allclose(found, expected)


def test_a_spread_covers_all_other_dims_and_is_told_with_its_ends():
    values = xr.DataArray(
        [[1.0, 4.0], [1.0, 6.0]], dims=["sample", "layer"], coords={"layer": [0, 1]}
    )
    spread = spread_of(values)
    assert told(spread, layer=0) == "1 [1, 1]"
    assert told(spread, layer=1) == "5 [4, 6]"
    assert (peak_of(spread), peak_of(spread, least=True)) == (1, 0)
    table = side_by_side(focus=spread)
    assert table.columns.tolist() == ["layer", "focus", "focus_low", "focus_high"]
    assert table["focus_high"].tolist() == [1.0, 6.0]


def test_a_class_without_a_right_answer_has_no_mean():
    values, labels = np.array([1.0, 2.0, 8.0]), np.array([0, 1, 1])
    right = np.array([False, True, False])
    np.testing.assert_array_equal(right_of_class(values, labels, right), [np.nan, 2.0, 2.0])
