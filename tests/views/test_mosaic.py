import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError, AxisError
from regard.views import mosaic


def heat(values, units="times an even share"):
    return xr.DataArray(np.asarray(values, float), dims=["y", "x"], attrs={"units": units})


ROWS = [[heat([[0.0, 1.0]]), heat([[2.0, 3.0], [4.0, 5.0]])]] * 2
PICTURE = np.arange(4, dtype=np.uint8).reshape(2, 2)


def test_all_maps_are_on_one_scale_beside_their_pictures():
    figure = mosaic(ROWS, images=[PICTURE] * 2, rows=["cat", "$"], columns=["first", "last"])
    axes, bar = figure.axes
    assert len(axes.images) == 6
    tops = {image.norm.vmax for image in axes.images if image.get_cmap().name == "magma"}
    assert len(tops) == 1
    assert [each.get_text() for each in axes.get_xticklabels()] == ["image", "first", "last"]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["cat", "$"]
    assert bar.get_ylabel() == "times an even share"


def test_panels_lie_in_reading_order_and_grids_may_differ():
    axes = mosaic(ROWS).axes[0]
    left_and_top = [(image.get_extent()[0], image.get_extent()[3]) for image in axes.images]
    assert left_and_top == [(0, 0), (1, 0), (0, 1), (1, 1)]
    widths = {round(image.get_extent()[1] - image.get_extent()[0], 6) for image in axes.images}
    assert len(widths) == 1


def test_the_end_of_the_scale_can_be_given():
    axes = mosaic(ROWS, top=10.0).axes[0]
    assert {image.norm.vmax for image in axes.images} == {10.0}


def test_a_scale_of_its_own_for_each_map_has_no_bar():
    figure = mosaic(ROWS, own=True)
    (axes,) = figure.axes
    assert [image.norm.vmax for image in axes.images] == [1.0, 5.0, 1.0, 5.0]


def test_maps_of_zeros_still_have_a_scale():
    assert mosaic([[heat([[0.0]])]]).axes[0].images[0].norm.vmax == 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match=r"the rows have \[1, 2\] maps"):
        mosaic([ROWS[0][:1], ROWS[0]])
    with pytest.raises(ArgumentError, match=r"the rows have \[\] maps"):
        mosaic([])
    for name in ("images", "rows"):
        with pytest.raises(ArgumentError, match=f"{name} are 1 and must be 2, or none"):
            mosaic(ROWS, **{name: [PICTURE if name == "images" else "cat"]})
    with pytest.raises(AxisError, match=r"a map has the dims \('head', 'y', 'x'\)"):
        mosaic([[heat([[1.0]]).expand_dims("head")]])
