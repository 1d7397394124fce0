import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from planes import plane
from regard.errors import ArgumentError, AxisError
from regard.measures.place import (
    average_precision,
    energy,
    energy_lift,
    iou,
    pointing_game,
    roc_area,
)


def test_iou_by_hand():
    # hot: 0.9 and 0.6; the mask has 0.9 and 0.1: one in both, three in either
    heat = plane([[0.0, 0.1], [0.6, 0.9]])
    assert iou(heat, plane([[False, True], [False, True]]), threshold=0.5).item() == 1 / 3


def test_iou_is_the_jaccard_index_of_scikit_learn(heat, mask):
    scaled = (heat - heat.min()) / (heat.max() - heat.min())
    expected = jaccard_score(mask.values.ravel(), (scaled >= 0.4).values.ravel())
    assert iou(heat, mask, threshold=0.4).item() == pytest.approx(expected)


def test_the_bounds_are_the_mask_itself_and_its_opposite(mask):
    assert iou(mask.astype(float), mask, threshold=0.5).item() == 1
    assert iou(1.0 - mask, mask, threshold=0.5).item() == 0


@pytest.mark.parametrize("scale", ["range", "mean"])
def test_iou_does_not_depend_on_the_unit_of_the_map(heat, mask, scale):
    one = iou(heat, mask, threshold=0.7, scale=scale)
    assert iou(1000 * heat, mask, threshold=0.7, scale=scale) == one


def test_only_the_range_takes_off_what_all_patches_have(heat, mask):
    assert iou(heat + 9, mask, threshold=0.7) == iou(heat, mask, threshold=0.7)
    assert iou(heat + 9, mask, threshold=1.2, scale="mean") == 0


def test_a_coarse_map_is_resized_to_the_mask():
    mask = plane(np.indices((8, 8))[1] >= 4)
    got = iou(plane([[0.0, 1.0]]), mask, threshold=0.5)
    assert got.item() == 1
    assert got.attrs == {"units": "1", "undefined": 0, "threshold": 0.5, "scale": "range"}


def test_masks_and_maps_of_several_words_are_judged_one_by_one():
    heat = xr.DataArray([[[0.0, 1.0]], [[1.0, 0.0]]], dims=["word", "y", "x"])
    mask = xr.DataArray([[[False, True]], [[False, True]]], dims=["word", "y", "x"])
    assert iou(heat, mask, threshold=0.5).values.tolist() == [1, 0]


def test_what_cannot_be_judged_is_no_number(heat, mask):
    assert np.isnan(iou(heat, mask & False, threshold=0.5))
    assert np.isnan(iou(heat * 0 + 0.3, mask, threshold=0.5))
    assert np.isnan(iou(heat * 0, mask, threshold=0.5, scale="mean"))


def test_a_mask_of_numbers_or_without_plane_and_an_unknown_scale_are_refused(heat, mask):
    with pytest.raises(ArgumentError, match=r"holds float64 and must be boolean. Give mask > 0"):
        iou(heat, mask.astype(float), threshold=0.5)
    with pytest.raises(AxisError, match=r"mask has dims \('y', 'z'\); it needs 'y' and 'x'"):
        iou(heat, mask.rename(x="z"), threshold=0.5)
    with pytest.raises(ArgumentError, match="scale is 'log' and must be one of range, mean"):
        iou(heat, mask, threshold=0.5, scale="log")


coarse = arrays(float, (4, 5), elements=st.integers(0, 6).map(float))  # so that values tie
some = arrays(bool, (4, 5)).filter(lambda mask: mask.any() and not mask.all())


@given(coarse, some)
def test_average_precision_and_roc_area_are_those_of_scikit_learn(values, inside):
    heat, mask = plane(values), plane(inside)
    expected = average_precision_score(inside.ravel(), values.ravel())
    assert average_precision(heat, mask).item() == pytest.approx(expected)
    expected = roc_auc_score(inside.ravel(), values.ravel())
    assert roc_area(heat, mask).item() == pytest.approx(expected)


