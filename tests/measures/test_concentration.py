import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regard.errors import ArgumentError
from regard.measures.concentration import gini, topk_mass

scores = arrays(float, (3, 5), elements=st.floats(0.0, 1.0)).map(lambda a: a + 1e-6)


def rows(weights):
    return xr.DataArray(np.asarray(weights), dims=["query", "key"])


@given(scores)
def test_gini_is_half_the_mean_difference_over_the_mean(values):
    weights = rows(values / values.sum(-1, keepdims=True))
    apart = np.abs(weights.values[:, :, None] - weights.values[:, None, :]).mean((1, 2))
    np.testing.assert_allclose(gini(weights), apart / (2 / 5), atol=1e-12)


def test_the_heaviest_keys_are_counted_by_number_or_by_share():
    weights = rows([[0.4, 0.3, 0.2, 0.1]])
    assert topk_mass(weights, k=1).item() == pytest.approx(0.4)
    assert topk_mass(weights, share=0.5).item() == pytest.approx(0.7)
    assert topk_mass(weights, share=0.51).item() == pytest.approx(0.9)
    assert topk_mass(weights).attrs["k"] == 1  # 5 % of four keys, rounded up
    hundred = rows(np.full((1, 100), 0.01))
    assert topk_mass(hundred, share=0.07).attrs["k"] == 7


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 5}, {"share": 0.0}, {"share": 1.5}])
def test_a_number_of_keys_that_there_is_not_is_refused(options):
    with pytest.raises(ArgumentError, match=r"topk_mass: k is .* Give k in 1\.\.4, or a share"):
        topk_mass(rows([[0.7, 0.1, 0.1, 0.1]]), **options)
