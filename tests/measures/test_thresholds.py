import numpy as np
import pytest

from planes import plane
from regard.errors import ArgumentError
from regard.measures.place import (
    iou,
)
from regard.measures.thresholds import best_threshold, disc


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
