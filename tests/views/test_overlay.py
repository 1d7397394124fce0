import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

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


def test_colours_are_magma_over_the_image_with_the_square_root_as_opacity():
    figure = overlay(WHITE, heat_of([[0.0, 0.25], [0.0, 1.0]]))
    # magma ends at (252, 253, 191); at a quarter of the scale it is (81, 18, 124).
    top = 0.85 * np.array([252, 253, 191]) + 0.15 * 255
    quarter = 0.425 * np.array([81, 18, 124]) + 0.575 * 255
    np.testing.assert_allclose(inside(figure, 0.75, 0.75), top, atol=2)
    np.testing.assert_allclose(inside(figure, 0.25, 0.75), quarter, atol=4)
    np.testing.assert_allclose(inside(figure, 0.25, 0.25), 255, atol=1)


def test_patches_keep_their_edges():
    figure = overlay(WHITE, heat_of([[0.0, 1.0]]))
    assert inside(figure, 0.5, 0.48).tolist() == inside(figure, 0.5, 0.1).tolist()
    assert inside(figure, 0.5, 0.52).tolist() == inside(figure, 0.5, 0.9).tolist()


def test_the_figure_names_grid_unit_and_word():
    figure = overlay(WHITE, heat_of(np.ones((16, 8)), units="attention weight"), title="cat")
    picture, bar = figure.axes
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
