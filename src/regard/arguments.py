"""Arguments as users give them, checked in one place: whole numbers, numbers, flags, texts, names.

A NumPy or torch scalar that means a whole number is one; text that looks like a number is none.
"""

import functools
import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, SupportsIndex, TypeVar, cast

from regard.errors import ArgumentError

Indices = SupportsIndex | slice | Iterable[SupportsIndex] | None
"""One index, several, or a slice; None for all."""

Function = TypeVar("Function", bound=Callable[..., Any])

_verb: ContextVar[str] = ContextVar("verb", default="")


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Name what is under way in all messages; the outermost name counts.

    Example:
        >>> with speaking("look"), speaking("generate"):
        ...     caller()
        'look'
    """
    if _verb.get():
        yield
        return
    token = _verb.set(name)
    try:
        yield
    finally:
        _verb.reset(token)


def verb(function: Function) -> Function:
    """Let a public function's name stand in the messages of all that it calls.

    Example:
        >>> @verb
        ... def look():
        ...     return caller()
        >>> look(), caller()
        ('look', 'regard')
    """

    @functools.wraps(function)
    def named(*args: Any, **kwargs: Any) -> Any:
        with speaking(function.__name__):
            return function(*args, **kwargs)

    return cast(Function, named)


def caller() -> str:
    """The public function that is under way, for messages."""
    return _verb.get() or "regard"


def whole_or_none(value: Any) -> int | None:
    """The whole number that a value is; None if it is none. True, 2.0 and '2' are none.

    Example:
        >>> whole_or_none(3), whole_or_none(True), whole_or_none("3"), whole_or_none(3.0)
        (3, None, None, None)
    """
    if isinstance(value, bool) or _axes(value) or "bool" in str(_dtype(value)):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def number_or_none(value: Any) -> float | None:
    """The number that a value is, NaN and infinity included; None if it is none.

    Example:
        >>> number_or_none(3), number_or_none(0.5), number_or_none("3"), number_or_none(True)
        (3.0, 0.5, None, None)
    """
    if isinstance(value, bool | str | bytes | bytearray | complex | type(None)):
        return None
    if _axes(value) or any(no in str(_dtype(value)) for no in ("bool", "complex", "U", "S", "M")):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def whole(
    value: Any,
    name: str,
    caller: str,
    *,
    least: int | None = None,
    most: int | None = None,
    cure: str = "",
) -> int:
    """A whole number within its bounds.

    Args:
        value: What was given.
        name: What it is called.
        caller: The function to name in errors.
        least: The smallest that will do; None for any.
        most: The largest that will do; None for any.
        cure: One sentence on what to do, the last of the message.

    Raises:
        ArgumentError: it is no whole number, or lies outside.

    Example:
        >>> whole("2", "steps", "look", least=1)
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: look: steps is '2' and must be a whole number of 1 or more.
    """
    found = whole_or_none(value)
    low = least is not None and found is not None and found < least
    if found is None or low or (most is not None and found > most):
        bounds = _bounds(least, most)
        raise ArgumentError(
            f"{caller}: {name} is {shown(value)} and must be a whole number{bounds}."
            + (f" {cure}" if cure else "")
        )
    return found


def number(
    value: Any,
    name: str,
    caller: str,
    *,
    least: int | float = -math.inf,
    most: int | float = math.inf,
    above: bool = False,
    cure: str = "",
) -> float:
    """A finite number within its bounds.

    Args:
        value: What was given.
        name: What it is called.
        caller: The function to name in errors.
        least: The smallest that will do.
        most: The largest that will do.
        above: Whether it must be larger than ``least``.
        cure: One sentence on what to do, the last of the message.

    Raises:
        ArgumentError: it is no finite number, or lies outside.

    Example:
        >>> number(True, "guidance", "look", least=0)
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: look: guidance is True and must be a finite number of 0 or \
more.
    """
    found = number_or_none(value)
    fits = found is not None and math.isfinite(found) and least <= found <= most
    if found is None or not fits or (above and found == least):
        bounds = f" above {least:g}" if above else _bounds(least, most)
        raise ArgumentError(
            f"{caller}: {name} is {shown(value)} and must be a finite number{bounds}."
            + (f" {cure}" if cure else "")
        )
    return found


def flag(value: Any, name: str, caller: str) -> bool:
    """True or False, and nothing that merely counts as one of them.

    Raises:
        ArgumentError: it is neither.

    Example:
        >>> flag("no", "verify", "look")
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: look: verify is 'no' and must be True or False.
    """
    if isinstance(value, bool):
        return value
    if "bool" in str(_dtype(value)) and not _axes(value):
        return bool(value)
    raise ArgumentError(f"{caller}: {name} is {shown(value)} and must be True or False.")


def pair(
    value: Any, name: str, caller: str, *, least: int = 1, both: bool = False, cure: str = ""
) -> tuple[int, int] | None:
    """Rows and columns: two whole numbers; None if nothing was given.

    Args:
        value: What was given.
        name: What it is called.
        caller: The function to name in errors.
        least: The smallest that will do for each.
        both: Whether one number will do for both.
        cure: One sentence on what to do, the last of the message.

    Raises:
        ArgumentError: there are not two whole numbers, or one is too small.

    Example:
        >>> pair([2, 3], "grid", "heatmap"), pair(64, "size", "look", both=True)
        ((2, 3), (64, 64))
    """
    if value is None:
        return None
    one = whole_or_none(value) if both else None
    several = None if isinstance(value, str | bytes | bytearray) else listed(value)
    sides = [whole_or_none(each) for each in several or ()] if one is None else [one, one]
    rows, columns = sides if len(sides) == 2 else (None, None)
    if rows is None or columns is None or min(rows, columns) < least:
        wanted = "one whole number or two, (rows, columns)," if both else "(rows, columns),"
        raise ArgumentError(
            f"{caller}: {name} is {shown(value)} and must be {wanted} each {least} or more."
            + (f" {cure}" if cure else "")
        )
    return rows, columns


def one_of(value: Any, name: str, caller: str, known: Sequence[str], cure: str = "") -> str:
    """A text that is one of those known.

    Raises:
        ArgumentError: it is another, or no text.

    Example:
        >>> one_of("X", "kind", "Select", ("self", "cross"))
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: Select: kind is 'X' and must be one of self, cross.
    """
    if isinstance(value, str) and value in known:
        return value
    raise ArgumentError(
        f"{caller}: {name} is {shown(value)} and must be one of {', '.join(known)}."
        + (f" {cure}" if cure else "")
    )


def names(value: Any, name: str, caller: str, *, cure: str) -> list[str]:
    """Names as a list, also if there is one.

    Args:
        value: A text, or several.
        name: What they are called.
        caller: The function to name in errors.
        cure: One sentence on what to do, the last of the message.

    Raises:
        ArgumentError: there is none, or one is no text or empty.

    Example:
        >>> names("cat", "words", "drop", cure="Name a word."), names(("a", "b"), "", "", cure="")
        (['cat'], ['a', 'b'])
    """
    several = [value] if isinstance(value, str) else listed(value)
    if several is None or isinstance(value, bytes | bytearray):
        raise ArgumentError(f"{caller}: {name} is {shown(value)} and must be names. {cure}")
    if not several:
        raise ArgumentError(f"{caller}: {name} are empty. {cure}")
    for each in several:
        if not isinstance(each, str):
            raise ArgumentError(f"{caller}: {name} hold {shown(each)}, which is no text. {cure}")
        if not each.strip():
            raise ArgumentError(f"{caller}: {name} hold an empty name, {each!r}. {cure}")
    return several


def pathlike(value: Any, name: str, caller: str) -> str | os.PathLike[str]:
    """A path as text or as `os.PathLike`.

    Raises:
        ArgumentError: it is neither, or empty.

    Example:
        >>> pathlike("trace.zarr", "path", "Trace.load")
        'trace.zarr'
    """
    if not isinstance(value, str | os.PathLike) or value == "":
        raise ArgumentError(f"{caller}: {name} is {shown(value)} and must be the path of a folder.")
    return value


def listed(value: Any) -> list[Any] | None:
    """The parts of something that has several; None of what has none, such as a number.

    Example:
        >>> listed((1, 2)), listed(3)
        ([1, 2], None)
    """
    if isinstance(value, Mapping) or _axes(value, 1) != 1:
        return None
    try:
        return list(value)
    except (TypeError, RuntimeError):
        return None


def indices(value: Any, name: str, caller: str) -> list[int] | slice | None:
    """Indices as users give them: one, several, a range or a slice; None for all.

    Args:
        value: What was given.
        name: What they are called.
        caller: The function to name in errors.

    Returns:
        Whole numbers; a slice as it is.

    Raises:
        ArgumentError: one is no whole number.

    Example:
        >>> indices(2, "steps", "heatmap"), indices(range(2), "steps", "heatmap")
        ([2], [0, 1])
        >>> indices("20", "steps", "heatmap")
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: heatmap: steps is '20' and must be a whole number, several, \
or a slice, such as 0, [0, 1] or slice(0, 2).
    """
    if value is None:
        return None
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        if all(end is None or whole_or_none(end) is not None for end in ends) and value.step != 0:
            return slice(*(None if end is None else whole_or_none(end) for end in ends))
        raise _no_indices(value, name, caller)
    one = whole_or_none(value)
    if one is not None:
        return [one]
    several = None if isinstance(value, str | bytes | bytearray) else listed(value)
    if several is None:
        raise _no_indices(value, name, caller)
    found = [whole_or_none(each) for each in several]
    if None in found:
        raise _no_indices(value, name, caller)
    return [each for each in found if each is not None]


def each_checked(
    value: Any, name: str, caller: str, check: Callable[[Any], bool], wanted: str
) -> list[Any]:
    """The parts of a sequence that must all be of one kind.

    Args:
        value: What was given.
        name: What they are called.
        caller: The function to name in errors.
        check: Whether a part will do.
        wanted: What they must be, with an example.

    Raises:
        ArgumentError: it is no sequence, or a part will not do.
    """
    several = None if isinstance(value, str | bytes | bytearray) else listed(value)
    if several is None:
        raise ArgumentError(f"{caller}: {name} is {shown(value)} and must be {wanted}.")
    for each in several:
        if not check(each):
            raise ArgumentError(f"{caller}: {name} hold {shown(each)} and must be {wanted}.")
    return several


def shown(value: Any) -> str:
    """A value as messages show it: on one line, and not for ever.

    Example:
        >>> shown("20"), shown([1, 2]), shown("x" * 99)[:6]
        ("'20'", '[1, 2]', "'xxxxx")
    """
    try:
        told = " ".join(repr(value).split())
    except Exception:  # a broken repr of someone else's must not hide what is said of it
        told = ""
    if told and len(told) <= 60:
        return told
    if isinstance(value, str | bytes):
        return f"{told[:56]}..."
    size = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(size)}" if size is not None else "")


def _no_indices(value: Any, name: str, caller: str) -> ArgumentError:
    return ArgumentError(
        f"{caller}: {name} is {shown(value)} and must be a whole number, several, or a slice, "
        f"such as 0, [0, 1] or slice(0, 2)."
    )


def _bounds(least: int | float | None, most: int | float | None) -> str:
    lower = least is not None and math.isfinite(least)
    upper = most is not None and math.isfinite(most)
    if lower and upper:
        return f" in {_told(least)}..{_told(most)}"
    if lower:
        return f" of {_told(least)} or more"
    return f" of {_told(most)} or less" if upper else ""


def _told(value: int | float | None) -> str:
    return f"{value}" if isinstance(value, int) else f"{value:g}"


def _axes(value: Any, default: int = 0) -> int:
    axes: int = getattr(value, "ndim", default)
    return axes


def _dtype(value: Any) -> Any:
    return getattr(value, "dtype", "")
