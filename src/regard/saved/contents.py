"""What lies in a folder, and whether all of it is a part of what was saved there."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

RECIPE = "recipe.json"
"""What tells of most results how they were made."""

JUNK = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory"})
"""What file managers leave in folders that they showed, in small letters; it is nobody's."""


def listed(folder: Path) -> list[str]:
    """Names of what is in a folder, sorted, less what file managers leave.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     (Path(room) / ".DS_Store").touch()
        ...     listed(Path(room))
        []
    """
    return sorted(found.name for found in folder.iterdir() if not is_junk(found.name))


def is_junk(name: str) -> bool:
    """Whether a file manager left a file of this name.

    Example:
        >>> is_junk("Thumbs.db"), is_junk("._cat.png"), is_junk("cat.png")
        (True, True, False)
    """
    return name.casefold() in JUNK or name.startswith("._")


def stranger(folder: Path, parts: Collection[str], needed: Collection[str]) -> str | None:
    """Something in a folder that is no part of what it should hold; None if all of it is.

    Args:
        folder: Not empty.
        parts: Names of all there may be.
        needed: Those without which it is no such folder, whatever else there is.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     (Path(room) / "notes.txt").touch()
        ...     stranger(Path(room), {"recipe.json"}, {"recipe.json"})
        'notes.txt'
    """
    names = listed(folder)
    strange = [name for name in names if name not in parts]
    if strange:
        return strange[0]
    return None if set(needed) <= set(names) else names[0]


def unlisted(folder: Path, stamp: str, recipe: str = RECIPE) -> str | None:
    """Something in a folder that the recipe in it does not list; None if it lists all.

    Args:
        folder: Not empty.
        stamp: What marks the recipe, as ``format``; its ``files`` are all that were written.
        recipe: The name of its file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     (Path(room) / "notes.txt").touch()
        ...     unlisted(Path(room), "regard-study")
        'notes.txt'
    """
    try:
        saved: Any = json.loads((folder / recipe).read_bytes())
        files = set(saved["files"]) if saved["format"] == stamp else set()
    except (OSError, ValueError, KeyError, TypeError):
        files = set()
    there = [
        each for each in sorted(folder.rglob("*")) if not each.is_dir() and not is_junk(each.name)
    ]
    names = [each.relative_to(folder).as_posix() for each in there]
    alien = next((name for name in names if name not in files), None)
    return alien or (None if files else listed(folder)[0])
