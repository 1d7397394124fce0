import io
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.data.pictures import as_rgb, pictures, read_picture
from regard.errors import DataError


def test_pictures_come_sorted_and_other_files_are_passed_over(tmp_path):
    for name in ("b.png", "a.JPG", ".hidden.png"):
        Image.new("RGB", (4, 2), "red").save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "more.png").mkdir()
    found = pictures(tmp_path)
    assert found.names == ("a.JPG", "b.png")
    assert len(found) == 2
    assert found[1].getpixel((0, 0)) == (255, 0, 0)
    assert found[:1].names == ("a.JPG",)
    assert [each.size for each in found] == [(4, 2), (4, 2)]


UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)

# What a camera stores of the upright image, by the table of the EXIF standard (2.32, section
# 4.6.4): where its row 0 and its column 0 are.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],  # top, right
    3: UPRIGHT[::-1, ::-1],  # bottom, right
    4: UPRIGHT[::-1],  # bottom, left
    5: UPRIGHT.T,  # left, top
    6: UPRIGHT.T[::-1],  # right, top
    7: UPRIGHT.T[::-1, ::-1],  # right, bottom
    8: UPRIGHT.T[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("way", ["path", "text", "open image", "open file", "bytes"])
@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_as_its_camera_says_whichever_way_it_comes(
    tmp_path, orientation, kind, way
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation])).save(path, exif=exif)
    with open(path, "rb") as file, Image.open(path) as opened:
        given = {
            "path": path,
            "text": str(path),
            "open image": opened,
            "open file": file,
            "bytes": io.BytesIO(path.read_bytes()),
        }[way]
        read = as_rgb(given)
    np.testing.assert_array_equal(np.asarray(read)[..., 0], UPRIGHT)
    np.testing.assert_array_equal(np.asarray(as_rgb(read))[..., 0], UPRIGHT)  # once, not twice


def test_an_image_in_a_folder_is_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert pictures(tmp_path)[0].size == (2, 4)
    assert read_picture(tmp_path / "a.jpg").size == (2, 4)


@pytest.mark.parametrize("exif", [b"junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_exif_that_cannot_be_read_turns_nothing(tmp_path, exif):
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png", exif=exif)
    assert as_rgb(tmp_path / "a.png").size == (4, 2)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 7, (7, 7, 7)),
        ("LA", (7, 255), (7, 7, 7)),
        ("P", 0, (1, 2, 3)),
        ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
    ],
)
def test_images_of_8_bits_become_rgb(mode, colour, expected):
    picture = Image.new(mode, (2, 2), colour)
    if mode == "P":
        picture.putpalette([1, 2, 3])
    assert as_rgb(picture).getpixel((0, 0)) == expected


def palette_with_a_hole(path):
    picture = Image.new("P", (2, 2))
    picture.putpalette([1, 2, 3, 4, 5, 6])
    picture.save(path, transparency=0)


def animation(path):
    frames = [Image.new("L", (2, 2), grey) for grey in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def huge(path):
    # Only the head claims the size: 20,000 x 20,000 pixels.
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (20_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    path.write_bytes(head + zlib.crc32(head[12:]).to_bytes(4, "big") + b"\0\0\0\0IDAT")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "could not be read: cannot identify image file"),
        (lambda path: path.write_bytes(os.urandom(999)), "could not be read: cannot identify"),
        (Path.mkdir, "is a folder. Name a file"),
        (os.mkfifo, "is a pipe or a device, not a file"),
        (lambda path: path.symlink_to(path), "could not be read: "),
        (lambda path: path.symlink_to("/dev/zero"), "is a pipe or a device, not a file"),
        (lambda path: None, "could not be read: No such file or directory"),
        (palette_with_a_hole, "is transparent somewhere"),
        (lambda path: Image.new("I;16", (2, 2)).save(path), "has the mode I;16"),
        (huge, "too many to take for an image. Make it smaller"),
    ],
)
def test_what_is_no_image_is_refused_at_once(tmp_path, make, said):
    make(tmp_path / "a.png")
    for given in (tmp_path / "a.png", str(tmp_path / "a.png")):
        with pytest.raises(DataError, match=re.escape(said)) as refused:
            as_rgb(given)
        assert "\n" not in str(refused.value)
        assert str(tmp_path / "a.png") in str(refused.value)


@pytest.mark.parametrize("kind", ["gif", "png", "tiff", "webp"])
def test_of_several_images_none_is_chosen(tmp_path, kind):
    animation(tmp_path / f"a.{kind}")
    with pytest.raises(DataError, match="holds 2 images. Save the one you mean"):
        as_rgb(tmp_path / f"a.{kind}")
    with Image.open(tmp_path / f"a.{kind}") as opened:
        opened.seek(1)  # who opens it chooses
        assert as_rgb(opened).getpixel((0, 0)) == (255, 255, 255)


def test_a_path_with_a_zero_in_it_is_none():
    with pytest.raises(DataError, match="could not be read: embedded null byte"):
        as_rgb("a\0.png")


def test_an_image_that_was_opened_and_not_read_may_be_cut_off(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    half = io.BytesIO((tmp_path / "whole.png").read_bytes()[:900])
    with Image.open(half) as opened, pytest.raises(DataError, match="an image could not be read"):
        as_rgb(opened)


@pytest.mark.parametrize("empty", [np.zeros((0, 4), np.uint8), Image.new("RGB", (0, 4))])
def test_an_image_without_pixels_is_refused(empty):
    with pytest.raises(DataError, match="Give an image with some"):
        as_rgb(empty)


def test_grey_pictures_become_rgb():
    assert as_rgb(np.full((1, 1), 7, np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert as_rgb(Image.new("RGBA", (1, 1), (1, 2, 3, 255))).getpixel((0, 0)) == (1, 2, 3)


def test_a_picture_that_is_cut_off_is_named(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    half = (tmp_path / "whole.png").read_bytes()[:900]
    (tmp_path / "whole.png").write_bytes(half)
    with pytest.raises(DataError, match=r"whole\.png could not be read: .* Write it again"):
        pictures(tmp_path)[0]


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"a\.png could not be read: cannot identify"):
        list(pictures(tmp_path))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((2, 2, 3)), "array of float64 (2, 2, 3); it must be uint8"),
        (np.zeros((2, 2, 4), np.uint8), "array of uint8 (2, 2, 4)"),
        (np.zeros(3, np.uint8), "array of uint8 (3,)"),
        (Image.new("I;16", (2, 2)), "has the mode I;16, which has no 8 bits"),
        (Image.new("RGBA", (2, 2)), "is transparent somewhere"),
    ],
)
def test_what_cannot_be_rgb_without_loss_is_refused(picture, said):
    with pytest.raises(DataError, match=re.escape(said)):
        as_rgb(picture)


def test_a_folder_without_pictures_says_where_they_may_be(tmp_path):
    with pytest.raises(DataError, match="holds no image .* Name another folder"):
        pictures(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="one of the folders in it: train?"):
        pictures(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        pictures(tmp_path / "nowhere")
