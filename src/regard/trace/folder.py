"""Folders that are complete under their name, or not there at all."""

import os
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from regard.errors import OutputError
from regard.trace.store import swap

# File systems take 255 bytes; a letter may be four of them.
LONGEST = 50


def complete(target: Path, fill: Callable[[Path], None], *, who: str) -> None:
    """Write a folder under another name beside its own, then rename it.

    Args:
        target: The folder; what is there is replaced.
        fill: Writes into the folder that it is given, which is not there yet.
        who: Who writes, for messages.

    Raises:
        OutputError: writing failed; what was there before is there still.

    Example:
        >>> with tempfile.TemporaryDirectory() as room:
        ...     complete(Path(room) / "new", Path.mkdir, who="example")
        ...     [each.name for each in Path(room).iterdir()]
        ['new']
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name[:LONGEST]}.", dir=target.parent, ignore_cleanup_errors=True
        ) as room:
            fresh = Path(room) / "new"
            fill(fresh)
            swap(fresh, target, Path(room) / "old")
    except OSError as failed:
        raise unwritten(target, failed, who=who) from failed


def free(
    folder: str | os.PathLike[str],
    *,
    who: str,
    what: str,
    foreign: Callable[[Path], str | None],
    overwrite: bool,
) -> Path:
    """Where a folder will lie, if it may be written there.

    Args:
        folder: As the user named it.
        who: Who asks, for messages.
        what: What such a folder holds, such as 'study'.
        foreign: From a folder to the name of something in it that is no part of such a thing.
        overwrite: Whether another such thing may be replaced.

    Raises:
        OutputError: there is a file, a folder with something in it, or no permission.

    Example:
        >>> with tempfile.TemporaryDirectory() as room:
        ...     place = room + "/new"
        ...     free(place, who="me", what="study", foreign=lambda _: None, overwrite=False).name
        'new'
    """
    target = Path(os.path.realpath(folder))
    if target.is_dir() and any(target.iterdir()):
        found = foreign(target)
        if found is not None:
            raise OutputError(
                f"{who}: '{target}' holds '{found}', which no {what} wrote, so it is not "
                f"replaced. Choose another folder, or move that away."
            )
        if not overwrite:
            raise OutputError(
                f"{who}: '{target}' holds a {what}. Choose another folder, or overwrite=True "
                f"(--overwrite) to replace it."
            )
    elif os.path.lexists(target) and not target.is_dir():
        raise OutputError(f"{who}: '{target}' is a file. Choose the name of a folder.")
    check_above(target, who=who)
    return target


@dataclass(frozen=True)
class SavedFolder:
    """A kind of folder that something is saved as.

    Attributes:
        who: Who writes it, for messages.
        what: What it holds, such as 'study'.
        foreign: From a folder to the name of something in it that is no part of such a thing.
    """

    who: str
    what: str
    foreign: Callable[[Path], str | None]

    def check(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Refuse a folder that could not be written, before the work is done.

        Args:
            folder: Where it is to be saved.
            overwrite: Whether another of its kind that was saved there may be replaced.

        Returns:
            Where it will lie.

        Raises:
            OutputError: there is a file, a folder with something in it, or no permission.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as room:
            ...     SavedFolder("me", "study", lambda _: None).check(room + "/new").name
            'new'
        """
        return free(folder, who=self.who, what=self.what, foreign=self.foreign, overwrite=overwrite)

    def write(
        self, folder: str | os.PathLike[str], fill: Callable[[Path], None], *, overwrite: bool
    ) -> Path:
        """Write the folder whole, or leave what was there.

        Args:
            folder: As for `check`.
            fill: Writes into the folder that it is given, which is not there yet.
            overwrite: As for `check`.

        Returns:
            Where it lies.

        Raises:
            OutputError: as for `check`, or writing failed.
        """
        target = self.check(folder, overwrite=overwrite)
        complete(target, fill, who=self.who)
        return target


def stranger(folder: Path, parts: Collection[str], needed: Collection[str]) -> str | None:
    """Something in a folder that is no part of what it should hold; None if all of it is.

    Args:
        folder: Not empty.
        parts: Names of all there may be.
        needed: Those without which it is no such folder, whatever else there is.

    Example:
        >>> with tempfile.TemporaryDirectory() as room:
        ...     (Path(room) / "notes.txt").touch()
        ...     stranger(Path(room), {"recipe.json"}, {"recipe.json"})
        'notes.txt'
    """
    names = sorted(found.name for found in folder.iterdir())
    strange = [name for name in names if name not in parts]
    if strange:
        return strange[0]
    return None if set(needed) <= set(names) else names[0]


def check_above(target: Path, *, who: str) -> None:
    """Refuse a folder that cannot be made where it is to lie.

    Raises:
        OutputError: there is no permission, or a file in the way.

    Example:
        >>> check_above(Path("/") / "proc" / "version" / "new", who="example")
        Traceback (most recent call last):
            ...
        regard.errors.OutputError: example: '/proc/version/new' cannot be made: no folder at \
'/proc/version'. Choose another folder.
    """
    above = next(place for place in target.parents if os.path.lexists(place))
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "no permission" if above.is_dir() else "no folder"
        raise OutputError(
            f"{who}: '{target}' cannot be made: {why} at '{above}'. Choose another folder."
        )


def unwritten(target: Path, failed: OSError, *, who: str) -> OutputError:
    """The error for a folder that could not be written.

    Example:
        >>> unwritten(Path("/tmp/x"), OSError(28, "No space left on device"), who="example").args[0]
        "example: '/tmp/x' could not be written: No space left on device. Nothing was left there; \
make room or choose another folder."
    """
    if isinstance(failed, OutputError) and isinstance(failed.__cause__, OSError):
        failed = failed.__cause__  # a part named its place in a folder that is gone by now
    return OutputError(
        f"{who}: '{target}' could not be written: {failed.strerror or str(failed)}. "
        f"Nothing was left there; make room or choose another folder."
    )