@given(coarse, some)
def test_named_thresholds_are_found_in_the_map_itself(values, inside):
    heat, mask = plane(values), plane(inside)
    if np.ptp(values) == 0:
        for name in ("mean", "mass", "otsu", "oracle"):
            assert np.isnan(iou(heat, mask, threshold=name))
        return
    distinct = np.unique(values)
    heavy = np.sort(values.ravel())[::-1]
    least = heavy[np.argmax(heavy.cumsum() >= 0.8 * values.sum() - 1e-9)]

    def spread(cut):
        low, high = values[values < cut], values[values >= cut]
        return len(low) * low.var() + len(high) * high.var()

    otsu = min(spread(cut) for cut in distinct[1:])
    score = lambda cut: jaccard_score(inside.ravel(), (values >= cut).ravel())  # noqa: E731
    assert iou(heat, mask, threshold="mean").item() == pytest.approx(score(values.mean()))
    assert iou(heat, mask, threshold="mass").item() == pytest.approx(score(least))
    cuts = [score(cut) for cut in distinct[1:] if spread(cut) <= otsu + 1e-9]
    assert min(abs(iou(heat, mask, threshold="otsu").item() - cut) for cut in cuts) < 1e-9
    best = max(map(score, distinct))
    assert iou(heat, mask, threshold="oracle").item() == pytest.approx(best)


def test_a_sweep_has_one_value_per_threshold(heat, mask):
    levels = xr.DataArray([0.2, 0.5, 0.8], dims="threshold")
    swept = iou(heat, mask, threshold=levels)
    alone = [iou(heat, mask, threshold=float(level)).item() for level in levels]
    np.testing.assert_allclose(swept, alone)
    assert swept.attrs["threshold"] == "sweep"


def test_the_oracle_is_a_bound_for_every_other_threshold(heat, mask):
    bound = iou(heat, mask, threshold="oracle")
    assert all(iou(heat, mask, threshold=name) <= bound for name in ("mean", "mass", "otsu"))
    assert bound.attrs["threshold"] == "oracle"


def test_an_unknown_name_of_a_threshold_is_refused(heat, mask):
    with pytest.raises(ArgumentError) as raised:
        iou(heat, mask, threshold="median")
    assert str(raised.value) == (
        "iou: threshold is 'median' and must be a number or one of mass, mean, oracle, otsu."
    )
    with pytest.raises(ArgumentError, match=r"iou: mass is 0\.0"):
        iou(heat, mask, threshold="mass", mass=0.0)


def test_ties_of_the_pointing_game_count_by_their_share():
    heat = plane([[1.0, 1.0, 0.0, 1.0]])
    assert pointing_game(heat, plane([[True, False, True, False]])).item() == pytest.approx(1 / 3)


def test_a_near_miss_is_a_hit_within_the_tolerance():
    heat, mask = plane([[1.0, 0, 0, 0, 0]]), plane([[False, False, True, False, False]])
    assert pointing_game(heat, mask).item() == 0
    assert pointing_game(heat, mask, tolerance=1).item() == 0
    assert pointing_game(heat, mask, tolerance=2).item() == 1
    with pytest.raises(ArgumentError, match="tolerance is -1"):
        pointing_game(heat, mask, tolerance=-1)


def test_an_empty_mask_is_no_hit_however_wide_the_tolerance(heat, mask):
    assert np.isnan(pointing_game(heat, mask & False, tolerance=100))


def test_energy_is_told_beside_what_an_even_map_scores(heat, mask):
    got = energy(heat, mask)
    expected = heat.values[mask.values].sum() / heat.values.sum()
    assert got.item() == pytest.approx(expected)
    assert got.attrs["area"] == pytest.approx(mask.values.mean())
    assert energy_lift(heat, mask).item() == pytest.approx(expected / mask.values.mean())


def test_negative_values_have_no_energy(mask):
    heat = xr.where(mask, 2.0, -5.0)
    assert energy(heat, mask).item() == 1
    assert np.isnan(energy(heat * 0, mask))


def test_maps_of_several_layers_are_judged_at_once(heat, mask):
    both = xr.concat([heat, 1 - heat], "layer").assign_coords(layer=["a", "b"])
    got = roc_area(both, mask)
    assert got["layer"].values.tolist() == ["a", "b"]
    assert got.sum().item() == pytest.approx(1)


def test_what_just_reaches_the_mean_is_hot():
    # The mean of 0, 1, 1, 2 is 1: three patches reach it, one exceeds it.
    heat = xr.DataArray([[0.0, 1.0], [1.0, 2.0]], dims=["y", "x"])
    assert iou(heat, heat >= 1.0, threshold="mean").item() == 1.0
    assert iou(heat, heat > 1.0, threshold="mean").item() == pytest.approx(1 / 3)
