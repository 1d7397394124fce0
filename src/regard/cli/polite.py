"""What the command line says and shows: one clear line for a mistake, a bar for what takes time."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from regard import progress
from regard.errors import OutputError, RegardError

MISTAKE, FAILURE, STOPPED = 2, 1, 130
"""Exit codes: the command was wrong; the machine failed; the user stopped it (128 + SIGINT)."""


class Polite(TyperGroup):
    """A group of commands that turns what was raised on purpose into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            Exit: after a mistake, a failure of the machine, or Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stop("stopped; nothing was written.", STOPPED)
        except RegardError as mistake:
            stop(str(mistake), MISTAKE)
        except BrokenPipeError:
            raise  # whoever read our output has closed it: nothing to say, and nobody to say it to
        except Exception as failed:
            if out_of_memory(failed):
                stop(NO_MEMORY, FAILURE)
            if not isinstance(failed, OSError):
                raise
            stop(_said(failed), FAILURE)


NO_MEMORY = (
    "there is not enough memory for this. Ask for less at once (a smaller --size, fewer --seeds or "
    "--words), close other programs, or raise the limit (ulimit -v)."
)

MEMORY_SIGNS = (
    "cannot allocate memory", "can't allocate memory", "not enough memory", "out of memory",
    "failed to map segment", "can't start new thread", "unable to allocate", "bad_alloc",
)  # fmt: skip
"""How libraries say it; they have no error in common."""


def out_of_memory(failed: BaseException) -> bool:
    """Whether an error, or what lies behind it, says that memory ran out.

    Example:
        >>> out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
    """
    seen: set[int] = set()
    each: BaseException | None = failed
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        said = str(each).casefold()
        if isinstance(each, MemoryError) or any(sign in said for sign in MEMORY_SIGNS):
            return True
        each = each.__cause__ or each.__context__
    return False


class Ended(KeyboardInterrupt):
    """The process was asked to end, which then clears up as after Ctrl-C."""


_ended: list[int] = []


def end_politely() -> None:
    """Take the signals that end a process as Ctrl-C is taken, unless they are ignored."""

    def end(number: int, frame: Any) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        _ended.append(number)
        raise Ended

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def stop(message: str, code: int) -> NoReturn:
    """Print one line on stderr and leave.

    Raises:
        Exit: always.
    """
    tell(message)
    raise typer.Exit(128 + _ended[-1] if code == STOPPED and _ended else code)


def tell(message: str) -> None:
    """Print one line on stderr, with our name before it."""
    typer.echo("regard: " + " ".join(message.split()), err=True)


def at_once(message: str) -> None:
    """Print one line on stderr if it is a terminal, before anything slow is imported."""
    if sys.stderr.isatty():
        tell(message)


def _said(failed: OSError) -> str:
    if failed.strerror is None:  # a library's own, which may run over many lines
        return str(failed)
    where = f"'{failed.filename}': " if failed.filename is not None else ""
    return f"{where}{failed.strerror}. Make room, or choose a place where you may read and write."


def check_file(path: Path, *, who: str) -> None:
    """Refuse a file that could not be written, before the work is done.

    Args:
        path: As the user named it.
        who: Which command, for messages.

    Raises:
        OutputError: there is no such folder, no permission, a folder of that name, or too long a
            name.
    """
    from regard.saved.folder import check_above

    if not path.parent.is_dir():
        raise OutputError(f"{who}: {path.parent} is no folder. Make it, or name another.")
    if path.is_dir():
        raise OutputError(f"{who}: '{path}' is a folder. Choose the name of a file.")
    check_above(path.parent.resolve() / path.name, who=who)


def write_table(table: Any, path: Path, *, who: str) -> None:
    """Write a table as CSV, complete or not at all.

    Raises:
        OutputError: writing failed, or another process writes there.
    """
    from regard.saved.claim import claim, unwritten

    target = path.resolve()
    with claim(target, who=who) as workshop:
        try:
            table.to_csv(workshop / "new", index=False)
            (workshop / "new").replace(target)
        except OSError as failed:
            raise unwritten(target, failed, who=who) from failed


def how_to_go_on(unfinished: Path, one: str, many: str) -> str:
    """What to say of an experiment that was stopped.

    Args:
        unfinished: The folder with its finished parts; perhaps not there yet.
        one: What a part is called.
        many: What several are called.
    """
    finished = sum(each.is_dir() for each in (unfinished / "cases").glob("*"))
    if not finished:
        return f"stopped; no {one} was finished yet, so nothing was written."
    kept = f"{one} is" if finished == 1 else f"{many} are"
    return f"stopped; {finished} {kept} kept. The same command goes on from there."


@contextmanager
def bar(what: str, *columns: str) -> Iterator[Callable[..., None]]:
    """`regard.progress.bar`, or a line a minute where standard error is no terminal.

    Args:
        what: Written before it.
        columns: More to show, as rich writes it, such as ``loss {task.fields[loss]:.3f}``.

    Yields:
        ``advance(done, total, **fields)``.
    """
    shown = progress.has_display()
    with progress.bar(what, *columns) if shown else progress.reporting(_lines(what), what) as told:
        yield told


def _lines(what: str) -> Callable[..., None]:
    last = time.monotonic()

    def advance(done: int, total: int, **fields: float) -> None:
        nonlocal last
        if time.monotonic() - last >= 60:
            last = time.monotonic()
            said = "".join(f", {name} {value:.3g}" for name, value in fields.items())
            tell(f"{what}: {done} of {total}{said}")

    return advance
