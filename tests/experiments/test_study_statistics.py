import numpy as np
import pytest
import scipy.stats
import xarray as xr

from regard.experiments.studies.statistics import (
    peak_of,
    right_of_class,
    side_by_side,
    spread_of,
    told,
    trend_of,
)

RNG = np.random.default_rng(4)


def test_a_trend_is_the_rank_correlation_with_depth_of_each_image():
    values = RNG.normal(size=(5, 12))
    expected = [scipy.stats.spearmanr(np.arange(12), row).statistic for row in values]
    found = trend_of(xr.DataArray(values.T, dims=["layer", "sample"]))
    np.testing.assert_allclose(found, expected)


def test_a_spread_covers_all_other_dims_and_is_told_with_its_ends():
    values = xr.DataArray(
        [[1.0, 4.0]] * 5 + [[1.0, 6.0]] * 5, dims=["sample", "layer"], coords={"layer": [0, 1]}
    )
    spread = spread_of(values)
    assert told(spread, layer=0) == "1 [1, 1]"
    # Half of ten: Wilson's interval is 0.2366 to 0.7634, here of the way from 4 to 6.
    assert told(spread, layer=1) == "5 [4.47, 5.53]"
    assert told(spread_of(values[:3]), layer=1) == "4 (no interval)"
    assert (peak_of(spread), peak_of(spread, least=True)) == (1, 0)
    table = side_by_side(focus=spread)
    assert table.columns.tolist() == ["layer", "focus", "focus_low", "focus_high"]
    assert table["focus_high"].tolist() == pytest.approx([1.0, 4 + 2 * 0.763409], abs=1e-5)


def test_a_class_without_a_right_answer_has_no_mean():
    values, labels = np.array([1.0, 2.0, 8.0]), np.array([0, 1, 1])
    right = np.array([False, True, False])
    np.testing.assert_array_equal(right_of_class(values, labels, right), [np.nan, 2.0, 2.0])
