"""A place on disk that one process writes at a time, and what a killed one left is cleared away."""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from regard.errors import OutputError

# File systems take 255 bytes; a letter may be four of them.
LONGEST = 50

PROBE = 2**20
"""Bytes written before the work begins, so that a full disk is told then: a small result's."""

NEW, OLD = "new", "old"

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_held: dict[Path, tuple[int, int]] = {}
"""From each target to the process and thread that hold it."""


@contextmanager
def claim(target: Path, *, who: str) -> Iterator[Path]:
    """Hold a place for as long as something is made for it; others are refused meanwhile.

    The lock is one of the operating system and ends with the process, however that ends. What a
    killed process left beside the target is put back or removed.

    Args:
        target: What will be written: a real path.
        who: Who writes, for messages.

    Yields:
        A folder beside the target, for what is not complete yet; it goes with the claim.

    Raises:
        OutputError: another process or thread holds the place, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     with claim(Path(room).resolve() / "new", who="example") as workshop:
        ...         sorted(each.name for each in Path(room).iterdir())
        ['.new.regard-lock', '.new.regard-work']
    """
    workshop, me = beside(target, "work"), (os.getpid(), threading.get_ident())
    if _held.get(target) == me:
        workshop.mkdir(exist_ok=True)
        yield workshop
        return
    with ExitStack() as opened:
        try:
            _make_above(target.parent, opened)
            sure = opened.enter_context(_locked(target, who))
            if sure:
                recover(target)
            elif workshop.exists():  # whose it is cannot be known
                raise _busy(target, who, "")
            opened.callback(shutil.rmtree, workshop, ignore_errors=True)
            workshop.mkdir()
            _probe(workshop)
        except OSError as failed:
            raise unwritten(target, failed, who=who) from failed
        _held[target] = me
        opened.callback(_held.pop, target, None)
        yield workshop


def recover(target: Path) -> None:
    """Clear away what a process left that was killed while it wrote here; the caller holds it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     target = Path(room) / "cat"
        ...     before = beside(target, "work") / "old"  # it was killed between two renames
        ...     before.mkdir(parents=True)
        ...     recover(target)
        ...     [each.name for each in Path(room).iterdir()]
        ['cat']
    """
    workshop = beside(target, "work")
    if (workshop / OLD).exists() and not os.path.lexists(target):
        (workshop / OLD).rename(target)
    if workshop.exists():
        shutil.rmtree(workshop)


def tidy(target: Path, *, who: str) -> None:
    """Clear away what a killed process left beside a target, unless a process writes there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     beside(Path(room) / "cat", "lock").touch()
        ...     tidy(Path(room) / "cat", who="example")
        ...     list(Path(room).iterdir())
        []
    """
    if any(os.path.lexists(beside(target, what)) for what in ("lock", "work")):
        with suppress(OutputError), claim(target, who=who):
            pass


def beside(target: Path, what: str) -> Path:
    """A hidden name next to a target, short enough whatever the target is called.

    Example:
        >>> beside(Path("/out/cat"), "lock").name
        '.cat.regard-lock'
    """
    name = target.name
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return target.with_name(f".{name}.regard-{what}")


def swap(fresh: Path, target: Path, old: Path) -> None:
    """Put a complete folder under its final name; if that fails, what was there is back."""
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        old.rename(target)
        raise


def unwritten(target: Path, failed: OSError, *, who: str) -> OutputError:
    """The error for a folder that could not be written.

    Example:
        >>> unwritten(Path("/tmp/x"), OSError(28, "No space left on device"), who="example").args[0]
        "example: '/tmp/x' could not be written: No space left on device. Nothing was left there; \
free some space or choose another folder."
    """
    while isinstance(failed, OutputError):
        if not isinstance(failed.__cause__, OSError):
            return failed
        failed = failed.__cause__  # parts named places in a folder that is gone by now
    return OutputError(
        f"{who}: '{target}' could not be written: {failed.strerror or str(failed)}. "
        f"Nothing was left there; free some space or choose another folder."
    )


def _make_above(folder: Path, opened: ExitStack) -> None:
    """Make a folder and those above it; those that stay empty go with the claim."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        opened.callback(_remove_empty, place)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def _locked(target: Path, who: str) -> Iterator[bool]:
    """Hold the lock of a target; False where the file system knows no locks."""
    path = beside(target, "lock")
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            sure = _lock(handle)
            # Between opening and locking, its last owner may have removed it.
            if sure is not None and _is_at(handle, path):
                break
            if sure is None:
                owner = os.read(handle, 32).decode("ascii", "ignore").strip()
                raise _busy(target, who, owner)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield sure
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            path.unlink(missing_ok=True)
        os.close(handle)
        with suppress(OSError):
            if os.name == "nt":
                path.unlink(missing_ok=True)


def _busy(target: Path, who: str, owner: str) -> OutputError:
    process = f"another process ({owner})" if owner else "another process"
    return OutputError(
        f"{who}: '{target}' is being written by {process}. Wait until that is done, or choose "
        f"another folder."
    )


def _lock(handle: int) -> bool | None:
    """Whether the lock was taken: None if another process holds it, False if there are no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 64, os.SEEK_SET)  # beyond the number, so that others can read it
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failed:
        if failed.errno in NO_LOCKS:
            return False
        os.lseek(handle, 0, os.SEEK_SET)
        return None
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def _probe(folder: Path) -> None:
    """Fail now if the disk is full, and not after the work."""
    place = folder / "probe"
    place.write_bytes(bytes(PROBE))
    place.unlink()
