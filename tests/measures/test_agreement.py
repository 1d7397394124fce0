import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from regard.errors import ArgumentError, AxisError
from regard.measures.agreement import (
    agreement,
    effective_heads,
    head_correlation,
    head_divergence,
    head_diversity,
)
from regard.measures.artefacts import same_place

P, EVEN = [0.7, 0.1, 0.1, 0.1], [0.25] * 4

scores = arrays(float, (3, 2, 5), elements=st.floats(0.0, 1.0)).map(lambda a: a + 1e-3)


def heads(values):
    return xr.DataArray(np.asarray(values), dims=["head", "query", "key"])


def softened(values):
    return heads(values / values.sum(-1, keepdims=True))


@pytest.mark.parametrize(
    ("kind", "expected"), [("js", 0.151911), ("cosine", 0.306625), ("generalised", 0.151911)]
)
def test_the_oracles_of_diversity(kind, expected):
    got = head_diversity(heads([[P], [EVEN]]), kind=kind)
    assert got.item() == pytest.approx(expected, abs=1e-6)
    assert got.attrs["units"] == ("bit" if kind == "js" else "1")
    assert head_diversity(heads([[P], [P]]), kind=kind).item() == pytest.approx(0, abs=1e-12)
    apart = heads([[[0.3, 0.7, 0, 0]], [[0, 0, 0.9, 0.1]]])
    assert head_diversity(apart, kind=kind).item() == pytest.approx(1)


def test_the_oracle_in_nats():
    got = head_diversity(heads([[P], [EVEN]])).item()
    assert got * np.log(2) == pytest.approx(0.105297, abs=1e-6)


def test_the_oracle_of_effective_heads():
    assert effective_heads(heads([[P], [EVEN]])).item() == pytest.approx(1.1110, abs=5e-5)


@given(scores)
def test_the_divergence_of_two_heads_is_that_of_scipy(values):
    weights = softened(values)
    got = head_divergence(weights)
    for a in range(3):
        for b in range(3):
            apart = jensenshannon(weights.values[a], weights.values[b], axis=-1, base=2) ** 2
            assert got.values[a, b] == pytest.approx(np.nan_to_num(apart).mean(), abs=1e-7)
    pairs = got.values[np.triu_indices(3, k=1)]
    assert head_diversity(weights).item() == pytest.approx(pairs.mean(), abs=1e-12)


@given(scores)
def test_for_two_heads_the_general_form_is_the_divergence(values):
    two = softened(values).isel(head=[0, 1])
    general = head_diversity(two, kind="generalised").item()
    assert general == pytest.approx(head_diversity(two).item(), abs=1e-12)


@given(scores)
def test_averaging_queries_first_makes_heads_more_alike(values):
    weights = softened(values)
    first = weights.mean("query").expand_dims("query", 1)
    assert head_diversity(first) <= head_diversity(weights) + 1e-12


def test_the_order_of_averaging_is_part_of_the_definition():
    # two heads that swap: alike in the mean, with no key in common at any query
    weights = heads([[[1.0, 0], [0, 1.0]], [[0, 1.0], [1.0, 0]]])
    assert head_diversity(weights).item() == 1
    assert head_diversity(weights.mean("query").expand_dims("query", 1)).item() == 0


def test_cosine_leaves_out_a_head_with_itself():
    weights = softened(np.random.default_rng(0).random((4, 3, 6)))
    unit = weights.values / np.linalg.norm(weights.values, axis=-1, keepdims=True)
    table = np.einsum("hqk,iqk->hiq", unit, unit).mean(-1)
    expected = 1 - table[~np.eye(4, dtype=bool)].mean()
    assert head_diversity(weights, kind="cosine").item() == pytest.approx(expected)


def test_a_query_that_looks_at_cls_alone_is_left_out_and_counted():
    weights = heads([[[1.0, 0, 0], [0, 0.5, 0.5]], [[0.5, 0.5, 0], [0, 0.5, 0.5]]])
    got = head_diversity(weights, prefix=1)
    assert got.item() == 0
    assert got.attrs["excluded"] == 1
    nothing = head_diversity(weights.isel(query=[0]), prefix=1)
    assert np.isnan(nothing)
    assert nothing.attrs["undefined"] == 1


def test_other_dims_stay():
    weights = softened(np.random.default_rng(0).random((4, 3, 6))).expand_dims(step=[7, 8])
    assert head_diversity(weights).dims == ("step",)
    assert head_correlation(weights).dims == ("step", "head", "head2")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ArgumentError, match="kind is 'l2' and must be one of cosine, general"):
        head_diversity(heads([[P], [EVEN]]), kind="l2")
    with pytest.raises(ArgumentError, match="kind is 'js' and must be one of pearson, spearman"):
        agreement(xr.DataArray(np.ones((2, 1, 2)), dims=["seed", "y", "x"]), kind="js")


def test_the_correlation_of_heads_is_that_of_numpy_and_of_the_gram_matrix():
    weights = softened(np.random.default_rng(0).random((4, 3, 6)))
    got = head_correlation(weights).values
    np.testing.assert_allclose(got, np.corrcoef(weights.values.reshape(4, -1)), atol=1e-12)
    gram = np.einsum("hqk,iqk->hi", weights.values, weights.values)
    cov = gram / (3 * 6) - 1 / 6**2
    deviation = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(got, cov / np.outer(deviation, deviation), atol=1e-12)


def test_an_even_head_correlates_with_nothing():
    got = head_correlation(heads([[P], [EVEN], [P]]))
    assert np.isnan(got.values[1]).all()
    assert got.attrs["undefined"] == 5
    assert got.values[0, 2] == pytest.approx(1)


def test_heads_keep_their_labels_on_both_axes():
    weights = heads([[P], [EVEN]]).assign_coords(head=[3, 5])
    assert head_divergence(weights).sel(head=3, head2=5).item() == pytest.approx(0.151911, abs=1e-6)


SEEDS = np.random.default_rng(0).random((4, 3, 5)).round(1)


@pytest.mark.parametrize(("kind", "index"), [("pearson", 0), ("spearman", 1)])
def test_agreement_is_the_mean_correlation_of_scipy(kind, index):
    flat = SEEDS.reshape(4, -1)
    by_scipy = (stats.pearsonr, stats.spearmanr)[index]
    pairs = [by_scipy(flat[a], flat[b])[0] for a in range(4) for b in range(a)]
    got = agreement(xr.DataArray(SEEDS, dims=["seed", "y", "x"]), kind=kind)
    assert got.item() == pytest.approx(np.mean(pairs))
    assert got.attrs["pairs"] == 6


def test_maps_that_are_even_are_left_out_and_counted():
    maps = xr.DataArray(SEEDS, dims=["sample", "y", "x"]).copy()
    maps[0] = 0.4
    got = same_place(maps)
    assert got.item() == pytest.approx(same_place(maps[1:]).item())
    assert got.attrs["excluded"] == 3


def test_one_map_agrees_with_nobody():
    got = agreement(xr.DataArray(SEEDS[:1], dims=["seed", "y", "x"]))
    assert np.isnan(got)
    assert got.attrs["pairs"] == 0
    assert got.attrs["undefined"] == 1


def test_agreement_names_the_dim_that_it_lacks():
    with pytest.raises(AxisError, match="no dim 'seed'; it has .*name the dim of the maps with"):
        agreement(xr.DataArray(SEEDS, dims=["sample", "y", "x"]))
