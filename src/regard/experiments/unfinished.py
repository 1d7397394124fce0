"""The folder of finished cases beside a result that is being made; it goes when that is saved."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from regard.errors import OutputError
from regard.saved.claim import claim, tidy
from regard.saved.folder import RECIPE, SavedFolder, check_above, listed, real

ARRAYS, ROWS, CASES = "arrays.npz", "rows.json", "cases"
"""Files of a case, and the folder of all cases."""

FRESH = ".fresh"
"""What a case is called before it is complete."""


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
    parts, whole = read_recipe(unfinished, who) or {}, json_of(target / RECIPE)
    if any(whole.get(name) != parts[name] for name in parts if name != "format"):
        return
    with suppress(OutputError), claim(target, who=who), claim(unfinished, who=who):
        forget(unfinished, who)
        if unfinished.is_dir() and not listed(unfinished):
            shutil.rmtree(unfinished)


def read_recipe(folder: Path, who: str) -> dict[str, Any] | None:
    """The recipe of an unfinished experiment; None if the folder holds none of that kind."""
    told = json_of(folder / RECIPE)
    return told if told.get("format") == stamp_of(who) else None


def json_of(path: Path) -> dict[str, Any]:
    """The mapping that a file of JSON holds; an empty one if it holds none."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def forget(folder: Path, who: str) -> None:
    """Delete an unfinished experiment, and nothing else that lies beside it.

    The recipe goes last: a process that is killed meanwhile leaves a folder that can still be read.
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


def stamp_of(who: str) -> str:
    """What the recipe of an unfinished experiment says that it is."""
    return f"regard-{who}-unfinished"
