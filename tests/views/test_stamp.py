import numpy as np
import pytest
import xarray as xr
from PIL import Image

from regard.errors import ArgumentError, AxisError
from regard.views.colour import colours
from regard.views.stamp import LINE, MARGIN, OPACITY, stamp

WHITE = Image.new("RGB", (64, 64), "white")


def heat(values):
    return xr.DataArray(np.array(values, float), dims=["y", "x"])


def pixel(picture, row, column):
    """A pixel of the image inside the frame."""
    return np.asarray(picture)[LINE + 2 + row, MARGIN + column]


def test_patches_have_sharp_edges_and_lie_where_they_are():
    picture = stamp(WHITE, heat([[0.0, 1.0], [0.0, 0.0]]))
    # 64 pixels become 384, so the patches meet at 192.
    brightest = np.array(list(colours()[-3:]))
    expected = np.rint(OPACITY * brightest + (1 - OPACITY) * 255)
    for row, column in ((0, 192), (191, 383)):
        np.testing.assert_array_equal(pixel(picture, row, column), expected)
    for row, column in ((0, 191), (192, 192), (383, 383)):
        np.testing.assert_array_equal(pixel(picture, row, column), [255, 255, 255])


def test_one_scale_makes_pictures_comparable():
    half = stamp(WHITE, heat([[0.5]]), top=1.0)
    share = OPACITY * np.sqrt(0.5)
    middle = np.frombuffer(colours(), np.uint8).reshape(256, 3)[128]
    np.testing.assert_array_equal(
        pixel(half, 9, 9), np.rint(share * middle + (1 - share) * 255).astype(int)
    )


def test_a_map_of_zeros_shows_the_image_alone():
    np.testing.assert_array_equal(pixel(stamp(WHITE, heat([[0.0]])), 5, 5), [255, 255, 255])


def test_a_large_image_keeps_its_size():
    picture = stamp(Image.new("RGB", (600, 500)), heat(np.eye(3)), title="cat")
    assert picture.width == 600 + 2 * MARGIN


def test_wrong_maps_and_scales_are_refused():
    with pytest.raises(AxisError, match="stamp: the map has the dims"):
        stamp(WHITE, xr.DataArray(np.ones((2, 2)), dims=["y", "token"]))
    with pytest.raises(ArgumentError, match=r"top is 0\.0 and must be above 0"):
        stamp(WHITE, heat([[1.0]]), top=0.0)
