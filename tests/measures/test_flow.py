import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import ArgumentError, AxisError, NotAttentionError
from regard.measures.flow import rollout, rollout_of_layers

A1 = np.array([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]])
A2 = np.array([[0.6, 0.1, 0.3], [0.3, 0.3, 0.4], [0.25, 0.25, 0.5]])


def layer(values):
    values = np.asarray(values, dtype=float)
    dims = ["head", "query", "key"] if values.ndim == 3 else ["query", "key"]
    return xr.DataArray(values, dims=dims)


def random_layers(seed=0, count=4, heads=3, tokens=5):
    scores = np.random.default_rng(seed).random((count, heads, tokens, tokens))
    return scores / scores.sum(-1, keepdims=True)


def by_hand(layers, fuse=np.mean, residual=0.5):
    """The product written out in plain loops, in float64."""
    flow = np.eye(layers.shape[-1])
    for weights in layers:
        mixed = (1 - residual) * fuse(weights, axis=0) + residual * np.eye(len(flow))
        for row in mixed:
            row /= row.sum()
        flow = mixed @ flow
    return flow


def test_the_oracle_of_the_measure_reference():
    got = rollout([layer(A1), layer(A2)])
    expected = [[0.5125, 0.275, 0.2125], [0.1625, 0.6625, 0.175], [0.23125, 0.29375, 0.475]]
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("residual", [0.0, 0.3, 0.5])
def test_it_is_the_product_written_out(fusion, residual):
    layers = random_layers()
    got = rollout([layer(each) for each in layers], fusion=fusion, residual=residual)
    expected = by_hand(layers, fuse=getattr(np, fusion), residual=residual)
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_uniform_attention_has_its_closed_form():
    tokens, count = 6, 5
    got = rollout([layer(np.full((2, tokens, tokens), 1 / tokens))] * count).values
    off = (1 - 2.0**-count) / tokens
    np.testing.assert_allclose(got, off + 2.0**-count * np.eye(tokens), atol=1e-12)


def test_tokens_that_look_at_themselves_stay_where_they_are():
    np.testing.assert_array_equal(rollout([layer(np.eye(4))] * 3), np.eye(4))


@given(st.integers(0, 1000), st.sampled_from(["mean", "max", "min"]), st.floats(0.0, 0.95))
def test_rows_always_sum_to_one(seed, fusion, discard):
    layers = [layer(each) for each in random_layers(seed)]
    got = rollout(layers, fusion=fusion, discard=discard)
    np.testing.assert_allclose(got.sum("key"), 1, atol=1e-12)
    assert (got >= 0).all()


def test_discarding_takes_the_least_entries_away_but_never_those_of_the_prefix():
    # of the 6 entries outside the first column half go: .1, .2 and .3
    got = rollout([layer(A1)], discard=0.5, residual=0.0)
    kept = np.array([[0.2, 0.5, 0], [0.1, 0.8, 0], [0.4, 0.4, 0]])
    np.testing.assert_allclose(got, kept / kept.sum(1, keepdims=True), atol=1e-12)


def test_without_protection_the_prefix_is_dropped_like_the_rest():
    # of 9 entries 4 go: .1 twice and .2 twice
    got = rollout([layer(A1)], discard=0.5, residual=0.0, protect_prefix=False)
    kept = np.array([[0, 0.5, 0.3], [0, 0.8, 0], [0.4, 0.4, 0]])
    np.testing.assert_allclose(got, kept / kept.sum(1, keepdims=True), atol=1e-12)


def test_the_compatible_rule_guards_one_entry_and_counts_it():
    low = np.array([[0.01, 0.49, 0.5], [0.3, 0.3, 0.4], [0.02, 0.48, 0.5]])
    # the 3 least of 9 are .01 (guarded), .02 and, of the two .3, the first
    got = rollout([layer(low)], discard=0.34, residual=0.0, compat="vit-explain")
    kept = np.array([[0.01, 0.49, 0.5], [0, 0.3, 0.4], [0, 0.48, 0.5]])
    np.testing.assert_allclose(got, kept / kept.sum(1, keepdims=True), atol=1e-12)


def test_a_batch_of_two_is_two_batches_of_one():
    batch = np.stack([random_layers(1), random_layers(2)], axis=1)  # layer, sample, head, q, k
    dims = ["sample", "head", "query", "key"]
    layers = [xr.DataArray(each, dims=dims) for each in batch]
    both = rollout(layers, discard=0.4, fusion="max")
    for place in range(2):
        one = rollout([each.isel(sample=place) for each in layers], discard=0.4, fusion="max")
        np.testing.assert_allclose(both.isel(sample=place), one, atol=1e-12)


def test_layers_may_differ_in_their_number_of_heads_and_have_none():
    layers = [layer(random_layers()[0]), layer(A1.repeat(1, 0)[None].repeat(2, 0))]
    assert rollout([layers[1], layer(A1)]).sizes == {"query": 3, "key": 3}
    np.testing.assert_allclose(
        rollout([layer(A1[None]), layer(A2)]), rollout([layer(A1), layer(A2)])
    )


def test_the_start_layer_is_counted_from_both_ends_and_told():
    layers = [layer(each) for each in random_layers()]
    np.testing.assert_array_equal(rollout(layers, start_layer=2), rollout(layers[2:]))
    last = rollout(layers, start_layer=-1)
    np.testing.assert_array_equal(last, rollout(layers[-1:]))
    assert last.attrs["start_layer"] == -1
    assert last.attrs["layers"] == 1
    assert last.attrs["class_agnostic"] is True


def test_it_is_the_same_for_tensors_and_has_gradients():
    layers = random_layers()
    tensors = [torch.from_numpy(each).requires_grad_() for each in layers]
    got = rollout_of_layers(tensors, discard=0.3)
    np.testing.assert_allclose(
        got.detach().numpy(), rollout_of_layers(list(layers), discard=0.3), atol=1e-12
    )
    got[0, 1].backward()
    assert all(each.grad is not None for each in tensors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "sum"}, "fusion is 'sum' and must be one of max, mean, min"),
        ({"residual": 1.0}, "residual is 1.0 and must lie in 0..1, without 1"),
        ({"residual": -0.1}, "residual is -0.1"),
        ({"discard": 1.0}, "discard is 1.0 and must lie in 0..1, without 1"),
        ({"prefix": -1}, "prefix is -1 and must not be negative"),
        ({"prefix": 4}, "prefix is 4 and there are 3 tokens"),
        ({"start_layer": 2}, "start_layer is 2 and there are 2 layers"),
        ({"start_layer": -3}, "start_layer is -3 and there are 2 layers"),
        ({"compat": "other"}, "compat is 'other' and must be None or 'vit-explain'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ArgumentError, match=f"rollout: {message}"):
        rollout([layer(A1), layer(A2)], **options)


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="there are 0 layers"):
        rollout([])
    with pytest.raises(AxisError, match="layer 1 has 4 queries and 4 keys, the first 3 keys"):
        rollout([layer(A1), layer(np.eye(4))])
    with pytest.raises(AxisError, match="layer 0 has 2 queries and 3 keys"):
        rollout([layer(A1[:2])])
    with pytest.raises(NotAttentionError, match="rollout: attention must be >= 0"):
        rollout([layer(A1), layer(A2 * 2)])
