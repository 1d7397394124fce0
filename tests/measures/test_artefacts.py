import numpy as np
import pytest
import xarray as xr
from scipy import stats

from regard.errors import ArgumentError, NotAttentionError
from regard.measures.artefacts import column_concentration, norm_outliers, sink_mass
from regard.measures.spread import gini


def rows(values):
    return xr.DataArray(np.asarray(values, dtype=float), dims=["query", "key"])


def test_sharp_rows_that_differ_are_not_concentrated_columns():
    assert gini(rows(np.eye(4))).mean().item() == 0.75
    assert column_concentration(rows(np.eye(4))).item() == 0
    assert column_concentration(rows(np.eye(4)[[1, 1, 1, 1]])).item() == 0.75


def test_queries_on_cls_alone_do_not_count():
    weights = rows([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    got = column_concentration(weights, prefix=1)
    assert got.item() == 0.5
    assert got.attrs["excluded"] == 1
    nothing = column_concentration(rows([[1, 0, 0]]), prefix=1)
    assert np.isnan(nothing)
    assert nothing.attrs["undefined"] == 1


def test_sinks_are_the_prefix_and_what_was_flagged():
    weights = rows([[0.1, 0.2, 0.3, 0.4]])
    flagged = xr.DataArray([True, False, False, True], dims="key")
    assert sink_mass(weights).item() == pytest.approx(0.1)
    assert sink_mass(weights, prefix=2).item() == pytest.approx(0.3)
    assert sink_mass(weights, prefix=0, flagged=flagged).item() == pytest.approx(0.5)
    assert sink_mass(weights, prefix=2, flagged=flagged).item() == pytest.approx(0.7)
    assert sink_mass(weights, prefix=4).item() == pytest.approx(1)


def test_flags_that_do_not_fit_are_refused():
    weights = rows([[0.5, 0.5]])
    with pytest.raises(ArgumentError, match="sink_mass: flagged holds float64 over"):
        sink_mass(weights, flagged=xr.DataArray([0.0, 1.0], dims="key"))
    with pytest.raises(ArgumentError, match="must be boolean over the 2 entries of 'key'"):
        sink_mass(weights, flagged=xr.DataArray([True], dims="key"))


def test_outliers_are_those_of_scipys_median_deviation():
    norms = np.random.default_rng(0).normal(10, 1, size=(3, 200))
    norms[1, [5, 9]] = 40
    got = norm_outliers(xr.DataArray(norms, dims=["sample", "key"]))
    deviation = stats.median_abs_deviation(norms, axis=1, keepdims=True)
    far = norms > np.median(norms, axis=1, keepdims=True) + 6 * 1.4826 * deviation
    np.testing.assert_array_equal(got["outlier"], far)
    assert got["share"].values.tolist() == [0, 0.01, 0]
    assert got["excess"].values[1] == pytest.approx(40 / np.median(norms[1]))
    assert np.isnan(got["excess"].values[[0, 2]]).all()
    assert got.attrs["undefined"] == 2


def test_the_scale_of_the_deviation_is_that_of_normal_values():
    assert 1 / stats.norm.ppf(0.75) == pytest.approx(1.4826, abs=5e-5)


def test_outliers_do_not_depend_on_the_unit_of_the_norm():
    norms = xr.DataArray([1.0, 1.2, 0.9, 1.1, 5.0], dims="key")
    xr.testing.assert_allclose(norm_outliers(norms), norm_outliers(1000 * norms))


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [np.nan, 1.0], []])
def test_what_is_no_norm_is_refused(bad):
    with pytest.raises(NotAttentionError, match="norm_outliers: "):
        norm_outliers(xr.DataArray(np.array(bad), dims="key"))
    with pytest.raises(ArgumentError, match="far is -1.0"):
        norm_outliers(xr.DataArray([1.0], dims="key"), far=-1.0)
