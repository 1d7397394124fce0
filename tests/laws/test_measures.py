"""What must hold for every measure of attention in the table.

Measures that need an encoder are tested where they live, with a tiny one.
"""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regard.errors import ArgumentError, AxisError, NotAttentionError
from regard.measures import measures
from regard.measures.about import READS, About, about_of
from regard.measures.agreement import correlation_of_heads
from regard.measures.artefacts import column_concentration_of_rows, sink_mass_of_rows
from regard.measures.coherence import coherence_of_rows
from regard.measures.concentration import gini_of_rows, hoyer_of_rows, topk_mass_of_rows
from regard.measures.divergence import KINDS, divergence_of_heads
from regard.measures.flow import rollout_of_layers
from regard.measures.inside import (
    average_precision_of_maps,
    energy_lift_of_maps,
    energy_of_maps,
    iou_of_maps,
    pointing_game_of_maps,
    roc_area_of_maps,
)
from regard.measures.outliers import norm_outliers_of_rows
from regard.measures.reach import centre_of_maps, distance_of_rows, extent_of_maps, mass_of_maps
from regard.measures.spread import (
    area_above_uniform_of_rows,
    attention_focus_of_rows,
    coverage_of_rows,
    effective_coverage_of_rows,
    entropy_of_rows,
    normalised_entropy_of_rows,
    participation_of_rows,
    perplexity_of_rows,
)
from regard.stats.correlation import pearson_of_pairs, spearman_of_pairs
from regard.trace import toy_trace

P, ONE_HOT, EVEN = [0.7, 0.1, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0], [0.25] * 4
WEIGHTS = np.array([P, ONE_HOT, EVEN])
ROWS = xr.DataArray(WEIGHTS, dims=["query", "key"])
HEAT = np.array([[0.0, 0.4], [0.8, 1.0]])
MASK = np.array([[False, True], [False, True]])
PLANE = [xr.DataArray(values, dims=["y", "x"]) for values in (HEAT, MASK)]
PAIR = np.array([[P], [EVEN]])  # two heads, one query
HEADS = xr.DataArray(PAIR, dims=["head", "query", "key"])
SELF = np.array([P, EVEN, EVEN, ONE_HOT])  # 2x2 patches that look at each other
GRID = xr.DataArray(SELF, dims=["query", "key"])
A1 = np.array([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]])
A2 = np.array([[0.6, 0.1, 0.3], [0.3, 0.3, 0.4], [0.25, 0.25, 0.5]])
LAYERS = [xr.DataArray(each[None], dims=["head", "query", "key"]) for each in (A1, A2)]
ROLLED = [[0.5125, 0.275, 0.2125], [0.1625, 0.6625, 0.175], [0.23125, 0.29375, 0.475]]
SEEDS = np.array([[[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]], [[2.0, 1.0, 0.0]]])  # correlate 1, -1, -1
NORMS = np.array([1.0, 1.1, 0.9, 1.0, 8.0])
ROOT2 = np.sqrt(2)


def maps(values, dim):
    return xr.DataArray(values, dims=[dim, "y", "x"])


