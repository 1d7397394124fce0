import json
import re

import numpy as np
import pytest
from PIL import Image

from regard.data import write_coco
from regard.data.pictures import as_rgb, captions, captions_of, pictures
from regard.errors import ArgumentError, DataError


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


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert pictures(tmp_path)[0].size == (2, 4)


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
    with pytest.raises(DataError, match="holds no picture .* Name another folder"):
        pictures(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="one of the folders in it: train?"):
        pictures(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        pictures(tmp_path / "nowhere")


def test_captions_of_scenes_are_read(tmp_path):
    write_coco(tmp_path / "scenes", 2, split="test")
    said = captions(tmp_path / "scenes/annotations/captions_test.json")
    names = pictures(tmp_path / "scenes/test").names
    assert list(said) == list(names)
    assert all(len(each) == 1 for each in captions_of(names, said))


def test_several_captions_of_one_picture_are_kept(tmp_path):
    images = [{"id": 7, "file_name": "a.png"}]
    notes = [{"image_id": 7, "caption": text} for text in ("a cat", "one cat")]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": notes}))
    assert captions(tmp_path / "c.json") == {"a.png": ("a cat", "one cat")}


def test_captions_in_csv_may_have_commas_and_lines(tmp_path):
    (tmp_path / "c.csv").write_text(
        '\ufeffimage,seed,prompt\nout/a.png,1,"a cat, blue"\nb.png,2,"two\nlines"\n', "utf-8"
    )
    assert captions(tmp_path / "c.csv") == {"a.png": ("a cat, blue",), "b.png": ("two\nlines",)}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", b"{", "has not the layout of COCO captions (JSONDecodeError"),
        ("c.json", b'{"images": []}', "(KeyError: 'annotations')"),
        ("c.json", b"[]", "(TypeError"),
        ("c.json", b'{"images": [], "annotations": []}', "holds no caption"),
        ("c.csv", b"", "has the columns []"),
        ("c.csv", b"file,words\na.png,cat\n", "has the columns ['file', 'words']; it needs"),
        ("c.csv", b"file,prompt\na.png\n", "has a row without file or text"),
        ("c.csv", b"\xff\xfe", "could not be read: it is not UTF-8 text"),
    ],
)
def test_captions_that_cannot_be_read_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(said)):
        captions(tmp_path / name)


def test_a_file_of_captions_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        captions(tmp_path / "c.csv")


def test_a_picture_without_caption_is_named():
    with pytest.raises(ArgumentError, match=r"1 of 2 pictures have none, such as 'b\.png'"):
        captions_of(["a.png", "b.png"], {"a.png": ("a cat",)})


def test_a_caption_is_found_by_the_name_before_the_dot():
    said = {"a.jpg": ("a cat",), "b.png": ("a dog",), "b.jpg": ("another",)}
    assert captions_of(["a.png", "b.png"], said) == [("a cat",), ("a dog",)]
