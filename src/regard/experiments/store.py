"""Unfinished experiments: what each case of one gave, written as soon as it is there."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.errors import OutputError
from regard.experiments.unfinished import (
    ARRAYS,
    CASES,
    FRESH,
    ROWS,
    forget,
    json_of,
    read_recipe,
    stamp_of,
)
from regard.saved.claim import claim
from regard.saved.folder import RECIPE, check_above, complete, readable, real, unwritten

SIDE = 128
"""Pixels that the images of a case keep a side: enough for a sheet, and 50 kB an image."""

IMAGES = "images"


@dataclass(frozen=True)
class Done:
    """What one case of an experiment gave.

    Attributes:
        rows: Of the table.
        labels: Of the images, that of the baseline first.
        images: uint8 [image, y, x, 3], in the same order, made `small`.
        size: How much work it was, in the units of the experiment's meter.
        values: What else it gave, as plain JSON values.
        arrays: And as arrays, by name.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))
    size: int = 1
    values: Any = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def small(image: Image.Image) -> np.ndarray:
    """An image as cases keep it: uint8 [y, x, 3], no side longer than `SIDE`."""
    image = image.convert("RGB")
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image)


class Store:
    """A folder of finished cases, each complete or not there, with one writing process at a time.

    Each case says with which settings it was made; one that was made with others, or that is
    damaged, counts as not there. Cases that an experiment does not ask for stay for the next.

    Args:
        folder: Made when the first is written; None keeps everything in memory.
        recipe: What all of it was made with.
        who: Which experiment asks, for messages: 'sweep' or 'benchmark'.
        overwrite: Whether one with another recipe may be deleted.
        grows: What in the recipe may differ from that of the cases that are there: the names of
            cases keep these apart.

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
        self._recipe = {"format": stamp_of(who), **json.loads(json.dumps(recipe))}
        self._fixed = {name: self._recipe[name] for name in self._recipe if name not in grows}
        self._settings = _hash(self._fixed)
        self._memory: dict[str, Done] = {}
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
        if self._folder is None:
            return self._memory.get(name)
        return _read(self._folder / CASES / name, self._settings)

    def put(self, name: str, done: Done) -> None:
        """Keep what a case gave.

        Raises:
            OutputError: it could not be written.
        """
        if self._folder is None:
            self._memory[name] = done
            return
        self._begin(self._folder)
        fresh, place = self._folder / FRESH, self._folder / CASES / name
        try:
            for each in (fresh, place):  # of a process that was killed, or damaged
                if each.exists():
                    shutil.rmtree(each)
            fresh.mkdir()
            place.parent.mkdir(exist_ok=True)
            _write(fresh, done, self._settings)
            fresh.rename(place)
        except OSError as failed:
            shutil.rmtree(fresh, ignore_errors=True)
            raise unwritten(place, failed, who=self._who) from failed

    def cases(self, names: Mapping[Any, str]) -> "FinishedCases":
        """Cases under names of their own, read when they are asked for.

        Args:
            names: From what a case is called to what it was put under.
        """
        return FinishedCases(self.get, dict(names), self._who)

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
                f"begin again."
            )
        elif kept != self._recipe:
            self._renew(folder)

    def _renew(self, folder: Path) -> None:
        """Note the recipe of the process that writes there now, in one step."""
        fresh = folder / FRESH
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            (fresh / RECIPE).write_text(json.dumps(self._recipe, indent=1), encoding="utf-8")
            (fresh / RECIPE).replace(folder / RECIPE)
            fresh.rmdir()
        except OSError as failed:
            raise unwritten(folder, failed, who=self._who) from failed


class FinishedCases(Mapping[Any, Done]):
    """Finished cases of an experiment, one in memory at a time.

    Args:
        get: From the name of a case in its store to the case.
        names: From what a case is called to that name.
        who: Which experiment, for messages.
    """

    def __init__(self, get: Callable[[str], Done | None], names: dict[Any, str], who: str) -> None:
        self._get, self._names, self._who = get, names, who

    def __getitem__(self, key: Any) -> Done:
        done = self._get(self._names[key])
        if done is None:
            raise OutputError(
                f"{self._who}: the case '{self._names[key]}' is gone from the store, or damaged. "
                f"Keep the store until the result is saved, or run the {self._who} again."
            )
        return done

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _hash(recipe: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _write(place: Path, done: Done, settings: str) -> None:
    told = {name: getattr(done, name) for name in ("rows", "labels", "size", "values")}
    text = json.dumps({"settings_sha256": settings, **told})
    (place / ROWS).write_text(text, encoding="utf-8")
    np.savez_compressed(place / ARRAYS, **{IMAGES: done.images, **done.arrays})


def _read(place: Path, settings: str) -> Done | None:
    from zipfile import BadZipFile

    told = json_of(place / ROWS)
    if told.get("settings_sha256") != settings:
        return None
    try:
        with np.load(place / ARRAYS, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        plain = {name: told[name] for name in ("rows", "labels", "size", "values")}
        return Done(**plain, images=arrays.pop(IMAGES), arrays=arrays)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