# Each measure on an input that one can check by hand: its arguments, and what must come out.
BY_HAND = {
    "entropy": ([ROWS], {}, [1.356780, 0, 2]),
    "normalised_entropy": ([ROWS], {}, [0.678390, 0, 1]),
    "perplexity": ([ROWS], {}, [2.561129, 1, 4]),
    "attention_focus": ([ROWS], {}, [0.321610, 1, 0]),
    "coverage": ([ROWS], {}, [2 / 4, 1 / 4, 4 / 4]),  # of the even row, 0.8 * 4 rounded up
    "effective_coverage": ([ROWS], {}, [0.640282, 1 / 4, 1]),
    "participation": ([ROWS], {}, [0.480769, 1 / 4, 1]),
    "area_above_uniform": ([ROWS], {}, [1 / 4, 1 / 4, 0]),
    "gini": ([ROWS], {}, [0.45, 3 / 4, 0]),
    "hoyer": ([ROWS], {}, [0.613250, 1, 0]),
    "topk_mass": ([ROWS], {"k": 2}, [0.8, 1, 2 / 4]),
    # a corner of 2x2: its neighbours 1 and 1 away, the opposite corner sqrt 2
    "attention_distance": (
        [GRID, (2, 2)],
        {},
        [0.1 * (2 + ROOT2), 0.25 * (2 + ROOT2), 0.25 * (2 + ROOT2), ROOT2],
    ),
    "mass": (PLANE[:1], {}, 0.55),
    "centre": (PLANE[:1], {}, {"y": 1.8 / 2.2, "x": 1.4 / 2.2}),
    "extent": ([xr.DataArray([[0.5, 0.0, 0.5]], dims=["y", "x"])], {"patch": 16}, 16),
    "iou": (PLANE, {"threshold": 0.5}, 1 / 3),
    "pointing_game": (PLANE, {}, 1),
    "energy": (PLANE, {}, 1.4 / 2.2),
    "energy_lift": (PLANE, {}, 2.8 / 2.2),
    "average_precision": (PLANE, {}, (1 / 1 + 2 / 3) / 2),  # hits at ranks 1 and 3
    "roc_area": (PLANE, {}, 3 / 4),  # 1.0 beats both outside, 0.4 beats one of two
    "coherence": ([GRID, PLANE[1], (2, 2)], {}, (0.5 + 0) / 2),  # patches 1 and 3
    "coherence_lift": ([GRID, PLANE[1], (2, 2)], {}, 0.25 / 0.5),
    "head_diversity": ([HEADS], {}, 0.151911),
    "effective_heads": ([HEADS], {}, 1.1110),
    "head_divergence": ([HEADS], {}, [[0, 0.151911], [0.151911, 0]]),
    # p and its reverse, less 0.25: (2 * -0.45 * 0.15 + 2 * 0.15^2) / (0.45^2 + 3 * 0.15^2)
    "head_correlation": (
        [xr.DataArray([[P], [P[::-1]]], dims=HEADS.dims)],
        {},
        [[1, -1 / 3], [-1 / 3, 1]],
    ),
    "head_clusters": ([HEADS], {}, {"cluster": [0, 1], "degenerate": ["", "even"]}),
    "head_redundancy": ([HEADS], {}, 1 / 2),
    "agreement": ([maps(SEEDS, "seed")], {}, -1 / 3),
    "same_place": ([maps(SEEDS, "sample")], {}, -1 / 3),
    "rollout": ([LAYERS], {}, ROLLED),
    "column_concentration": ([ROWS], {}, (3 * 1.95 - 3 * 0.35) / (4 * 3)),
    "sink_mass": ([ROWS], {}, [0.7, 1, 0.25]),
    "norm_outliers": (
        [xr.DataArray(NORMS, dims="key")],
        {},
        {"outlier": [0, 0, 0, 0, 1], "share": 0.2, "excess": 8},
    ),
    "word_table": ([toy_trace()], {}, None),  # checked by hand in tests/measures/test_words.py
}

