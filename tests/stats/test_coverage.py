"""How often intervals of 95 % hold the true mean, by simulation from data whose mean is known."""

import numpy as np
import pytest
import xarray as xr

from regard.stats.ends import LEAST
from regard.stats.means import bootstrap, intervals, paired

REPEATS = 400

BETWEEN = (0.90, 0.98)
"""What is promised. 2000 simulations are good to 0.007, so a little beyond is let pass."""

SLACK = 0.007


def normal(rng, shape):
    return rng.normal(size=shape), 0.0


def exponential(rng, shape):
    return rng.exponential(size=shape), 1.0


def lognormal(rng, shape):
    return rng.lognormal(0.0, 1.0, size=shape), float(np.exp(0.5))


def heavy(rng, shape):
    return rng.standard_t(3, size=shape), 0.0


def differences(rng, shape):
    """Before and after of the same prompts, both skewed."""
    prompt = rng.normal(size=shape)
    after, before = rng.exponential(size=shape) + prompt, 0.5 * rng.exponential(size=shape) + prompt
    return after - before, 0.5


def shares(rng, shape):
    """Of eight pictures of each prompt, some prompts harder than others."""
    return rng.binomial(8, rng.beta(2.0, 3.0, size=shape)) / 8, 0.4


KINDS = [normal, exponential, lognormal, heavy, differences, shares]


def covered(kind, clusters, runs=2000, **options):
    """Share of intervals that hold the mean; NaN if there is none."""
    values, mean = kind(np.random.default_rng(clusters), (clusters, runs))
    array = xr.DataArray(values, dims=("sample", "run"))
    found = intervals(array, repeats=REPEATS, **options)
    if np.isnan(found["low"]).all():
        return float("nan")
    return float(((found["low"] <= mean) & (mean <= found["high"])).mean())


@pytest.mark.parametrize("clusters", [5, 6, 8, 10, 15, 20, 30, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_of_95_percent_holds_the_mean_so_often(kind, clusters):
    share = covered(kind, clusters, bounds=(0.0, 1.0) if kind is shares else None)
    assert BETWEEN[0] - SLACK <= share <= BETWEEN[1] + SLACK


@pytest.mark.parametrize("clusters", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_of_fewer_clusters_nothing_is_claimed(kind, clusters):
    assert np.isnan(covered(kind, clusters, runs=20))
    assert LEAST == 5


@pytest.mark.parametrize("clusters", [10, 20, 50])
@pytest.mark.parametrize("chance", [0.3, 0.5])
def test_yes_and_no_are_counted(clusters, chance):
    def asked(rng, shape):
        return rng.binomial(1, chance, size=shape) * 1.0, chance

    # Of ten answers each count has a chance of up to 0.25: no interval can hit 95 % closely.
    assert 0.90 <= covered(asked, clusters, bounds=(0.0, 1.0)) <= 0.99


@pytest.mark.parametrize("clusters", [5, 10, 30])
def test_seeds_of_a_prompt_count_as_one_cluster_whatever_their_number(clusters):
    rng, runs = np.random.default_rng(0), 1500
    sizes = rng.integers(1, 6, size=clusters)
    names = np.repeat(np.arange(clusters), sizes)
    of_prompt = rng.exponential(size=(clusters, runs)) - 1.0
    values = of_prompt[names] + rng.normal(size=(len(names), runs)) * 0.5
    array = xr.DataArray(values, dims=("sample", "run"))
    found = intervals(array, clusters=list(names), repeats=REPEATS)
    # The mean over pictures of given numbers is the weighted mean of prompts: 0.
    share = float(((found["low"] <= 0) & (found["high"] >= 0)).mean())
    assert 0.88 <= share <= 0.985


def test_with_many_clusters_it_is_the_interval_of_student():
    from scipy.stats import t

    values = np.random.default_rng(3).normal(size=3000)
    found = bootstrap(values, repeats=4000)
    low, high = t.interval(0.95, 2999, values.mean(), values.std(ddof=1) / np.sqrt(3000))
    assert abs(found.low - low) < 0.15 * (high - low)
    assert abs(found.high - high) < 0.15 * (high - low)


def test_shares_that_are_all_alike_have_the_interval_of_wilson():
    from scipy.stats import binomtest

    found = bootstrap([0.0] * 8, bounds=(0.0, 1.0))
    with_scipy = binomtest(0, 8).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((with_scipy.low, with_scipy.high), abs=1e-9)


def test_two_values_have_the_interval_of_scipy():
    from scipy.stats import binomtest

    found = bootstrap([0.0] * 7 + [1.0] * 3)
    with_scipy = binomtest(3, 10).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((with_scipy.low, with_scipy.high), rel=1e-9)


def test_where_nothing_changed_a_few_more_prompts_might_have():
    # Wilson: of 10 prompts without a change, 27.75 % of others may well have one, of up to 1.
    found = paired([0.0] * 10, [0.0] * 10, bounds=(-1.0, 1.0)).interval
    assert (found.low, found.high) == pytest.approx((-0.2775, 0.2775), abs=1e-4)


def test_no_end_lies_beyond_the_bounds():
    found = bootstrap([0.0, 0.0, 0.1, 0.0, 0.9], bounds=(0.0, 1.0))
    assert found.low == 0.0
    assert found.high <= 1.0
