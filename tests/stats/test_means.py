import re

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import ArgumentError, AxisError
from regard.stats import clusters
from regard.stats.clusters import exchange_p
from regard.stats.means import bootstrap, holm, intervals, paired

SKEWED = np.random.default_rng(1).exponential(size=40)


def test_an_interval_is_that_of_a_bootstrap_of_t_drawn_one_by_one():
    rng, number, mean = np.random.default_rng(5), len(SKEWED), SKEWED.mean()
    error = scipy.stats.sem(SKEWED)
    ts = []
    for _ in range(20_000):
        drawn = rng.choice(SKEWED, number)
        ts.append((drawn.mean() - mean) / scipy.stats.sem(drawn))
    student = scipy.stats.t.ppf(0.975, number - 1)
    # These values are skewed to the right, so t is often very low: there lies the longer side, and
    # of 40 clusters it may miss 0.025 * (1 - 0.6 * 20 / 40) of the cases.
    longer = -np.quantile(ts, 0.025 * 0.7)
    shorter = max(np.quantile(ts, 0.975), 0.8 * student)
    assert student < longer < 3 * student
    ours = bootstrap(SKEWED, repeats=20_000)
    # Both are drawn: the ends of 20,000 draws wander by about 0.01 here.
    assert ours.low == pytest.approx(mean - shorter * error, abs=0.02)
    assert ours.high == pytest.approx(mean + longer * error, abs=0.03)
    assert ours.mean == mean


def test_few_clusters_have_a_mean_and_no_interval():
    few = bootstrap([1.0, 3.0, 4.0, 7.0])
    assert few.mean == 3.75
    assert np.isnan([few.low, few.high]).all()
    assert not np.isnan(bootstrap([1.0, 3.0, 4.0, 7.0, 9.0]).low)


def test_copies_of_a_value_in_its_cluster_make_the_mean_no_surer():
    once = bootstrap(SKEWED)
    copied = bootstrap(np.repeat(SKEWED, 5), clusters=np.repeat(np.arange(40), 5).tolist())
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert (copied.n, copied.clusters) == (200, 40)
    careless = bootstrap(np.repeat(SKEWED, 5))
    assert careless.high - careless.low < 0.6 * (copied.high - copied.low)


def test_the_mean_is_over_values_and_not_over_clusters():
    assert bootstrap([1.0, 1.0, 1.0, 5.0], clusters=["a", "a", "a", "b"]).mean == 2.0


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for sample in rng.normal(size=(200, 30)):
        found = bootstrap(sample, level=0.9, repeats=400)
        held += found.low <= 0 <= found.high
    # 90 % of 200, less what percentile intervals of 30 values are known to fall short; sd is 4.
    assert 168 <= held <= 194


def test_a_seed_fixes_the_interval_however_many_are_drawn_at_once(monkeypatch):
    assert bootstrap(SKEWED, seed=3) == bootstrap(SKEWED, seed=3)
    assert bootstrap(SKEWED, seed=3) != bootstrap(SKEWED, seed=4)
    whole = bootstrap(SKEWED, seed=3)
    monkeypatch.setattr(clusters, "DRAWN_AT_ONCE", 1000)
    parts = bootstrap(SKEWED, seed=3)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=0.05)


def test_one_cluster_has_a_mean_and_no_interval():
    found = bootstrap([1.0, 2.0], clusters=["cat", "cat"])
    assert found.mean == 1.5
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(bootstrap([1.0]).low)


def test_what_is_undefined_is_left_out_and_counted():
    with_nan = bootstrap([1.0, np.nan, 3.0, 3.0, 2.0])
    assert (with_nan.n, with_nan.clusters, with_nan.undefined) == (4, 4, 1)
    assert with_nan.mean == 2.25
    assert np.isnan(bootstrap([1.0, np.nan]).low)  # one cluster is left


def test_many_columns_are_drawn_as_one():
    values = xr.DataArray(
        np.stack([SKEWED, SKEWED + 1, np.full(40, np.nan), np.ones(40)], axis=1).reshape(40, 2, 2),
        dims=["sample", "layer", "head"],
        coords={"layer": ["down", "up"]},
        attrs={"units": "bit"},
    )
    found = intervals(values)
    alone = bootstrap(SKEWED)
    assert found["low"].dims == ("layer", "head")
    assert found["low"].values[0, 0] == pytest.approx(alone.low)
    assert found["high"].values[0, 1] == pytest.approx(alone.high + 1)
    assert np.isnan(found["mean"].values[1, 0])
    assert np.isnan(found["high"].values[1, 0])
    assert found["n"].values.tolist() == [[40, 40], [0, 40]]
    assert found["undefined"].values.tolist() == [[0, 0], [40, 0]]
    assert found["high"].sel(layer="up").values[1] == 1.0
    assert found["mean"].attrs["units"] == "bit"


