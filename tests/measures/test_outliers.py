import numpy as np
import pytest
import xarray as xr
from scipy import stats

from regard.errors import ArgumentError, NotAttentionError
from regard.measures.outliers import norm_outliers


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
