import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError
from regard.measures.heads import head_clusters, head_redundancy

LEFT, RIGHT = [0.6, 0.4, 0, 0], [0, 0, 0.4, 0.6]


def heads(*rows):
    """Heads with two queries that look alike."""
    return xr.DataArray([[row, row] for row in rows], dims=["head", "query", "key"])


def test_heads_that_look_alike_are_one_cluster():
    found = head_clusters(heads(LEFT, RIGHT, [0.58, 0.42, 0, 0], LEFT))
    assert found["cluster"].values.tolist() == [0, 1, 0, 0]
    assert found.attrs["clusters"] == 2
    assert set(found["degenerate"].values) == {""}


def test_closer_makes_more_clusters():
    apart = heads(LEFT, [0.5, 0.5, 0, 0], RIGHT)
    assert head_clusters(apart, closer=0.001).attrs["clusters"] == 3
    assert head_clusters(apart, closer=1.0).attrs["clusters"] == 1


def test_degenerate_heads_are_named_by_what_they_do():
    found = head_clusters(heads(LEFT, [0.25] * 4, [0, 0, 0.95, 0.05]))
    assert found["degenerate"].values.tolist() == ["", "even", "one key"]


def test_a_head_is_not_degenerate_if_its_key_depends_on_the_query():
    sharp = xr.DataArray([[[1.0, 0], [0, 1.0]]], dims=["head", "query", "key"])
    assert head_clusters(sharp)["degenerate"].values.tolist() == [""]


def test_a_head_that_looks_at_no_patch_is_named_too():
    weights = heads([1.0, 0, 0, 0], [0.2, 0.8, 0, 0], [0.1, 0.4, 0.5, 0])
    found = head_clusters(weights, prefix=1)
    assert found["degenerate"].values.tolist() == ["no patch", "one key", ""]
    assert found["cluster"].values.tolist() == [0, 1, 2]


def test_redundancy_counts_what_repeats_or_does_nothing():
    assert head_redundancy(heads(LEFT, RIGHT)).item() == 0
    assert head_redundancy(heads(LEFT, LEFT, RIGHT, [0.25] * 4)).item() == 0.5
    assert head_redundancy(heads([0.25] * 4, [0.25] * 4)).item() == 1
    assert head_redundancy(heads(LEFT)).item() == 0


def test_heads_keep_their_labels():
    weights = heads(LEFT, RIGHT).assign_coords(head=[4, 9])
    assert head_clusters(weights)["cluster"].sel(head=9).item() == 1


def test_several_layers_at_once_are_refused():
    with pytest.raises(ArgumentError, match="head_clusters: the dims are .*Give one layer at one"):
        head_clusters(heads(LEFT).expand_dims(step=2))
    with pytest.raises(ArgumentError, match="head_redundancy: .* closer is -0.1"):
        head_redundancy(heads(LEFT), closer=-0.1)


def test_the_default_distance_is_the_cosine_that_is_told():
    # near-equal heads: divergence in bits is about 0.4 times 1 less the cosine
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, 200, 50))
    scores = base + 0.36 * rng.normal(size=(2, 200, 50))
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    unit = weights / np.linalg.norm(weights, axis=-1, keepdims=True)
    assert 0.84 < (unit[0] * unit[1]).sum(-1).mean() < 0.92
    from regard.measures.agreement import head_divergence

    apart = head_divergence(xr.DataArray(weights, dims=["head", "query", "key"])).values[0, 1]
    assert apart == pytest.approx(0.05, abs=0.02)
