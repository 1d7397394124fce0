import json
import re

import pytest

from regard.data import write_coco
from regard.data.captions import captions, captions_of
from regard.data.pictures import pictures
from regard.errors import ArgumentError, DataError


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


COCO = b"""{"images": [{"id": 1, "file_name": %s}],
           "annotations": [{"image_id": 1, "caption": "a cat"}]}"""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", b"{", "is no JSON: Expecting property name"),
        ("c.json", b"[" * 200_000, "has more than 100 levels of lists and objects"),
        ("c.json", b"[" * 200 + b"]" * 200, "has more than 100 levels of lists and objects"),
        ("c.json", COCO % b"3", "(a file_name is 3 and its caption 'a cat')"),
        ("c.json", COCO % b"null", "(a file_name is None"),
        ("c.json", COCO % b'["a.png"]', "(a file_name is ['a.png']"),
        ("c.json", b"\x89PNG\r\n", "could not be read: it is not UTF-8 text"),
        ("c.csv", b"file,prompt\na.png," + b"x" * 200_000, "is no table: field larger than"),
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
    with pytest.raises(ArgumentError, match=r"1 of 2 images have none, such as 'b\.png'"):
        captions_of(["a.png", "b.png"], {"a.png": ("a cat",)})


def test_a_caption_is_found_by_the_name_before_the_dot():
    said = {"a.jpg": ("a cat",), "b.png": ("a dog",), "b.jpg": ("another",)}
    assert captions_of(["a.png", "b.png"], said) == [("a cat",), ("a dog",)]
