import json
import os
import threading
from functools import partial

import numpy as np
import pytest

from killed import killed_at
from regard.errors import OutputError
from regard.experiments.store import Done, Store
from regard.experiments.unfinished import begun, forget, read_recipe
from regard.saved.claim import claim
from regard.saved.folder import SavedFolder, unlisted

KIND = SavedFolder("Toy.save", "toy", partial(unlisted, stamp="regard-toy"))
PARTS = ("000", "001")


def done(number, prompt="cat"):
    return Done(
        [{"prompt": prompt, "value": number}], ["baseline"], np.zeros((1, 2, 2, 3), np.uint8)
    )


def save(folder, rows, recipe, overwrite):
    def fill(fresh):
        fresh.mkdir()
        (fresh / "table.json").write_text(json.dumps(rows))
        told = {"format": "regard-toy", **recipe, "files": ["table.json", "recipe.json"]}
        (fresh / "recipe.json").write_text(json.dumps(told))

    KIND.write(folder, fill, overwrite=overwrite)


def run(out, *, steps=1, overwrite=False, made=None):
    """A whole experiment of two parts, as a command runs one."""
    recipe = {"steps": steps}
    with begun(KIND, out, overwrite=overwrite) as (folder, unfinished):
        rows = []
        with Store(unfinished, recipe, who="toy", overwrite=overwrite) as kept:
            for number, name in enumerate(PARTS):
                found = kept.get(name)
                if found is None:
                    found = done(number + steps)
                    kept.put(name, found)
                    if made is not None:
                        made.append(name)
                rows += found.rows
        save(folder, rows, recipe, overwrite)


def names(folder):
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


def test_killed_at_any_moment_the_same_command_ends_with_the_same_result(tmp_path):
    for number in range(500):
        out = tmp_path / f"{number}" / "toy"
        out.parent.mkdir()
        was_killed = killed_at(number, lambda here=out: run(here))
        if not (out / "recipe.json").exists():
            run(out)
        else:  # it was complete, so the same command says that it is there, and clears up
            with pytest.raises(OutputError, match="holds a toy"):
                run(out)
        assert json.loads((out / "table.json").read_text()) == [
            {"prompt": "cat", "value": 1},
            {"prompt": "cat", "value": 2},
        ]
        assert [name for name in names(out.parent) if "/" not in name] == ["toy"]
        if not was_killed:
            break
    assert 30 < number < 499


def test_killed_while_it_replaces_a_result_neither_is_lost(tmp_path):
    for number in range(0, 500, 2):
        out = tmp_path / f"{number}" / "toy"
        out.parent.mkdir()
        run(out, steps=1)
        was_killed = killed_at(number, lambda here=out: run(here, steps=2, overwrite=True))
        run(out, steps=2, overwrite=True)
        assert json.loads((out / "table.json").read_text())[0]["value"] == 2
        assert [name for name in names(out.parent) if "/" not in name] == ["toy"]
        if not was_killed:
            break
    assert 30 < number < 498


def test_killed_between_two_renames_the_old_result_comes_back(tmp_path):
    for number in range(500):
        out = tmp_path / f"{number}" / "toy"
        out.parent.mkdir()
        run(out, steps=1)
        killed_at(number, lambda here=out: run(here, steps=2, overwrite=True))
        if not out.exists():
            break
    with pytest.raises(OutputError, match="holds a toy"):
        run(out, steps=1)
    assert json.loads((out / "table.json").read_text())[0]["value"] == 1


def test_finished_parts_are_not_made_again(tmp_path):
    out = tmp_path / "toy"
    for number in range(500):
        killed_at(number, lambda: run(out))
        if (tmp_path / "toy.unfinished" / "cases" / "000" / "rows.json").exists():
            break
    made = []
    run(out, made=made)
    assert made == ["001"]


def test_with_other_settings_it_is_refused_and_overwrite_begins_again(tmp_path):
    out = tmp_path / "toy"
    _interrupted(out)
    with pytest.raises(OutputError, match=r"another steps\. Give what that one .*--overwrite\) to"):
        run(out, steps=2)
    run(out, steps=2, overwrite=True)
    assert json.loads((out / "table.json").read_text())[0]["value"] == 2
    assert names(tmp_path) == ["toy", "toy/recipe.json", "toy/table.json"]


