import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError
from regard.views import differences


def plane(values):
    return xr.DataArray(np.asarray(values, float), dims=["y", "x"], attrs={"units": "share"})


def drawn(axes):
    return np.asarray(axes.get_images()[0].get_array())


def test_the_third_column_is_after_less_before():
    before, after = plane([[0.0, 0.4], [0.2, 0.1]]), plane([[0.1, 0.1], [0.2, 0.3]])
    axes = differences({"cat": (before, after)}).axes
    np.testing.assert_allclose(drawn(axes[0]), before)
    np.testing.assert_allclose(drawn(axes[1]), after)
    np.testing.assert_allclose(drawn(axes[2]), after - before)


def test_all_words_are_on_one_scale_and_changes_on_one_about_zero():
    weak, strong = plane([[0.0, 0.1]]), plane([[0.0, 0.8]])
    axes = differences({"cat": (weak, weak), "car": (strong, weak)}).axes[:6]
    assert {axes[n].get_images()[0].norm.vmax for n in (0, 1, 3, 4)} == {0.8}
    for n in (2, 5):
        norm = axes[n].get_images()[0].norm
        assert (norm.vmin, norm.vcenter, norm.vmax) == pytest.approx((-0.7, 0.0, 0.7))


def test_pictures_stand_above_with_their_distance():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    figure = differences({"cat": (plane([[1.0]]), plane([[1.0]]))}, images=(black, white))
    assert drawn(figure.axes[2]).min() == 1.0
    assert figure.axes[3].get_ylabel() == "cat"


def test_maps_of_other_grids_are_compared_on_the_first():
    axes = differences({"cat": (plane(np.ones((4, 4))), plane(np.ones((2, 2))))}).axes
    assert drawn(axes[2]).shape == (4, 4)
    assert np.abs(drawn(axes[2])).max() == 0


def test_no_map_is_told():
    with pytest.raises(ArgumentError, match="differences: there is no map"):
        differences({})
