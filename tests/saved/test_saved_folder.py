"""Places that cannot hold a result, and names of files; kills and claims are in test_store."""

import errno
import os
import re
from pathlib import Path

import pytest

from regard.errors import OutputError
from regard.look import check_folder
from regard.saved import claim as claiming
from regard.saved.claim import beside, claim
from regard.saved.folder import SavedFolder, stranger
from regard.trace.names import file_names

KIND = SavedFolder("Toy.save", "toy", lambda folder: stranger(folder, {"a"}, {"a"}))


def refused(folder, message, *, kind=KIND, overwrite=True):
    made = []
    with pytest.raises(OutputError, match=message), kind.claim(folder, overwrite=overwrite):
        made.append("the work was done")
    assert made == []


def test_the_folder_one_stands_in_is_never_replaced(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    for name in (".", str(tmp_path / "in"), "..", "../in/."):
        refused(name, "is the folder that you stand in, or holds it")
    with pytest.raises(OutputError, match="is the folder that you stand in"):
        check_folder(".")
    assert os.path.samefile(".", tmp_path / "in")


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("kept")
    refused(tmp_path / "file", "is a file. Choose the name of a folder")
    refused(tmp_path / "file" / "new", "cannot be made: no folder at")
    refused(tmp_path / ("x" * 256), "too long a name for a folder; the file system takes 255")
    refused(tmp_path / ("\N{CAT FACE}" * 64), "too long a name")
    refused("/".join([str(tmp_path), *["x" * 200] * 25]), "too long a name")
    refused("a\0b", "is no name of a folder")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only")]
)
def test_a_full_or_read_only_disk_is_told_before_the_work(tmp_path, monkeypatch, failure):
    def fail(folder):
        raise failure

    monkeypatch.setattr(claiming, "_probe", fail)
    refused(tmp_path / "above" / "new", f"could not be written: {failure.strerror}")
    assert list(tmp_path.iterdir()) == []  # the folder above has gone again


def test_a_long_name_that_the_disk_takes_is_written(tmp_path):
    target = tmp_path / ("x" * 255)
    KIND.write(target, lambda fresh: (fresh.mkdir(), (fresh / "a").touch()), overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["x" * 255]


def test_a_failing_work_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="mine"), KIND.claim(tmp_path / "a" / "b" / "c"):
        raise ValueError("mine")
    assert list(tmp_path.iterdir()) == []


def test_the_old_folder_comes_back_when_the_new_cannot_be_moved(tmp_path, monkeypatch):
    def fill(fresh):
        fresh.mkdir()
        (fresh / "a").touch()

    KIND.write(tmp_path / "toy", fill, overwrite=False)
    moved, rename = [], Path.rename

    def failing(path, target):
        moved.append(path.name)
        if path.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        KIND.write(tmp_path / "toy", fill, overwrite=True)
    assert moved == ["toy", "new", "old"]
    assert [each.name for each in tmp_path.rglob("*")] == ["toy", "a"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "new").mkdir()
    KIND.write(
        tmp_path / "new", lambda fresh: (fresh.mkdir(), (fresh / "a").touch()), overwrite=False
    )
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["a"]


def test_where_a_disk_begins_nothing_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: str(path).endswith("disk"))
    refused(tmp_path / "disk", "is where a disk begins")


def test_a_claim_can_be_taken_again_within(tmp_path):
    with claim(tmp_path / "a", who="one") as first, claim(tmp_path / "a", who="one") as second:
        assert first == second
    assert list(tmp_path.iterdir()) == []


def test_targets_with_long_names_do_not_share_a_lock(tmp_path):
    first, second = (tmp_path / ("x" * 100 + end) for end in "ab")
    assert beside(first, "lock") != beside(second, "lock")


DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?$")


@pytest.mark.parametrize(
    "word",
    ["con", "CON", "Nul", "aux", "prn", "com1", "LPT9", "com\u00b9", "conin$", "a.", " a ", ".", "",
     "x" * 300, "\N{CAT FACE}" * 90, "a/b", "a\\b", "a:b", "con.txt", "\u0000"],
)  # fmt: skip
def test_no_file_has_a_name_that_some_system_cannot_write(word):
    name = file_names([word])[word]
    assert name
    assert not DEVICES.match(f"{name}.png")
    assert len(f"{name}.png".encode()) <= 255
    assert not set(name) & set('/\\:*?"<>|\0')
    assert name == name.strip(". ")


def test_names_that_differ_in_capitals_or_in_how_accents_are_written_are_two_files():
    words = ["Cat", "cat", "CAT", "\u00e9", "e\u0301", "con", "Con", "con_"]
    names = list(file_names(words).values())
    assert len({name.casefold() for name in names}) == len(words)
    assert file_names(["cat", "cat"]) == {"cat": "cat"}
