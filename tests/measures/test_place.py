import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import jaccard_score

from regard.errors import ArgumentError, AxisError
from regard.measures.place import best_threshold, disc, iou


def plane(values):
    return xr.DataArray(np.asarray(values), dims=["y", "x"])


@pytest.fixture
def heat():
    return plane(np.random.default_rng(0).random((6, 5)))


@pytest.fixture
def mask():
    return plane(np.random.default_rng(1).random((6, 5)) > 0.6)


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


@pytest.mark.parametrize("scale", ["range", "mean"])
def test_the_best_threshold_finds_where_the_masks_were_cut(scale):
    heats = [plane(np.random.default_rng(seed).random((8, 8))) for seed in range(3)]
    scaled = [heat / heat.mean() if scale == "mean" else heat for heat in heats]
    if scale == "range":
        scaled = [(heat - heat.min()) / (heat.max() - heat.min()) for heat in heats]
    masks = [heat >= 0.62 for heat in scaled]
    best = best_threshold(heats, masks, scale=scale)
    assert best == pytest.approx(0.62, abs=0.03)
    ious = [
        iou(h, m, threshold=best, scale=scale).item() for h, m in zip(heats, masks, strict=True)
    ]
    assert np.mean(ious) > 0.95


def test_no_other_threshold_is_better_than_the_best(heat, mask):
    best = iou(heat, mask, threshold=best_threshold([heat], [mask])).item()
    others = [iou(heat, mask, threshold=value).item() for value in np.linspace(0.02, 0.98, 25)]
    assert best >= max(others) - 0.04  # it tries percentiles, not every value


def test_maps_that_cannot_be_judged_do_not_count(heat, mask):
    alone = best_threshold([heat], [mask])
    assert best_threshold([heat, heat * 0, heat], [mask, mask, mask & False]) == alone


def test_a_set_that_is_empty_uneven_or_blank_is_refused(heat, mask):
    with pytest.raises(ArgumentError, match="got 0 maps and 0 masks"):
        best_threshold([], [])
    with pytest.raises(ArgumentError, match="got 1 maps and 2 masks"):
        best_threshold([heat], [mask, mask])
    with pytest.raises(ArgumentError, match="every mask is empty or every map even"):
        best_threshold([heat], [mask & False])


def test_the_disc_falls_from_the_middle_to_the_corners():
    got = disc((3, 3)).values
    assert got[1, 1] == 1
    # a corner patch lies sqrt(2) from the middle of a half diagonal of 1.5 sqrt(2)
    np.testing.assert_allclose(got[[0, 0, 2, 2], [0, 2, 0, 2]], 1 / 3)
    np.testing.assert_array_equal(got, got.T)


def test_the_disc_cut_anywhere_is_a_disc():
    hot = disc((64, 64)).values >= 0.6
    radius = 0.4 * np.hypot(32, 32)
    assert hot.sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_a_disc_needs_a_grid():
    with pytest.raises(ArgumentError, match=r"disc: the grid is \(0, 3\)"):
        disc((0, 3))