def _interrupted(out):
    class Enough(Exception):
        pass

    class Made(list):
        def append(self, name):
            raise Enough

    with pytest.raises(Enough):
        run(out, made=Made())


def test_a_part_of_other_settings_or_a_damaged_one_counts_as_not_there(tmp_path):
    with Store(tmp_path / "s", {"steps": 1}, who="toy") as kept:
        kept.put("000", done(1))
        kept.put("001", done(2))
    told = json.loads((tmp_path / "s" / "cases" / "000" / "rows.json").read_text())
    assert len(told["settings_sha256"]) == 64
    (tmp_path / "s" / "cases" / "000" / "rows.json").write_text(
        json.dumps({**told, "settings_sha256": "0" * 64})
    )
    (tmp_path / "s" / "cases" / "001" / "arrays.npz").write_bytes(b"PK half")
    with Store(tmp_path / "s", {"steps": 1}, who="toy") as kept:
        assert kept.get("000") is None
        assert kept.get("001") is None
        kept.put("000", done(3))
        assert kept.get("000").rows[0]["value"] == 3


def test_two_at_once_the_second_is_refused_before_it_does_anything(tmp_path):
    out, made = tmp_path / "toy", []
    with begun(KIND, out, overwrite=False):
        failed = _in_another_process(lambda: run(out, made=made))
    assert "is being written by another process" in failed
    assert f"({os.getpid()})" in failed
    assert names(tmp_path) == []


def test_two_threads_at_once_too(tmp_path):
    said = []

    def other():
        try:
            run(tmp_path / "toy")
        except OutputError as failed:
            said.append(str(failed))

    with begun(KIND, tmp_path / "toy", overwrite=False):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "is being written by another process" in said[0]


def test_two_into_one_store_at_once_too(tmp_path):
    def other():
        with Store(tmp_path / "s", {"steps": 2}, who="toy"):
            pass

    with Store(tmp_path / "s", {"steps": 1}, who="toy") as kept:
        kept.put("000", done(1))
        assert "is being written by another process" in _in_another_process(other)
    assert read_recipe(tmp_path / "s", "toy")["steps"] == 1


def _in_another_process(work):
    """What it was refused with."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        except OutputError as failed:
            os.write(there, str(failed).encode())
        os._exit(0)
    os.close(there)
    os.waitpid(child, 0)
    with os.fdopen(here) as told:
        return told.read()


def test_a_claim_of_a_dead_process_blocks_nobody(tmp_path):
    def die():
        with claim(tmp_path / "toy", who="toy"):
            os.kill(os.getpid(), 9)

    child = os.fork()
    if child == 0:
        die()
    os.waitpid(child, 0)
    assert names(tmp_path) == [".toy.regard-lock", ".toy.regard-work"]
    run(tmp_path / "toy")
    assert names(tmp_path) == ["toy", "toy/recipe.json", "toy/table.json"]


def test_what_a_file_manager_left_blocks_nobody(tmp_path):
    run(tmp_path / "toy")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._table.json"):
        (tmp_path / "toy" / name).touch()
    run(tmp_path / "toy", steps=2, overwrite=True)
    (tmp_path / "toy" / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds 'notes\.txt', which no toy wrote"):
        run(tmp_path / "toy", steps=2, overwrite=True)


def test_what_somebody_put_beside_the_parts_is_kept(tmp_path):
    _interrupted(tmp_path / "toy")
    (tmp_path / "toy.unfinished" / "mine.txt").touch()
    run(tmp_path / "toy")
    assert names(tmp_path / "toy.unfinished") == ["mine.txt"]
    forget(tmp_path / "toy.unfinished", "toy")
    assert names(tmp_path / "toy.unfinished") == ["mine.txt"]


def test_parts_are_read_one_at_a_time_and_a_lost_one_is_named(tmp_path):
    with Store(tmp_path / "s", {"steps": 1}, who="toy") as kept:
        kept.put("000", done(1))
    cases = kept.cases({"cat": "000", "dog": "001"})
    assert (list(cases), len(cases)) == (["cat", "dog"], 2)
    assert cases["cat"].rows == done(1).rows
    assert cases["cat"] is not cases["cat"]  # read again, and nothing of it is kept
    with pytest.raises(OutputError, match="toy: the case '001' is gone from the store"):
        cases["dog"]
