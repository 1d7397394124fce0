import numpy as np
import pytest
import xarray as xr
from PIL import Image

from regard.errors import ArgumentError, AxisError
from regard.views.engrave import RELIEF
from regard.views.stamp import LINE, MARGIN, stamp

SIDE = 384  # of an image of 64 pixels, enlarged
WHITE = Image.new("RGB", (64, 64), "white")
# The ends of magma in bytes; a relief of 36 needs room at both.
ENDS = ((0, 0, 3), (251, 252, 191))
DARKEST, BRIGHTEST = ([round(36 + each * 183 / 255) for each in colour] for colour in ENDS)


def heat(values):
    return xr.DataArray(np.array(values, float), dims=["y", "x"])


def pixel(picture, row, column):
    """A pixel of the map inside the frame; the image stands left of it."""
    return np.asarray(picture)[LINE + 2 + row, 2 * MARGIN + SIDE + column]


def test_patches_have_sharp_edges_and_lie_where_they_are():
    assert RELIEF == 36
    picture = stamp(WHITE, heat([[0.0, 1.0], [0.0, 0.0]]))
    # 64 pixels become 384, so the patches meet at 192.
    for row, column in ((0, 192), (191, 383)):
        np.testing.assert_array_equal(pixel(picture, row, column), BRIGHTEST)
    for row, column in ((0, 191), (192, 192), (383, 383)):
        np.testing.assert_array_equal(pixel(picture, row, column), DARKEST)


def test_the_image_stands_beside_the_map_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture = np.asarray(stamp(Image.fromarray(noise), heat([[0.0, 1.0]])))
    inside = picture[LINE + 2 :, MARGIN:][:SIDE, :SIDE]
    np.testing.assert_array_equal(inside[::6, ::6], noise)
    np.testing.assert_array_equal(inside[5::6, 5::6], noise)


def test_one_scale_makes_pictures_comparable():
    half, whole = (stamp(WHITE, heat([[0.5]]), top=top) for top in (1.0, 0.5))
    assert pixel(half, 9, 9).tolist() != BRIGHTEST
    assert pixel(whole, 9, 9).tolist() == BRIGHTEST


def test_a_sink_does_not_darken_the_other_patches_and_is_named():
    values = np.linspace(0.0, 1.0, 64).reshape(8, 8)
    values[3, 5] = 50.0
    sink, plain = stamp(WHITE, heat(values)), stamp(WHITE, heat(np.minimum(values, 1.0)))
    assert sink.height == plain.height + LINE  # where it is named
    for row, column in ((370, 100), (220, 300), (100, 20)):
        off = np.abs(pixel(sink, row, column).astype(int) - pixel(plain, row, column))
        assert off.max() < 12  # the scale ends at the 98th percentile, not at 50
    assert pixel(sink, 170, 270).tolist() == BRIGHTEST


def test_a_map_of_zeros_is_dark_all_over():
    np.testing.assert_array_equal(pixel(stamp(WHITE, heat([[0.0]])), 5, 5), DARKEST)


def test_a_large_image_keeps_its_size():
    picture = stamp(Image.new("RGB", (600, 500)), heat(np.eye(3)), title="cat")
    assert picture.width == 2 * 600 + 3 * MARGIN


def test_wrong_maps_and_scales_are_refused():
    with pytest.raises(AxisError, match="stamp: the map has the dims"):
        stamp(WHITE, xr.DataArray(np.ones((2, 2)), dims=["y", "token"]))
    with pytest.raises(ArgumentError, match=r"top is 0\.0 and must be above 0"):
        stamp(WHITE, heat([[1.0]]), top=0.0)
