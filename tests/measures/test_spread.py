import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from regard.errors import ArgumentError, AxisError, NotAttentionError
from regard.measures.concentration import gini, hoyer
from regard.measures.spread import (
    area_above_uniform,
    attention_focus,
    coverage,
    effective_coverage,
    entropy,
    normalised_entropy,
    participation,
    perplexity,
)

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


@pytest.mark.parametrize("keys", [5, 10, 49, 196])
def test_an_even_row_covers_four_fifths_of_its_keys_rounded_up(keys):
    expected = -(-4 * keys // 5) / keys
    for dtype in (np.float32, np.float64):
        row = rows(np.full((1, keys), 1 / keys, dtype))
        assert coverage(row).item() == pytest.approx(expected)


def test_two_keys_that_reach_the_share_exactly_are_enough():
    assert 0.7 + 0.1 < 0.8  # in binary, which is what the slack is for
    for dtype in (np.float32, np.float64):
        assert coverage(rows(np.array([P], dtype))).item() == 0.5
    assert coverage(rows([P]), share=0.81).item() == 0.75
    assert coverage(rows([P]), share=1.0).item() == 1


@UNTIMED
@given(scores, st.floats(0.01, 0.99))
def test_more_concentrated_moves_focus_up_and_coverage_down(values, part):
    weights = softened(values)
    flatter = (1 - part) * weights + part / 5
    assert (attention_focus(flatter) <= attention_focus(weights) + 1e-12).all()
    assert (coverage(flatter) >= coverage(weights)).all()


def test_the_least_noise_takes_the_area_above_uniform_to_a_half():
    noise = np.random.default_rng(0).normal(size=(1, 1000)) * 1e-5
    even = np.full((1, 1000), 1e-3)
    assert area_above_uniform(rows(even)).item() == 0
    assert area_above_uniform(softened(even * (1 + noise))).item() == pytest.approx(0.5, abs=0.06)


def test_each_definition_of_width_counts_two_keys_of_four():
    weights = rows([[0.5, 0.5, 0, 0]])
    for measure in (coverage, effective_coverage, participation, area_above_uniform):
        assert measure(weights).item() == 0.5, measure.__name__
    # (2 - sqrt 2) / (2 - 1), and Gini: (1*-3 + ... ) sorted 0 0 .5 .5: (.5*1 + .5*3) / 4
    assert hoyer(weights).item() == pytest.approx(2 - np.sqrt(2))
    assert gini(weights).item() == 0.5


@pytest.mark.parametrize("share", [0.0, 1.01, -1.0])
def test_a_share_of_mass_that_there_is_not_is_refused(share):
    with pytest.raises(ArgumentError, match=f"coverage: share is {share} and must be over 0"):
        coverage(rows([P]), share=share)


def test_cls_is_left_out_and_told():
    weights = rows([[0.6, 0.28, 0.04, 0.04, 0.04]])
    got = entropy(weights, prefix=1)
    assert got.item() == pytest.approx(entropy(rows([P])).item())
    assert got.attrs == {"units": "bit", "undefined": 0, "prefix_mass": pytest.approx(0.6)}


def test_what_a_caller_stored_beside_the_weights_does_not_pass_for_the_result():
    weights = rows([P]).assign_attrs(units="attention weight", kind="self")
    assert entropy(weights).attrs == {"units": "bit", "undefined": 0}
