"""Unfinished experiments: what each part of one gave, written as soon as it is there."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regard.errors import OutputError
from regard.trace.folder import check_above, complete, unwritten

RECIPE, ROWS, PICTURES = "recipe.json", "rows.json", "pictures.npz"


@dataclass(frozen=True)
class Done:
    """What one part of an experiment gave, such as one prompt.

    Attributes:
        rows: Of the table.
        labels: Of the pictures, that of a bare one first.
        pictures: uint8 [picture, y, x, 3], in the same order.
    """

    rows: list[dict[str, Any]]
    labels: list[str]
    pictures: np.ndarray


class Store:
    """A folder of finished parts, each complete or not there.

    Args:
        folder: Made when the first is written; None keeps everything in memory.
        recipe: What all of it was made with.
        who: Which experiment asks, for messages: 'sweep' or 'benchmark'.

    Raises:
        OutputError: the folder holds something else, or an experiment with another recipe.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, recipe: Mapping[str, Any], *, who: str
    ) -> None:
        self._folder = None if folder is None else Path(os.path.realpath(folder))
        self._who = who
        self._recipe = {"format": _stamp(who), **json.loads(json.dumps(recipe))}
        self._found: dict[str, Done] = {}
        if self._folder is not None:
            self._check(self._folder)

    def get(self, name: str) -> Done | None:
        """What was written under a name; None if nothing was."""
        if name not in self._found and self._folder is not None:
            place = self._folder / name
            if place.is_dir():
                told = json.loads((place / ROWS).read_text(encoding="utf-8"))
                with np.load(place / PICTURES, allow_pickle=False) as kept:
                    pictures = kept["pictures"]
                self._found[name] = Done(told["rows"], told["labels"], pictures)
        return self._found.get(name)

    def put(self, name: str, done: Done) -> None:
        """Keep what a part gave.

        Raises:
            OutputError: it could not be written.
        """
        if self._folder is not None:
            self._begin(self._folder)
            complete(
                self._folder / name, lambda fresh: _fill(fresh, done, self._who), who=self._who
            )
        self._found[name] = done

    def _begin(self, folder: Path) -> None:
        def fill(fresh: Path) -> None:
            fresh.mkdir()
            (fresh / RECIPE).write_text(json.dumps(self._recipe, indent=1), encoding="utf-8")

        if not folder.exists():
            complete(folder, fill, who=self._who)

    def _check(self, folder: Path) -> None:
        who = self._who
        if not os.path.lexists(folder):
            check_above(folder, who=who)
            return
        if not folder.is_dir():
            raise OutputError(f"{who}: '{folder}' is a file. Choose the name of a folder.")
        kept = read_recipe(folder, who)
        if kept is None:
            raise OutputError(
                f"{who}: '{folder}' holds something that no unfinished {who} wrote. Choose another "
                f"folder, or move that away."
            )
        other = [name for name in self._recipe if kept.get(name) != self._recipe[name]]
        if other:
            raise OutputError(
                f"{who}: '{folder}' holds an unfinished {who} with another {' and '.join(other)}. "
                f"Give what that one had to go on with it, or delete the folder to begin anew."
            )


def read_recipe(folder: Path, who: str) -> dict[str, Any] | None:
    """The recipe of an unfinished experiment; None if the folder holds none of that kind."""
    try:
        told = json.loads((folder / RECIPE).read_bytes())
        return told if told["format"] == _stamp(who) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folder: Path, who: str) -> None:
    """Delete an unfinished experiment, and nothing that somebody else put beside it."""
    if read_recipe(folder, who) is None:
        return
    for cell in [each for each in folder.iterdir() if each.is_dir()]:
        _delete(cell, ROWS, PICTURES)
    _delete(folder, RECIPE)


def _stamp(who: str) -> str:
    return f"regard-{who}-unfinished"


def _delete(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _fill(fresh: Path, done: Done, who: str) -> None:
    try:
        fresh.mkdir()
        told = {"rows": done.rows, "labels": done.labels}
        (fresh / ROWS).write_text(json.dumps(told), encoding="utf-8")
        np.savez_compressed(fresh / PICTURES, pictures=done.pictures)
    except OSError as failed:
        raise unwritten(fresh, failed, who=who) from failed
