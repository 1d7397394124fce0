"""What steering gives: two looks, and what changed from one to the other."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from regard.look import Look, notebook
from regard.steering import output


@dataclass(frozen=True, eq=False, repr=False)
class Steered:
    """A prompt generated without and with some methods, from the same initial noise.

    Attributes:
        before: The baseline.
        after: The result under the methods.
        table: What changed: one row for each measure of each word, then of the whole image.
        recipe: With what it was made, plain JSON values; `replay` takes it.
    """

    before: Look
    after: Look
    table: pd.DataFrame
    recipe: Mapping[str, Any]

    def __repr__(self) -> str:
        names = ", ".join(each["method"] for each in self.recipe["methods"])
        return f"Steered({self.recipe['prompt']!r}; {names}; {len(self.table)} measures)"

    def _repr_html_(self) -> str:
        images = [("before", self.before.image), ("after", self.after.image)]
        return notebook.shown(images, self.table, repr(self))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write both looks as `Look.save` does, maps.png, table.csv, recipe.json and page.html.

        It is written under another name beside ``folder`` and renamed when it is complete.

        Args:
            folder: The folder to make; those above it are made too.
            overwrite: Replace what an earlier steering saved there; a folder that holds anything
                else is never replaced.

        Raises:
            OutputError: something is there already, or writing failed; nothing is lost.
        """
        output.write(self.before, self.after, self.table, self.recipe, folder, overwrite=overwrite)