# The kernels, and what they are called with. Those of tables and clusters put others together.
KERNELS = {
    "entropy": (entropy_of_rows, [WEIGHTS]),
    "normalised_entropy": (normalised_entropy_of_rows, [WEIGHTS]),
    "perplexity": (perplexity_of_rows, [WEIGHTS]),
    "attention_focus": (attention_focus_of_rows, [WEIGHTS]),
    "coverage": (coverage_of_rows, [WEIGHTS]),
    "effective_coverage": (effective_coverage_of_rows, [WEIGHTS]),
    "participation": (participation_of_rows, [WEIGHTS]),
    "area_above_uniform": (area_above_uniform_of_rows, [WEIGHTS]),
    "gini": (gini_of_rows, [WEIGHTS]),
    "hoyer": (hoyer_of_rows, [WEIGHTS]),
    "topk_mass": (partial(topk_mass_of_rows, k=2), [WEIGHTS]),
    "attention_distance": (distance_of_rows, [SELF, A1[[0, 1, 2, 0]][:, [0, 1, 2, 0]]]),
    "mass": (mass_of_maps, [HEAT]),
    "centre": (centre_of_maps, [HEAT]),
    "extent": (extent_of_maps, [HEAT]),
    "iou": (iou_of_maps, [HEAT, MASK, 0.5]),
    "pointing_game": (pointing_game_of_maps, [HEAT, MASK]),
    "energy": (energy_of_maps, [HEAT, MASK]),
    "energy_lift": (energy_lift_of_maps, [HEAT, MASK]),
    "average_precision": (average_precision_of_maps, [HEAT, MASK]),
    "roc_area": (roc_area_of_maps, [HEAT, MASK]),
    "coherence": (coherence_of_rows, [SELF, np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 0, 1])]),
    "head_diversity": (KINDS["js"], [PAIR]),
    "head_diversity, cosine": (KINDS["cosine"], [PAIR]),
    "effective_heads": (KINDS["generalised"], [PAIR]),
    "head_divergence": (divergence_of_heads, [PAIR]),
    "head_correlation": (correlation_of_heads, [np.array([[P], [P[::-1]]])]),
    "agreement": (pearson_of_pairs, [SEEDS[:, 0]]),
    "same_place": (spearman_of_pairs, [SEEDS[:, 0]]),
    "rollout": (lambda *layers: rollout_of_layers(layers), [A1[None], A2[None]]),
    "column_concentration": (column_concentration_of_rows, [WEIGHTS]),
    "sink_mass": (sink_mass_of_rows, [WEIGHTS, np.array([[True, False, False, True]] * 3)]),
    "norm_outliers": (norm_outliers_of_rows, [NORMS]),
}
WITHOUT_KERNEL = {"coherence_lift", "head_clusters", "head_redundancy", "word_table"}
COUNTS = {"coverage", "area_above_uniform", "iou", "pointing_game", "average_precision", "roc_area"}
COUNTS |= {"norm_outliers", "same_place"}

ENCODERS = ("regard.scores.clip", "regard.scores.fidelity", "regard.stats.comparison")
NAMES = [name for name, place in measures.places().items() if not place.startswith(ENCODERS)]
READ_ROWS = [name for name in NAMES if about_of(measures[name]).reads == "rows"]
READ_HEADS = [name for name in NAMES if about_of(measures[name]).reads == "heads"]
READ_MASK = [name for name in NAMES if about_of(measures[name]).reads == "map and mask"]
READ_ATTENTION = [*READ_ROWS, *READ_HEADS, "attention_distance", "centre", "extent"]
READ_ATTENTION += ["coherence", "coherence_lift", "rollout"]


def called(name, first=None):
    """The measure on its arguments by hand, the first replaced if another is given."""
    arguments, options, _ = BY_HAND[name]
    if first is not None:
        arguments = [[first] if name == "rollout" else first, *arguments[1:]]
    if name in ("centre", "extent") and first is not None:
        arguments, options = [first, (2, 2)], {}
    return measures[name](*arguments, **options)


