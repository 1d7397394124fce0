"""Runs something in a child process that is killed before its nth call of the file system."""

import os
import signal
import warnings
from collections.abc import Callable

CALLS = ("rename", "replace", "mkdir", "unlink", "rmdir", "open", "ftruncate")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether the child was killed; False if it came to its end before so many calls.

    It is forked, and not started anew: importing the libraries takes a hundred times as long.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads, which newer Pythons give
        child = os.fork()
    if child == 0:
        try:
            _count(number)
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _count(number: int) -> None:
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
