import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError
from regard.measures.artefacts import column_concentration, sink_mass, without_sinks
from regard.measures.concentration import gini


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


def test_sinks_kept_dropped_or_clipped_are_told():
    weights = rows([[0.4, 0.3, 0.1, 0.1, 0.1]])
    flagged = xr.DataArray([False, True, False, False, False], dims="key")
    kept = without_sinks(weights, "keep", flagged=flagged)
    np.testing.assert_array_equal(kept, weights)
    assert kept.attrs["sinks"] == "keep: sinks hold 0.7 of attention"
    dropped = without_sinks(weights, flagged=flagged)
    np.testing.assert_allclose(dropped.values, [[0, 0, 1 / 3, 1 / 3, 1 / 3]])
    clipped = without_sinks(weights, "clip", flagged=flagged)
    np.testing.assert_allclose(clipped.values, [[0.1] * 5])
    assert clipped.attrs["sinks"] == "clip: 0.5 of attention lay above quantile 0.98"


def test_what_is_clipped_is_each_rows_own_quantile():
    weights = np.random.default_rng(1).dirichlet(np.ones(50), size=3)
    clipped = without_sinks(rows(weights), "clip", prefix=0)
    np.testing.assert_allclose(
        clipped, np.minimum(weights, np.quantile(weights, 0.98, axis=1)[:, None])
    )


def test_a_row_of_sinks_alone_has_nothing_left():
    dropped = without_sinks(rows([[1, 0, 0], [0, 1, 0]]))
    assert np.isnan(dropped.values[0]).all()
    assert dropped.values[1].tolist() == [0, 1, 0]
    assert dropped.attrs["undefined"] == 1


def test_policies_that_there_are_not_are_refused():
    with pytest.raises(ArgumentError, match="policy is 'hide' and must be one of keep, drop, clip"):
        without_sinks(rows([[0.5, 0.5]]), "hide")
    with pytest.raises(ArgumentError, match=r"quantile is 98.0 and must lie in 0..1"):
        without_sinks(rows([[0.5, 0.5]]), "clip", quantile=98.0)
    with pytest.raises(ArgumentError, match="prefix is 3"):
        without_sinks(rows([[0.5, 0.5]]), prefix=3)