def test_every_measure_is_put_to_the_laws():
    assert set(BY_HAND) == set(NAMES)
    assert {name.split(",")[0] for name in KERNELS} | WITHOUT_KERNEL == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_gives_the_number_found_by_hand(name):
    expected, got = BY_HAND[name][2], called(name)
    for part, value in expected.items() if isinstance(expected, dict) else ():
        if isinstance(value, list) and isinstance(value[0], str):
            assert got[part].values.tolist() == value
        else:
            np.testing.assert_allclose(got[part], value, atol=1e-6)
    if not isinstance(expected, dict | None):
        np.testing.assert_allclose(got, expected, atol=5e-5 if name == "effective_heads" else 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_has_a_unit_and_its_own_name(name):
    got = called(name)
    assert measures.get(name).__name__ == name
    assert got.attrs["units"]
    if isinstance(got, xr.DataArray):
        assert got.name == name
        assert got.attrs["undefined"] == 0
    if isinstance(got, xr.Dataset):
        assert all(part.attrs["units"] for part in got.data_vars.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_says_what_it_takes_returns_and_where_it_comes_from(name):
    text = inspect.getdoc(measures.get(name))
    for part in ("Args:", "Returns:", "Example:", "Source:", ">>>"):
        assert part in text, part
    assert text.splitlines()[0].endswith("."), "the first line is one sentence"


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_can_be_listed_with_all_one_needs_to_read_it(name):
    about = measures.get(name).about
    assert isinstance(about, About)
    assert about.reads in READS
    assert all([about.unit, about.range, about.higher, about.reduce, about.source])
    assert about.question == inspect.getdoc(measures.get(name)).splitlines()[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_leaves_its_input_as_it_was(name):
    arguments, options, _ = BY_HAND[name]
    flat = [each for value in arguments for each in (value if isinstance(value, list) else [value])]
    before = [value.copy(deep=True) for value in flat if isinstance(value, xr.DataArray)]
    measures.get(name)(*arguments, **options)
    after = [value for value in flat if isinstance(value, xr.DataArray)]
    for one, other in zip(before, after, strict=True):
        xr.testing.assert_identical(one, other)


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("name", [name for name in READ_ROWS if name != "sink_mass"])
def test_the_bounds_of_a_spread_are_one_key_and_all_keys(name):
    keys = 8
    rows = xr.DataArray([[1.0] + [0.0] * 7, [1 / 8] * 8], dims=["query", "key"])
    options = {"topk_mass": {"k": 2}, "coverage": {"share": 1.0}}.get(name, {})
    about = about_of(measures[name])
    words = {
        "log2(keys)": 3.0,
        "keys": 8.0,
        "1/keys": 1 / keys,
        "1 - 1/keys": 1 - 1 / keys,
        "share of the keys": 2 / keys,
    }
    low, high = (words.get(end, end) for end in (about.low, about.high))
    got = measures[name](rows, **options).values
    if name == "area_above_uniform":  # its highest is one key short of all, not one key
        got = measures[name](xr.DataArray([[0.0] + [1 / 7] * 7, [1 / 8] * 8], dims=rows.dims))
    expected = [low, high] if about.higher == "spread wider" else [high, low]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert not np.signbit(got).any()


two = partial(xr.DataArray, dims=["head", "query", "key"])


@pytest.mark.parametrize(
    ("name", "alike", "apart"),
    [
        ("head_diversity", 0, 1),
        ("effective_heads", 1, 2),
        ("head_redundancy", 0.5, 0),
        ("head_correlation", 1, -1 / 3),
        ("head_divergence", 0, 1),
    ],
)
def test_the_bounds_of_heads_are_the_same_and_no_key_in_common(name, alike, apart):
    half, other = [0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0]
    corner = lambda table: table.values.ravel()[1 if table.ndim else 0]  # noqa: E731
    got = corner(measures[name](two([[half], [half]])))
    assert got == pytest.approx(alike, abs=1e-12)
    expected = -0.5 if name == "head_correlation" else apart  # four of six keys differ in sign
    assert corner(measures[name](two([[half], [other]]))) == pytest.approx(expected)


@pytest.mark.parametrize("name", READ_MASK)
def test_the_best_map_is_the_mask_itself(name):
    mask = xr.DataArray(np.arange(12).reshape(3, 4) % 5 < 2, dims=["y", "x"])
    options = {"threshold": 0.5} if name == "iou" else {}
    best = 12 / int(mask.sum()) if name == "energy_lift" else 1
    assert measures[name](mask * 1.0, mask, **options).item() == pytest.approx(best)
    if name != "average_precision":  # which cannot be 0 where something is inside
        assert measures[name](1.0 - mask, mask, **options).item() == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("energy", 5 / 12),
        ("energy_lift", 1),
        ("pointing_game", 5 / 12),
        ("average_precision", 5 / 12),
        ("roc_area", 0.5),
    ],
)
def test_an_even_map_scores_what_chance_does(name, expected):
    mask = xr.DataArray(np.arange(12).reshape(3, 4) < 5, dims=["y", "x"])
    assert measures[name](mask * 0.0 + 0.3, mask).item() == pytest.approx(expected)


scores = arrays(float, (3, 2, 4), elements=st.floats(0.0, 1.0)).map(lambda a: a + 1e-6)


@pytest.mark.parametrize("name", [*READ_ROWS, *READ_HEADS, "attention_distance", "extent"])
@given(values=scores)
def test_no_value_lies_outside_the_range_that_is_told(name, values):
    weights = two(values / values.sum(-1, keepdims=True))
    about = about_of(measures[name])
    if name in ("attention_distance", "extent"):
        got, high = measures[name](weights, (2, 2)), ROOT2
    else:
        got = measures[name](weights)
        high = {"log2(keys)": 2, "keys": 4, "heads": 3, "heads - 1": 2}.get(about.high, about.high)
    got = got["cluster"] if isinstance(got, xr.Dataset) else got
    found = got.values[np.isfinite(got.values)]
    assert (found >= (about.low if isinstance(about.low, float) else 0) - 1e-9).all()
    assert (found <= (high if not isinstance(high, str) else 1) + 1e-9).all()


# ---------------------------------------------------------------- kernels


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_is_the_same_in_numpy_and_torch(name, dtype):
    kernel, arguments = KERNELS[name]
    given = [
        value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype == float else value
        for value in arguments
    ]
    tensors = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in given]
    expected, got = kernel(*given), kernel(*tensors)
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_takes_leading_axes_as_they_come(name):
    kernel, arguments = KERNELS[name]
    batch = [np.stack([v, v]) if isinstance(v, np.ndarray) else v for v in arguments]
    one = np.asarray(kernel(*arguments))
    np.testing.assert_allclose(kernel(*batch), np.stack([one, one]), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in COUNTS])
