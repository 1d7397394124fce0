"""Folders that experiments save: the recipe lists every file, so that nothing else is replaced."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from regard.trace.folder import SavedFolder, is_junk, listed

RECIPE = "recipe.json"


def listed_folder(who: str, what: str, stamp: str) -> SavedFolder:
    """A kind of folder that one experiment writes.

    Args:
        who: Who writes it, for messages.
        what: What it holds, such as 'study'.
        stamp: What marks its recipe, as ``format``.
    """
    return SavedFolder(who, what, partial(_foreign, stamp))


def _foreign(stamp: str, folder: Path) -> str | None:
    """Something in a folder that its recipe does not list; None if it lists all."""
    try:
        saved: Any = json.loads((folder / RECIPE).read_bytes())
        files = set(saved["files"]) if saved["format"] == stamp else set()
    except (OSError, ValueError, KeyError, TypeError):
        files = set()
    there = [
        each for each in sorted(folder.rglob("*")) if not each.is_dir() and not is_junk(each.name)
    ]
    names = [each.relative_to(folder).as_posix() for each in there]
    alien = next((name for name in names if name not in files), None)
    return alien or (None if files else listed(folder)[0])
