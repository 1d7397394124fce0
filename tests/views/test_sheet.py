import numpy as np
import pytest
from PIL import Image

from regard.errors import ArgumentError
from regard.views import contact_sheet


def plain(colour: tuple[int, int, int], size: int = 10) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


def test_images_are_laid_out_in_reading_order():
    sheet = contact_sheet([plain((i, 0, 0)) for i in (50, 100, 150)], columns=2, scale=1)
    # Margins of 8, cells of 10: the third image begins the second row.
    assert sheet.size == (44, 44)
    assert [sheet.getpixel(at)[0] for at in ((8, 8), (26, 8), (8, 26))] == [50, 100, 150]
    assert sheet.getpixel((26, 26)) == (255, 255, 255)


def test_pixels_become_squares():
    image = np.array([[[0, 0, 0], [200, 0, 0]]], np.uint8)
    sheet = np.asarray(contact_sheet([image], scale=3))
    np.testing.assert_array_equal(sheet[8:11, 8:14, 0], [[0, 0, 0, 200, 200, 200]] * 3)


def test_captions_are_written_below_and_cut_to_their_image():
    short, long = (
        contact_sheet([plain((0, 0, 0), 40)] * 2, [text, ""]) for text in ("cat", "m" * 90)
    )
    for sheet in (short, long):
        below = np.asarray(sheet.convert("L"))[8 + 80 :]
        assert below[:, 8:88].min() < 128
        assert below[:, 89:].min() == 255


def test_a_smaller_image_keeps_its_size():
    sheet = contact_sheet([plain((9, 9, 9), 10), plain((9, 9, 9), 4)], scale=1)
    assert sheet.getpixel((26 + 3, 8 + 3)) == (9, 9, 9)
    assert sheet.getpixel((26 + 4, 8)) == (255, 255, 255)


def test_it_says_what_is_wrong_with_its_input():
    with pytest.raises(ArgumentError, match="there are no images"):
        contact_sheet([])
    with pytest.raises(ArgumentError, match="1 captions for 2 images"):
        contact_sheet([plain((0, 0, 0))] * 2, ["one"])
    with pytest.raises(ArgumentError, match="columns is 0 and scale is 2"):
        contact_sheet([plain((0, 0, 0))], columns=0)