def test_a_kernel_that_does_not_count_can_be_a_loss(name):
    kernel, (first, *others) = KERNELS[name]
    rest = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in others]
    noise = torch.rand(first.shape, generator=torch.Generator().manual_seed(0))
    start = noise.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: kernel(s.softmax(-1), *rest), start)


# ---------------------------------------------------------------- bad input

FIRST = {
    **dict.fromkeys(READ_ROWS, ROWS),
    **dict.fromkeys(READ_HEADS, two(np.stack([SELF, SELF[::-1]]))),
    **dict.fromkeys(READ_ATTENTION[len(READ_ROWS) + len(READ_HEADS) :], GRID),
}


@pytest.mark.parametrize("name", READ_ATTENTION)
@pytest.mark.parametrize("spoil", ["negative", "nan", "infinite", "scores", "empty"])
def test_what_is_no_attention_is_refused(name, spoil):
    good = FIRST[name]
    bad = good.copy(deep=True)
    bad[{dim: 0 for dim in bad.dims}] = {
        "negative": -0.5,
        "nan": np.nan,
        "infinite": np.inf,
        "scores": 3.0,
    }.get(spoil, 0.0)
    if spoil == "empty":
        bad = good.isel(query=slice(0))
    with pytest.raises((NotAttentionError, ArgumentError), match=rf"^{name}: "):
        called(name, bad)


@pytest.mark.parametrize("name", READ_ATTENTION)
def test_a_dim_that_is_missing_is_named(name):
    with pytest.raises(AxisError, match=rf"^{name}: the array has no dim 'key'; it has"):
        called(name, FIRST[name].rename(key="token"))


@pytest.mark.parametrize("name", READ_ATTENTION)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, int])
def test_weights_of_any_kind_of_number_are_measured(name, dtype):
    good = FIRST[name]
    if dtype is int:
        good = xr.zeros_like(good).where(good["key"] != 2, 1.0)
    one, other = called(name, good.astype(dtype)), called(name, good.astype(float))
    if isinstance(one, xr.Dataset):
        one, other = (found[list(found)[0]] for found in (one, other))
    np.testing.assert_allclose(one, other, atol=2e-3)


