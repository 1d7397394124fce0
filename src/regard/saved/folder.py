"""Folders that are complete under their name, or not there at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from regard.errors import OutputError
from regard.saved.claim import LONGEST, NEW, OLD, claim, swap, tidy, unwritten
from regard.saved.contents import RECIPE, is_junk, listed, stranger, unlisted

__all__ = [
    "RECIPE", "SavedFolder", "check_above", "claimed", "complete", "free", "is_junk", "listed",
    "readable", "real", "stranger", "unlisted", "unwritten",
]  # fmt: skip


INSIDE = 200
"""Bytes that the longest name within a result may need after the folder's own."""


def complete(target: Path, fill: Callable[[Path], None], *, who: str) -> None:
    """Write a folder under another name beside its own, then rename it.

    Args:
        target: The folder; what is there is replaced.
        fill: Writes into the folder that it is given, which is not there yet.
        who: Who writes, for messages.

    Raises:
        OutputError: writing failed, or another process writes there; what was there before is
            there still.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     complete(Path(room) / "new", Path.mkdir, who="example")
        ...     [each.name for each in Path(room).iterdir()]
        ['new']
    """
    with claim(target, who=who) as workshop:
        try:
            fill(workshop / NEW)
            swap(workshop / NEW, target, workshop / OLD)
        except OSError as failed:
            raise unwritten(target, failed, who=who) from failed


@contextmanager
def claimed(
    folder: str | os.PathLike[str], check: Callable[[], Path], *, who: str
) -> Iterator[Path]:
    """Hold the place of a result from before the work until it is saved.

    Args:
        folder: As the user named it.
        check: Refuses a place that cannot be written, and gives the real path of one that can.
        who: Who writes, for messages.

    Yields:
        The real path.

    Raises:
        OutputError: as ``check`` does, or another process or thread holds the place.
    """
    try:
        target = check()
    except OutputError:
        tidy(real(folder, who=who), who=who)
        raise
    with claim(target, who=who):
        check()  # what a killed process had put aside is back now
        yield target


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
        who: Who writes, for messages.
        what: What such a folder holds, such as 'study'.
        foreign: From a folder to the name of something in it that is no part of such a thing.
        overwrite: Whether another such thing may be replaced.

    Raises:
        OutputError: there is a file, a folder with something in it, or no permission.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     place = room + "/new"
        ...     free(place, who="me", what="study", foreign=lambda _: None, overwrite=False).name
        'new'
    """
    target = real(folder, who=who)
    if os.path.isdir(target) and readable(target, who=who):
        found = foreign(target)
        if found is not None:
            raise OutputError(
                f"{who}: '{target}' holds '{found}', which no {what} wrote, so it is not "
                f"replaced. Choose another folder, or move that away."
            )
        if not overwrite:
            article = "an" if what[0] in "aeiou" else "a"
            raise OutputError(
                f"{who}: '{target}' holds {article} {what}. Choose another folder, or "
                f"overwrite=True (--overwrite) to replace it."
            )
    check_above(target, who=who)
    return target


def real(folder: str | os.PathLike[str], *, who: str) -> Path:
    """The real path of a folder that may be replaced whole, if anything is there.

    Raises:
        OutputError: it is a file, the folder that one stands in, or where a disk is mounted.

    Example:
        >>> real("/proc/version", who="example")
        Traceback (most recent call last):
            ...
        regard.errors.OutputError: example: '/proc/version' is a file. Choose the name of a folder.
    """
    try:
        target = Path(os.path.realpath(folder))
    except ValueError as unfit:  # a zero byte
        raise OutputError(f"{who}: {os.fspath(folder)!r} is no name of a folder.") from unfit
    if os.path.lexists(target) and not os.path.isdir(target):
        raise OutputError(f"{who}: '{target}' is a file. Choose the name of a folder.")
    why = "is where a disk begins" if os.path.ismount(target) else ""
    if _stands_in(target):
        why = "is the folder that you stand in, or holds it"
    if why:
        raise OutputError(
            f"{who}: '{target}' {why}, and a result is a folder that appears whole. "
            f"Name a new folder in it, such as '{os.path.join(folder, 'result')}'."
        )
    return target


def _stands_in(target: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(target)
    except OSError:  # it was deleted meanwhile
        return False


def readable(folder: Path, *, who: str) -> list[str]:
    """As `listed`.

    Raises:
        OutputError: there is no permission to look into it.
    """
    try:
        return listed(folder)
    except OSError as failed:
        raise unwritten(folder, failed, who=who) from failed


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
        with self.claim(folder, overwrite=overwrite) as target:
            complete(target, fill, who=self.who)
        return target

    def claim(
        self, folder: str | os.PathLike[str], *, overwrite: bool = False
    ) -> AbstractContextManager[Path]:
        """Hold the place from before the work until it is written; others are refused meanwhile.

        Args:
            folder: As for `check`.
            overwrite: As for `check`.

        Returns:
            A context manager that gives where it will lie. `write` may be called within.

        Raises:
            OutputError: on entering, as for `check`, or another process or thread holds it.
        """
        return claimed(folder, lambda: self.check(folder, overwrite=overwrite), who=self.who)


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
    above = next(place for place in (*target.parents, target) if os.path.lexists(place))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "no permission" if above.is_dir() else "no folder"
        raise OutputError(
            f"{who}: '{target}' cannot be made: {why} at '{above}'. Choose another folder."
        )
    name, path = (_most(above, limit) for limit in ("PC_NAME_MAX", "PC_PATH_MAX"))
    longest = max(len(os.fsencode(part)) for part in target.parts)
    if longest > name or len(os.fsencode(target)) > path - INSIDE:
        raise OutputError(
            f"{who}: '{target.name[:LONGEST]}...' is too long a name for a folder; the file system "
            f"takes {name} bytes, and {path} with all folders above and names within. Choose a "
            f"shorter one."
        )


def _most(folder: Path, limit: str) -> int:
    """How many bytes a name or a path may have."""
    try:
        return os.pathconf(folder, limit)
    except (OSError, ValueError, AttributeError):  # it does not tell, as on Windows
        return 255 if limit == "PC_NAME_MAX" else 4096
