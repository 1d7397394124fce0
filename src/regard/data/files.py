"""Files that a user names, read with care: plain files of bounded size, JSON of bounded depth."""

import json
import stat
from pathlib import Path
from typing import Any

from regard.errors import DataError

MOST = 64 * 2**20
"""Bytes of a text file at most. The captions of all of COCO take 70 % of that."""

DEEPEST = 100
"""Levels of lists and objects in JSON at most; configurations have fewer than ten."""


def plain_file(path: Path, *, who: str, most: int | None = None, name: str = "") -> Path:
    """A file that can be read to its end, or the reason why not; pipes and devices are none.

    Args:
        path: What the user named.
        who: Who wants it, for the message.
        most: Bytes that it may have; None for any number.
        name: What to call it, by default its path.

    Returns:
        The path.

    Raises:
        DataError: nothing is there, or something else than a file, or too large a file.

    Example:
        >>> plain_file(Path("a.csv"), who="captions")
        Traceback (most recent call last):
        ...
        regard.errors.DataError: captions: a.csv could not be read: No such file or directory.
    """
    name = name or str(path)
    try:
        found = path.stat()
    except (OSError, ValueError) as failed:
        raise DataError(f"{who}: {name} could not be read: {reason(failed)}.") from failed
    if stat.S_ISDIR(found.st_mode):
        raise DataError(f"{who}: {name} is a folder. Name a file.")
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{who}: {name} is a pipe or a device, not a file. Name a file.")
    if most is not None and found.st_size > most:
        raise DataError(
            f"{who}: {name} has {found.st_size / 2**20:.0f} MB and may have {most / 2**20:.0f}. "
            f"Is it the right file?"
        )
    return path


def read_text(path: Path, *, who: str, most: int = MOST) -> str:
    """The text of a plain UTF-8 file.

    Args:
        path: What the user named.
        who: Who wants it, for the message.
        most: Bytes that it may have.

    Raises:
        DataError: it is no plain file, cannot be read, is too large, or no UTF-8 text.
    """
    plain_file(path, who=who, most=most)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as failed:
        raise DataError(f"{who}: {path} could not be read: it is not UTF-8 text.") from failed
    except (OSError, ValueError) as failed:
        raise DataError(f"{who}: {path} could not be read: {reason(failed)}.") from failed


def read_json(path: Path, *, who: str, most: int = MOST) -> Any:
    """What a file of JSON says.

    Args:
        path: What the user named.
        who: Who wants it, for the message.
        most: Bytes that it may have.

    Raises:
        DataError: as `read_text`, or it is no JSON, or nested too deep.
    """
    text = read_text(path, who=who, most=most)
    try:
        said = json.loads(text)
    except RecursionError as failed:
        raise _too_deep(path, who) from failed
    except ValueError as failed:
        raise DataError(f"{who}: {path} is no JSON: {reason(failed)}.") from failed
    if depth(said) > DEEPEST:
        raise _too_deep(path, who)
    return said


def depth(value: Any) -> int:
    """How many lists and objects lie within one another.

    Example:
        >>> depth({"a": [1, [2]]})
        3
    """
    level, reached = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        reached += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return reached


def reason(failed: BaseException) -> str:
    """Why something failed, on one line, without a full stop.

    Example:
        >>> reason(ValueError("no number. "))
        'no number'
    """
    told = getattr(failed, "strerror", None) or str(failed)
    lines = told.strip().splitlines() or [type(failed).__name__]
    return lines[0].strip(" .")[:300]


def _too_deep(path: Path, who: str) -> DataError:
    return DataError(
        f"{who}: {path} has more than {DEEPEST} levels of lists and objects. Is it the right file?"
    )
