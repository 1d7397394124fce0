import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from regard.errors import AxisError, NotAttentionError
from regard.measures.spread import entropy, normalised_entropy, perplexity

# Tests share the machine, so no example has a deadline.
UNTIMED = settings(deadline=None, derandomize=True)

P = [0.7, 0.1, 0.1, 0.1]

scores = arrays(float, (3, 5), elements=st.floats(0.0, 1.0)).map(lambda a: a + 1e-6)


def rows(weights):
    return xr.DataArray(np.asarray(weights), dims=["query", "key"])


def softened(values):
    return rows(values / values.sum(-1, keepdims=True))


def test_entropy_by_hand():
    # H(1/2, 1/4, 1/4) = 1/2*1 + 1/4*2 + 1/4*2 = 1.5 bits
    assert entropy(rows([[0.5, 0.25, 0.25]])).item() == 1.5


def test_the_oracle_of_the_measure_reference():
    # p = [.7, .1, .1, .1]: 0.940448 nats, 0.678390 of ln 4, exp(0.940448) = 2.561129
    assert entropy(rows([P])).item() == pytest.approx(0.940448 / np.log(2), abs=1e-6)
    assert normalised_entropy(rows([P])).item() == pytest.approx(0.678390, abs=1e-6)
    assert perplexity(rows([P])).item() == pytest.approx(2.561129, abs=1e-6)


@pytest.mark.parametrize(
    ("measure", "even", "single"),
    [(entropy, 3.0, 0.0), (normalised_entropy, 1.0, 0.0), (perplexity, 8.0, 1.0)],
)
def test_the_bounds_are_one_key_and_all_keys(measure, even, single):
    assert measure(rows([[1 / 8] * 8])).item() == pytest.approx(even)
    assert measure(rows([[1.0] + [0.0] * 7])).item() == single
    assert not np.signbit(measure(rows([[1.0, 0.0]])).item())


@UNTIMED
@given(scores)
def test_entropy_is_that_of_scipy(values):
    weights = softened(values)
    expected = stats.entropy(weights.values, axis=-1, base=2)
    np.testing.assert_allclose(entropy(weights), expected, atol=1e-9)


@pytest.mark.parametrize("measure", [entropy, normalised_entropy, perplexity])
@UNTIMED
@given(values=scores)
def test_spread_ignores_the_order_of_the_keys(measure, values):
    weights = softened(values)
    np.testing.assert_allclose(measure(weights), measure(weights[:, ::-1]), atol=1e-12)


def test_any_dim_can_hold_the_distribution():
    weights = xr.DataArray(np.full((2, 4, 3), 0.25), dims=["head", "token", "y"])
    got = entropy(weights, over="token")
    assert got.dims == ("head", "y")
    np.testing.assert_array_equal(got, 2.0)


def test_one_key_leaves_nothing_to_normalise_by():
    assert np.isnan(normalised_entropy(rows([[1.0]])).item())


def test_a_dim_that_is_not_there_is_named():
    with pytest.raises(AxisError) as raised:
        entropy(rows([[1.0]]), over="token")
    assert str(raised.value) == (
        "entropy: the array has no dim 'token'; it has ('query', 'key'). "
        "Name the dim that sums to 1 with over=..."
    )


def test_raw_scores_are_refused():
    with pytest.raises(NotAttentionError) as raised:
        entropy(rows([[1.0, 3.0]]))
    assert str(raised.value) == (
        "entropy: attention must be >= 0 and sum to 1 over 'key'; here the least value is 1 and "
        "one sum is off by 3. Raw scores? Take their softmax first."
    )


@pytest.mark.parametrize("bad", [[-0.5, 1.5], [np.nan, 1.0], [np.nan, np.nan]])
def test_negative_weights_and_no_numbers_are_refused(bad):
    with pytest.raises(NotAttentionError, match="attention must be >= 0"):
        perplexity(rows([[0.5, 0.5], bad]))


def test_an_empty_array_is_refused():
    with pytest.raises(NotAttentionError, match="the array is empty"):
        entropy(rows(np.zeros((0, 3))))