def test_intervals_over_a_dim_that_is_not_there():
    with pytest.raises(AxisError, match=r"no dim 'sample'; it has \('head',\)"):
        intervals(xr.DataArray([1.0], dims=["head"]))


def test_a_difference_that_is_always_the_same_is_sure():
    found = paired(SKEWED, SKEWED + 0.5)
    assert found.interval.mean == pytest.approx(0.5)
    assert found.interval.low == pytest.approx(0.5)
    assert found.p == 1 / 10_001  # none of the exchanges that were drawn is as far
    assert not found.exact


def test_p_by_hand():
    # Differences 1, 2, 3 in sum 6: of the 8 ways to set their signs, +++ and --- are as far.
    found = paired([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    assert (found.p, found.exact) == (0.25, True)
    # 1, 2, -3 in sum 0: every way is as far.
    assert paired([0.0, 0.0, 0.0], [1.0, 2.0, -3.0]).p == 1.0


def test_p_is_that_of_scipy():
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=(2, 9))
    scipys = scipy.stats.permutation_test(
        (after, before),
        lambda one, other, axis: (one - other).mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert paired(before, after).p == pytest.approx(scipys.pvalue)


def test_p_of_drawn_exchanges_is_near_the_exact_one():
    sums = np.random.default_rng(4).normal(0.4, 1.0, size=10)
    exact, all_tried = exchange_p(sums, seed=0, repeats=1024)
    drawn, all_drawn = exchange_p(sums, seed=0, repeats=1023)
    assert (all_tried, all_drawn) == (True, False)
    assert drawn == pytest.approx(exact, abs=0.05)


def test_pairs_of_one_cluster_are_exchanged_together():
    clusters = ["cat"] * 10 + ["dog"] * 10
    assert paired(np.zeros(20), np.ones(20), clusters=clusters).p == 0.5  # ++ and -- of four
    assert paired(np.zeros(20), np.ones(20)).p < 0.001


def test_p_is_even_where_there_is_no_difference():
    rng = np.random.default_rng(0)
    p = [paired(*rng.normal(size=(2, 8)), repeats=256).p for _ in range(200)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_pairs_with_an_undefined_side_are_left_out_and_counted():
    found = paired([0.0, np.nan, 0.0, 0.0], [1.0, 1.0, np.nan, 2.0])
    assert (found.interval.n, found.interval.undefined) == (2, 2)
    assert found.p == 0.5  # two pairs are left


def test_arrays_in_another_order_are_no_pairs():
    one = xr.DataArray([1.0, 2.0], dims=["sample"], coords={"sample": ["a", "b"]})
    other = xr.DataArray([1.0, 2.0], dims=["sample"], coords={"sample": ["b", "a"]})
    with pytest.raises(ArgumentError, match="coordinates 'sample' of before and after differ"):
        paired(one, other)
    assert paired(one, one).p == 1.0


def test_holm_by_hand():
    # In order 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06 and never less again.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.6]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02, np.nan]), [0.02, np.nan])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_lies_between_p_and_p_times_the_number_of_tests(p):
    raised = holm(p)
    assert (raised >= np.array(p)).all()
    assert (raised <= np.minimum(1.0, np.array(p) * len(p)) + 1e-12).all()
    np.testing.assert_array_equal(np.sort(raised), raised[np.argsort(p, kind="stable")])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bootstrap([]), "none of the 0 values is a number"),
        (lambda: bootstrap([np.nan]), "none of the 1 values is a number"),
        (lambda: bootstrap([1.0, np.inf]), "a value is infinite"),
        (lambda: bootstrap([[1.0]]), "shape (1, 1) and must be one row"),
        (lambda: bootstrap([1.0, 2.0], clusters=["a"]), "clusters has 1 entries, 0 of them empty"),
        (lambda: bootstrap([1.0], clusters=[None]), "1 of them empty, for 1 values"),
        (lambda: bootstrap([1.0], level=95.0), "level is 95.0 and must lie between 0 and 1"),
        (lambda: bootstrap([1.0], repeats=0), "repeats is 0 and must be 1 or more"),
        (lambda: paired([1.0], [1.0, 2.0]), "got 1 values before and 2 after"),
        (lambda: holm([1.5]), "a p value lies in 0..1"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        call()


def test_an_interval_reads_as_one_quotes_it():
    assert str(bootstrap([2.0] * 5)) == "2 [2, 2]"
    assert str(bootstrap([2.0, 2.0])) == "2 (no interval: 2 of at least 5 clusters)"
