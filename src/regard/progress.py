"""Progress of what takes long: a bar on standard error, by default where that is a terminal."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from regard.arguments import caller, shown
from regard.errors import ArgumentError

Advance = Callable[..., Any]
"""Called with how much is done and how much there is, from time to time."""

Progress = Advance | bool | None
"""What a verb is given: a function, whether to show a bar, or None for a bar on a terminal."""

_reported: ContextVar[bool] = ContextVar("reported", default=False)
"""Whether what is under way is reported already, so that what it calls shows no second bar."""


def quiet(done: int, total: int, **fields: Any) -> None:
    """Report nothing."""


def check_progress(progress: Any) -> None:
    """Refuse what cannot report progress.

    Raises:
        ArgumentError: it is no function, flag or None.

    Example:
        >>> check_progress(False)
    """
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ArgumentError(
            f"{caller()}: progress is {shown(progress)} and must be True or False, for a bar or "
            f"none, or a function of the steps done and the steps there are. Leave it out for a "
            f"bar on a terminal."
        )


@contextmanager
def reporting(progress: Progress, what: str) -> Iterator[Advance]:
    """Report the progress of a block as its caller asked for.

    Args:
        progress: None shows a bar where standard error is a terminal or a notebook, unless what is
            under way is reported already; True always shows one, False never; a function is called.
        what: Written before the bar.

    Yields:
        ``advance(done, total)``.

    Raises:
        ArgumentError: as `check_progress`.

    Example:
        >>> with reporting(print, "counting") as advance:
        ...     advance(1, 2)
        1 2
    """
    check_progress(progress)
    wanted = progress is True or (progress is None and not _reported.get() and has_display())
    if wanted:
        with bar(what, force=progress is True) as advance:
            yield advance
    else:
        with _reporting():
            yield progress if callable(progress) else quiet


def has_display() -> bool:
    """Whether a bar would move: standard error is a terminal, or a notebook that has widgets."""
    from rich.console import Console

    console = Console(stderr=True)
    widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal or widgets


@contextmanager
def bar(what: str, *columns: str, force: bool = False) -> Iterator[Advance]:
    """A progress bar on standard error for each phase.

    It moves to and fro until there is something to count. A phase begins where fewer are done than
    before: its time left is its own.

    Args:
        what: Written before it.
        columns: More to show, as rich writes it, such as ``loss {task.fields[loss]:.3f}``.
        force: Write it even where standard error is no terminal.

    Yields:
        ``advance(done, total, **fields)``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(stderr=True, force_terminal=True if force else None)
    columns_of = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns_of += [TextColumn(column) for column in columns]
    with (
        _reporting(),
        Progress(*columns_of, Left(compact=True), console=console, transient=True) as display,
    ):
        phase, last = 1, 0
        task: Any = None
        if not columns:  # others have nothing to show in them yet
            task = display.add_task(f"{what}: loading", total=None)

        def advance(done: int, total: int, **fields: Any) -> None:
            nonlocal task, phase, last
            if task is None:
                task = display.add_task(what, total=total, **fields)
            if last == 0 or done < last:
                phase += last > 0
                named = what if phase == 1 else f"{what}, part {phase}"
                display.reset(task, total=total, description=named, **fields)
            display.update(task, completed=done, total=total, **fields)
            last = done

        yield advance


@contextmanager
def _reporting() -> Iterator[None]:
    token = _reported.set(True)
    try:
        yield
    finally:
        _reported.reset(token)
