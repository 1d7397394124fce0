import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import spearmanr

from regard.errors import ArgumentError, AxisError
from regard.views import overlay

WHITE = np.full((32, 32, 3), 255, np.uint8)


def heat_of(values: object, **attrs: object) -> xr.DataArray:
    return xr.DataArray(values, dims=["y", "x"], attrs=attrs)


def pixels(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def inside(figure: Figure, row: float, column: float) -> np.ndarray:
    """The colour at a share of the height and width of the picture's axes."""
    image = pixels(figure)
    box = figure.axes[0].get_window_extent()
    return image[int(image.shape[0] - box.y1 + row * box.height), int(box.x0 + column * box.width)]


def test_colours_are_those_of_magma_with_room_for_the_relief():
    figure = overlay(WHITE, heat_of([[0.0, 0.25], [0.0, 1.0]]))
    # Magma begins at (0, 0, 3), ends at (252, 253, 191), and is (81, 18, 124) at a quarter.
    for (row, column), colour in {
        (0.75, 0.75): (252, 253, 191),
        (0.25, 0.75): (81, 18, 124),
        (0.25, 0.25): (0, 0, 3),
    }.items():
        expected = 36 + np.array(colour) * 183 / 255
        np.testing.assert_allclose(inside(figure, row, column), expected, atol=3)


@pytest.mark.parametrize("patches", [(4, 4), (7, 5), (16, 16)])
def test_patches_are_read_back_through_the_colour_bar(patches):
    """A loud image must not hide the map: its patches keep the order of their values."""
    chance = np.random.default_rng(0)
    image = chance.integers(0, 256, (112, 80, 3), np.uint8)
    image[:56] //= 8  # half of it dark
    values = chance.random(patches) ** 2
    figure = overlay(image, heat_of(values))
    shown, bar = pixels(figure), figure.axes[1].get_window_extent()
    middle = int((bar.x0 + bar.x1) / 2)
    ramp = shown[shown.shape[0] - np.arange(int(bar.y0) + 1, int(bar.y1) - 1), middle]
    box = figure.axes[0].get_window_extent()
    read = []
    for row in range(patches[0]):
        for column in range(patches[1]):
            top, left = (
                box.y1 - row * box.height / patches[0],
                box.x0 + column * box.width / patches[1],
            )
            high, wide = box.height / patches[0], box.width / patches[1]
            patch = shown[
                round(shown.shape[0] - top) + 1 : round(shown.shape[0] - top + high) - 1,
                round(left) + 1 : round(left + wide) - 1,
            ]
            mean = patch.reshape(-1, 3).mean(0)
            read.append(((ramp - mean) ** 2).sum(1).argmin())
    assert spearmanr(read, values.ravel()).statistic >= 0.95


def test_the_image_stands_beside_the_map():
    blue = np.full((32, 32, 3), (10, 20, 200), np.uint8)
    figure = overlay(blue, heat_of([[0.0, 1.0]]))
    image = figure.axes[2].get_window_extent()
    shown = pixels(figure)
    centre = shown[int(shown.shape[0] - (image.y0 + image.y1) / 2), int((image.x0 + image.x1) / 2)]
    assert centre.tolist() == [10, 20, 200]
    assert image.x1 < figure.axes[0].get_window_extent().x0


def test_a_sink_is_above_the_scale_and_named():
    values = np.linspace(0.01, 1.0, 64).reshape(8, 8)
    values[2, 3] = 40.0
    figure = overlay(WHITE, heat_of(values))
    assert figure.axes[1].get_ylim()[1] < 1.0
    assert figure.axes[0].get_xlabel() == "8x8 tokens\nsinks: y 2, x 3 takes 40"


def test_patches_keep_their_edges():
    figure = overlay(WHITE, heat_of([[0.0, 1.0]]))
    assert inside(figure, 0.5, 0.48).tolist() == inside(figure, 0.5, 0.1).tolist()
    assert inside(figure, 0.5, 0.52).tolist() == inside(figure, 0.5, 0.9).tolist()


def test_the_figure_names_grid_unit_and_word():
    figure = overlay(WHITE, heat_of(np.ones((16, 8)), units="attention weight"), title="cat")
    picture, bar, _ = figure.axes
    assert picture.get_xlabel() == "16x8 tokens"
    assert picture.get_title(loc="left") == "cat"
    assert bar.get_ylabel() == "attention weight"


def test_the_same_top_puts_two_maps_on_one_scale():
    faint, strong = (overlay(WHITE, heat_of([[v, 0.0]]), top=0.5) for v in (0.1, 0.5))
    assert faint.axes[1].get_ylim() == strong.axes[1].get_ylim() == (0.0, 0.5)
    assert inside(faint, 0.5, 0.25).sum() != inside(strong, 0.5, 0.25).sum()


def test_a_dollar_sign_in_a_word_is_no_formula():
    pixels(overlay(WHITE, heat_of([[1.0]]), title="$\\frac{"))


def test_a_map_of_zeros_still_has_a_scale():
    assert overlay(WHITE, heat_of([[0.0, 0.0]])).axes[1].get_ylim() == (0.0, 1.0)


def test_it_says_what_is_wrong_with_its_input():
    with pytest.raises(ArgumentError, match=r"shape \(32, 32\) and needs \(height, width, 3\)"):
        overlay(WHITE[..., 0], heat_of([[1.0]]))
    with pytest.raises(AxisError, match=r"dims \('a', 'b'\) and needs \('y', 'x'\)"):
        overlay(WHITE, xr.DataArray([[1.0]], dims=["a", "b"]))
    with pytest.raises(ArgumentError, match=r"top is 0.0 and must be above 0"):
        overlay(WHITE, heat_of([[1.0]]), top=0.0)
