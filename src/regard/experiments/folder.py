"""Folders that experiments save: the recipe lists every file, so that nothing else is replaced."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.trace.folder import complete, free

RECIPE = "recipe.json"


@dataclass(frozen=True)
class SavedFolder:
    """A kind of folder that one experiment writes.

    Attributes:
        who: Who writes it, for messages.
        what: What it holds, such as 'study'.
        stamp: What marks its recipe, as ``format``.
    """

    who: str
    what: str
    stamp: str

    def check(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Refuse a folder that could not be written, before the work is done.

        Args:
            folder: Where the experiment is to be saved.
            overwrite: Whether another of its kind that was saved there may be replaced.

        Returns:
            Where it will lie.

        Raises:
            OutputError: there is a file, a folder with something in it, or no permission.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as room:
            ...     SavedFolder("Study.save", "study", "regard-study").check(room + "/new").name
            'new'
        """
        return free(
            folder, who=self.who, what=self.what, foreign=self._foreign, overwrite=overwrite
        )

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
        target = self.check(folder, overwrite=overwrite)
        complete(target, fill, who=self.who)
        return target

    def _foreign(self, folder: Path) -> str | None:
        """Something in a folder that its recipe does not list; None if it lists all."""
        try:
            saved: Any = json.loads((folder / RECIPE).read_bytes())
            files = set(saved["files"]) if saved["format"] == self.stamp else set()
        except (OSError, ValueError, KeyError, TypeError):
            files = set()
        there = [each for each in sorted(folder.rglob("*")) if not each.is_dir()]
        names = [each.relative_to(folder).as_posix() for each in there]
        alien = next((name for name in names if name not in files), None)
        return alien or (None if files else next(each.name for each in sorted(folder.iterdir())))
