"""Work that is killed before its nth call of the file system, or meets a full disk at its nth."""

import builtins
import errno
import io
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

CALLS = ("rename", "replace", "mkdir", "unlink", "rmdir", "open", "ftruncate")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether the child was killed; False if it came to its end before so many calls."""
    status, _ = _forked(number, work)
    return os.WIFSIGNALED(status)


def calls_of(work: Callable[[], object]) -> int:
    """How often some work calls the file system; it is done by a child."""
    most = 2**30
    _, left = _forked(most, work)
    return most - left


def _forked(number: int, work: Callable[[], object]) -> tuple[int, int]:
    """Status of the child, and how many calls it had left.

    It is forked, and not started anew: importing the libraries takes a hundred times as long.
    """
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads, which newer Pythons give
        child = os.fork()
    if child == 0:
        try:
            left = _count(number)
            work()
            os.write(there, str(left[0]).encode())
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    os.close(there)
    with os.fdopen(here) as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return status, int(said or 0)


def _count(number: int) -> list[int]:
    left = [number]

    def counted(call):
        def instead(*args, **options):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*args, **options)

        return instead

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    io.open = builtins.open = counted(builtins.open)
    return left


@contextmanager
def full_at(number: int, folder: Path) -> Iterator[list[str]]:
    """A disk that is full once so many files were opened for writing in a folder; their names."""
    written: list[str] = []
    opened = builtins.open

    def instead(file, mode="r", *args, **options):
        if set(mode) & set("wax+") and str(file).startswith(str(folder)):
            if len(written) >= number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written.append(str(file))
        return opened(file, mode, *args, **options)

    with patch.object(builtins, "open", instead), patch.object(io, "open", instead):
        yield written
