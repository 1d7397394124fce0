import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError, NotAttentionError
from regard.measures.reach import attention_distance, centre, extent

SIDE, PATCH = 14, 16
CORNERS = PATCH * 13 * np.sqrt(2)


def rows(values, **coords):
    return xr.DataArray(np.asarray(values), coords=coords, dims=["query", "key"])


def test_a_uniform_head_reads_the_published_distance():
    even = rows(np.full((SIDE**2, SIDE**2), 1 / SIDE**2))
    got = attention_distance(even, (SIDE, SIDE), patch=PATCH)
    assert got.mean().item() == pytest.approx(116.49, abs=0.005)
    assert got.attrs["units"] == "px"
    assert got.attrs["diagonal"] == pytest.approx(CORNERS)
    assert got.mean().item() / got.attrs["diagonal"] == pytest.approx(0.396, abs=0.0005)


def test_cls_does_not_shorten_the_distance_unless_it_is_asked_to():
    tokens = SIDE**2 + 1
    weights = np.full((tokens, tokens), 0.4 / SIDE**2)
    weights[:, 0] = 0.6
    one = attention_distance(rows(weights), (SIDE, SIDE), patch=PATCH, prefix=1)
    assert one.mean().item() == pytest.approx(116.49, abs=0.005)
    assert one.sizes == {"query": SIDE**2}
    assert one.attrs["prefix_mass"] == pytest.approx(0.6)
    other = attention_distance(
        rows(weights), (SIDE, SIDE), patch=PATCH, prefix=1, renormalise=False
    )
    assert other.mean().item() == pytest.approx(46.6, abs=0.05)


def test_a_head_that_looks_at_itself_reaches_nowhere():
    assert (attention_distance(rows(np.eye(6)), (2, 3)) == 0).all()


def test_grids_that_are_not_square_are_folded_row_by_row():
    # patch 0 of 2x3 looks at patch 5: one row down, two columns across
    got = attention_distance(rows(np.eye(6)[[5] * 6]), (2, 3))
    assert got.values[0] == pytest.approx(np.sqrt(5))
    assert attention_distance(rows(np.eye(6)[[5] * 6]), (2, 3), patch=(8.0, 2.0)).values[
        0
    ] == pytest.approx(np.hypot(8, 4))


def test_queries_are_placed_by_their_coordinate():
    kept = rows(np.eye(5)[[2, 2, 2]], query=[0, 1, 4])
    got = attention_distance(kept, (1, 4), prefix=1)
    # tokens 1 and 4 are patches 0 and 3, and token 2 is patch 1; CLS has no place
    assert got["query"].values.tolist() == [1, 4]
    assert got.values.tolist() == [1, 2]


def test_a_patch_that_looks_at_cls_alone_has_no_distance():
    weights = np.eye(5)[[0, 0, 2, 3, 4]]
    got = attention_distance(rows(weights), (1, 4), prefix=1)
    assert np.isnan(got.values).tolist() == [True, False, False, False]
    assert got.attrs["undefined"] == 1


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(ArgumentError) as raised:
        attention_distance(rows(np.eye(5)), (2, 2))
    assert str(raised.value) == (
        "attention_distance: the grid is (2, 2) and there are 5 keys, 0 of them before the "
        "patches. Rows times columns must be 5."
    )
    with pytest.raises(ArgumentError, match=r"extent: the grid is \(3, 3\)"):
        extent(rows(np.eye(4)), (3, 3))
    with pytest.raises(ArgumentError, match=r"queries are tokens 0\.\.0; patches are 1\.\.4"):
        attention_distance(rows(np.eye(5)[:1]), (2, 2), prefix=1)
    with pytest.raises(ArgumentError, match=r"queries are tokens 7\.\.7; patches are 0\.\.3"):
        attention_distance(rows(np.eye(4)[:1], query=[7]), (2, 2))


def test_the_centre_of_rows_and_of_maps_is_the_same():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), size=3)
    of_rows = centre(rows(weights), (2, 3))
    of_maps = centre(xr.DataArray(weights.reshape(3, 2, 3) * 7, dims=["query", "y", "x"]))
    xr.testing.assert_allclose(of_rows, of_maps)
    down, across = np.divmod(np.arange(6), 3)
    np.testing.assert_allclose(of_rows["y"], weights @ down)
    np.testing.assert_allclose(of_rows["x"], weights @ across)


def test_the_extent_is_the_root_of_both_variances():
    weights = np.random.default_rng(1).dirichlet(np.ones(12))
    down, across = np.divmod(np.arange(12), 4)
    variances = [np.cov(each, aweights=weights, ddof=0) for each in (down, across)]
    got = extent(xr.DataArray(weights.reshape(3, 4), dims=["y", "x"]))
    assert got.item() == pytest.approx(np.sqrt(sum(variances)))


def test_the_farthest_extent_is_two_opposite_corners():
    weights = np.zeros((4, 4))
    weights[0, 0] = weights[3, 3] = 0.5
    got = extent(xr.DataArray(weights, dims=["y", "x"]))
    assert got.item() == pytest.approx(got.attrs["diagonal"] / 2)


def test_a_map_without_mass_has_no_centre_and_one_with_negative_values_is_refused():
    nothing = xr.DataArray(np.zeros((2, 2)), dims=["y", "x"])
    assert np.isnan(centre(nothing)["y"])
    assert centre(nothing).attrs["undefined"] == 1
    assert extent(nothing).attrs["undefined"] == 1
    for bad in (-1.0, np.nan):
        with pytest.raises(NotAttentionError, match="centre: a map must be >= 0 everywhere"):
            centre(nothing + bad)
