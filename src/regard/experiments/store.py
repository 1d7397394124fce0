"""Unfinished experiments: what each part of one gave, written as soon as it is there."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.errors import OutputError
from regard.saved.claim import claim, tidy
from regard.saved.folder import (
    SavedFolder,
    check_above,
    complete,
    listed,
    readable,
    real,
    unwritten,
)

RECIPE, ROWS, ARRAYS, CASES = "recipe.json", "rows.json", "pictures.npz", "cases"

Part = tuple[dict[str, Any], dict[str, np.ndarray]]

SIDE = 128
"""Pixels that the images of a part keep a side: enough for a sheet, and 50 kB an image."""

FRESH = ".fresh"
"""What a part is called before it is complete."""


@dataclass(frozen=True)
class Done:
    """What one part of an experiment gave, such as one prompt.

    Attributes:
        rows: Of the table.
        labels: Of the images, that of a bare one first.
        pictures: uint8 [image, y, x, 3], in the same order, made `small`.
    """

    rows: list[dict[str, Any]]
    labels: list[str]
    pictures: np.ndarray


def small(image: Image.Image) -> np.ndarray:
    """An image as parts keep it: uint8 [y, x, 3], no side longer than `SIDE`."""
    image = image.convert("RGB")
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image)


class Store:
    """A folder of finished parts, each complete or not there; nobody else writes to it meanwhile.

    Each part says with which settings it was made; one that was made with others, or that is
    damaged, counts as not there. Parts that an experiment does not ask for stay for the next.

    Args:
        folder: Made when the first is written; None keeps everything in memory.
        recipe: What all of it was made with.
        who: Which experiment asks, for messages: 'sweep' or 'benchmark'.
        overwrite: Whether one with another recipe may be deleted.
        grows: What in the recipe may differ from that of the parts that are there: the names of
            parts tell these apart.

    Raises:
        OutputError: on entering, if the folder holds something else, or an experiment with
            another recipe, or another process writes there.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        recipe: Mapping[str, Any],
        *,
        who: str,
        overwrite: bool = False,
        grows: Collection[str] = (),
    ) -> None:
        self._folder = None if folder is None else real(folder, who=who)
        self._who, self._overwrite = who, overwrite
        self._recipe = {"format": _stamp(who), **json.loads(json.dumps(recipe))}
        self._fixed = {name: self._recipe[name] for name in self._recipe if name not in grows}
        self._settings = _hash(self._fixed)
        self._memory: dict[str, Part] = {}
        self._close = ExitStack()

    def __enter__(self) -> "Store":
        if self._folder is not None:
            with ExitStack() as opened:
                check_above(self._folder, who=self._who)
                opened.enter_context(claim(self._folder, who=self._who))
                self._check(self._folder)
                self._close = opened.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._close.close()

    def get(self, name: str) -> Done | None:
        """What was written under a name; None if nothing was, or with other settings."""
        found = self.read(name)
        try:
            return found and Done(found[0]["rows"], found[0]["labels"], found[1]["pictures"])
        except KeyError:  # it is no part with images
            return None

    def put(self, name: str, done: Done) -> None:
        """Keep what a part gave.

        Raises:
            OutputError: it could not be written.
        """
        told = {"rows": done.rows, "labels": done.labels}
        self.write(name, told, {"pictures": done.pictures})

    def read(self, name: str) -> Part | None:
        """Plain JSON values and arrays of a part, as `write` took them."""
        if self._folder is None:
            return self._memory.get(name)
        return _read(self._folder / CASES / name, self._settings)

    def write(self, name: str, told: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Keep plain JSON values and arrays of a part.

        Raises:
            OutputError: it could not be written.
        """
        if self._folder is None:
            self._memory[name] = told, arrays
            return
        self._begin(self._folder)
        fresh, place = self._folder / FRESH, self._folder / CASES / name
        try:
            for each in (fresh, place):  # of a process that was killed, or damaged
                if each.exists():
                    shutil.rmtree(each)
            fresh.mkdir()
            place.parent.mkdir(exist_ok=True)
            text = json.dumps({"settings_sha256": self._settings, **told})
            (fresh / ROWS).write_text(text, encoding="utf-8")
            np.savez_compressed(fresh / ARRAYS, **arrays)
            fresh.rename(place)
        except OSError as failed:
            shutil.rmtree(fresh, ignore_errors=True)
            raise unwritten(place, failed, who=self._who) from failed

    def cells(self, names: Mapping[Any, str]) -> "Cells":
        """Parts under names of their own, read when they are asked for.

        Args:
            names: From what a part is called to what it was put under.
        """
        return Cells(self.get, dict(names), self._who)

    def _begin(self, folder: Path) -> None:
        def fill(fresh: Path) -> None:
            fresh.mkdir()
            (fresh / RECIPE).write_text(json.dumps(self._recipe, indent=1), encoding="utf-8")

        if not (folder / RECIPE).exists():
            complete(folder, fill, who=self._who)

    def _check(self, folder: Path) -> None:
        who = self._who
        if not os.path.isdir(folder) or not readable(folder, who=who):
            return
        kept = read_recipe(folder, who)
        if kept is None:
            raise OutputError(
                f"{who}: '{folder}' holds something that no unfinished {who} wrote. Choose another "
                f"folder, or move that away."
            )
        other = [name for name in self._fixed if kept.get(name) != self._recipe[name]]
        if other and self._overwrite:
            forget(folder, who)
        elif other:
            raise OutputError(
                f"{who}: '{folder}' holds an unfinished {who} with another {' and '.join(other)}. "
                f"Give what that one had to go on with it, or overwrite=True (--overwrite) to "
                f"begin anew."
            )
        elif kept != self._recipe:
            self._renew(folder)

    def _renew(self, folder: Path) -> None:
        """Note the recipe of whoever writes there now, in one step."""
        fresh = folder / FRESH
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            (fresh / RECIPE).write_text(json.dumps(self._recipe, indent=1), encoding="utf-8")
            (fresh / RECIPE).replace(folder / RECIPE)
            fresh.rmdir()
        except OSError as failed:
            raise unwritten(folder, failed, who=self._who) from failed


class Cells(Mapping[Any, Done]):
    """Finished parts of an experiment, one in memory at a time.

    Args:
        get: From the name of a part in its store to the part.
        names: From what a part is called to that name.
        who: Which experiment, for messages.
    """

    def __init__(self, get: Callable[[str], Done | None], names: dict[Any, str], who: str) -> None:
        self._get, self._names, self._who = get, names, who

    def __getitem__(self, key: Any) -> Done:
        done = self._get(self._names[key])
        if done is None:
            raise OutputError(
                f"{self._who}: the part '{self._names[key]}' is gone from the store, or damaged. "
                f"Keep the store until the result is saved, or run the {self._who} again."
            )
        return done

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def begun(
    kind: SavedFolder, folder: str | os.PathLike[str], *, overwrite: bool
) -> Iterator[tuple[Path, Path]]:
    """Hold the place of a result, and name the folder of its finished parts beside it.

    Args:
        kind: Of the result; ``what`` is the experiment.
        folder: As the user named it.
        overwrite: Whether another such result may be replaced.

    Yields:
        Where the result will lie, and where its parts lie meanwhile, which go at the end.

    Raises:
        OutputError: as `SavedFolder.claim`.
    """
    target = real(folder, who=kind.who)
    unfinished = target.with_name(f"{target.name}.unfinished")
    check_above(unfinished, who=kind.who)
    with ExitStack() as opened:
        try:
            opened.enter_context(kind.claim(folder, overwrite=overwrite))
        except OutputError:
            _forget_finished(target, unfinished, kind.what)
            raise
        yield target, unfinished
        forget(unfinished, kind.what)


def _forget_finished(target: Path, unfinished: Path, who: str) -> None:
    """Delete the parts of a result that is there; it was killed before it could do so."""
    tidy(unfinished, who=who)
    if not os.path.isdir(unfinished):
        return
    parts, whole = read_recipe(unfinished, who) or {}, _json(target / RECIPE)
    if any(whole.get(name) != parts[name] for name in parts if name != "format"):
        return
    with suppress(OutputError), claim(target, who=who), claim(unfinished, who=who):
        forget(unfinished, who)
        if unfinished.is_dir() and not listed(unfinished):
            shutil.rmtree(unfinished)


def read_recipe(folder: Path, who: str) -> dict[str, Any] | None:
    """The recipe of an unfinished experiment; None if the folder holds none of that kind."""
    told = _json(folder / RECIPE)
    return told if told.get("format") == _stamp(who) else None


def forget(folder: Path, who: str) -> None:
    """Delete an unfinished experiment, and nothing that somebody else put beside it.

    The recipe goes last: whoever is killed meanwhile has left what he can still read.
    """
    if read_recipe(folder, who) is None:
        return
    parts = folder / CASES
    for each in [folder / FRESH, *(parts.iterdir() if parts.is_dir() else ()), parts]:
        if each.is_dir() and not each.is_symlink():
            _delete(each, ARRAYS, ROWS, RECIPE)
    _delete(folder, RECIPE)


def _delete(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).unlink(missing_ok=True)
    if not listed(folder):
        shutil.rmtree(folder)


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _stamp(who: str) -> str:
    return f"regard-{who}-unfinished"


def _hash(recipe: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _read(place: Path, settings: str) -> Part | None:
    from zipfile import BadZipFile

    told = _json(place / ROWS)
    if told.get("settings_sha256") != settings:
        return None
    try:
        with np.load(place / ARRAYS, allow_pickle=False) as kept:
            return told, {name: kept[name] for name in kept.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