PATCHES = [name for name in [*READ_ROWS, *READ_HEADS] if name not in ("sink_mass", "head_clusters")]


@pytest.mark.parametrize("name", PATCHES)
def test_rows_with_all_mass_on_the_prefix_are_undefined_and_counted(name):
    rows = two(np.array([[[1.0, 0, 0, 0], P]] * 2))  # the first query looks at CLS alone
    got = measures[name](rows, prefix=1)
    if about_of(measures[name]).reads == "rows":
        assert got.attrs["undefined"] == 2
        assert got.attrs["prefix_mass"] == pytest.approx(0.85)
        assert np.isnan(got[:, 0]).all()
        assert np.isfinite(got[:, 1]).all()
    elif name == "head_correlation":
        assert got.attrs["undefined"] == 4
    else:
        alone = measures[name](rows.isel(query=[1]), prefix=1)
        np.testing.assert_allclose(got, alone, atol=1e-12)


@pytest.mark.parametrize("name", [*READ_ROWS, *READ_HEADS])
def test_a_prefix_that_leaves_no_patch_is_refused(name):
    with pytest.raises(ArgumentError, match=rf"^{name}: prefix is"):
        measures[name](FIRST[name], prefix=5)
    with pytest.raises(ArgumentError, match=rf"^{name}: prefix is -1"):
        measures[name](FIRST[name], prefix=-1)


@pytest.mark.parametrize("name", ["normalised_entropy", "attention_focus", "hoyer"])
def test_one_key_leaves_nothing_to_compare(name):
    got = measures[name](xr.DataArray([[1.0]], dims=["query", "key"]))
    assert np.isnan(got).all()
    assert got.attrs["undefined"] == 1


@pytest.mark.parametrize("name", ["head_diversity", "effective_heads"])
def test_one_head_has_nobody_to_differ_from(name):
    got = measures[name](HEADS.isel(head=[0]))
    assert np.isnan(got)
    assert got.attrs["undefined"] == 1


@pytest.mark.parametrize("name", READ_HEADS)
def test_one_query_is_a_mean_over_one(name):
    got = called(name, FIRST[name].isel(query=[0]))
    assert np.isfinite(got["cluster"] if isinstance(got, xr.Dataset) else got).all()


@pytest.mark.parametrize("name", [*READ_MASK, "coherence", "coherence_lift"])
def test_an_empty_mask_is_undefined_and_counted(name):
    arguments, options, _ = BY_HAND[name]
    empty = [each & False if each is PLANE[1] else each for each in arguments]
    got = measures[name](*empty, **options)
    assert np.isnan(got)
    assert got.attrs["undefined"] == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("energy", 1), ("energy_lift", 1), ("pointing_game", 1), ("roc_area", np.nan)],
)
def test_a_mask_that_covers_everything_leaves_nothing_outside(name, expected):
    np.testing.assert_equal(measures[name](PLANE[0], PLANE[1] | True).item(), expected)


@pytest.mark.parametrize("name", READ_MASK)
def test_a_map_with_no_number_is_undefined_and_counted(name):
    options = {"threshold": "mean"} if name == "iou" else {}
    got = measures[name](PLANE[0].where(PLANE[0] > 0.1), PLANE[1], **options)
    assert np.isnan(got)
    assert got.attrs["undefined"] == 1


@pytest.mark.parametrize("name", READ_MASK)
def test_a_mask_of_numbers_or_without_plane_is_refused(name):
    options = {"threshold": 0.5} if name == "iou" else {}
    with pytest.raises(ArgumentError, match=rf"^{name}: the mask holds float64"):
        measures[name](PLANE[0], PLANE[1] * 1.0, **options)
    with pytest.raises(AxisError, match=rf"^{name}: the map has dims \('y', 'z'\)"):
        measures[name](PLANE[0].rename(x="z"), PLANE[1], **options)
    with pytest.raises(ArgumentError, match=rf"^{name}: the map is empty"):
        measures[name](PLANE[0][:0], PLANE[1], **options)
