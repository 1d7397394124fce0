"""What one look gives."""

import os
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from PIL import Image

from regard.look import notebook, output
from regard.measures.verdicts import WORD, judge
from regard.trace import Trace


@dataclass(frozen=True, eq=False, repr=False)
class Look:
    """An image, generated or given, and the attention that was recorded with it.

    Attributes:
        image: The generated image; of `look_at`, the image as the model was shown it.
        latents: Tensor [1, channel, y, x] on the CPU: the image before it was decoded; None for
            an image of `look_at`.
        trace: Which regions attend to each word, the table of words, and the recipe; or what every
            patch attends to.
        verification: What hiding each word changed, as `verify` returns it; None if not asked for.
    """

    image: Image.Image
    latents: Any  # a tensor; not named, so that this module does not import torch
    trace: Trace
    verification: pd.DataFrame | None = None

    def __repr__(self) -> str:
        columns, rows = self.image.size
        found = self.verification
        checked = "not verified" if found is None else f"{len(_verified(found))} words verified"
        return f"Look({rows}x{columns} pixels; {self.trace!r}; {checked})"

    def _repr_html_(self) -> str:
        recipe = self.trace.recipe
        caption = str(recipe.get("prompt", recipe.get("image", "")))
        words = self.trace.words() if self.trace.word_maps else None
        kept = ["word", "mass", "entropy", "verdict"]
        return notebook.shown(
            [(caption, self.image)], None if words is None else words[kept], repr(self)
        )

    @property
    def cut(self) -> str:
        """The end of the prompt that the text encoder did not take; empty if all fitted."""
        return str(self.trace.recipe.get("cut", ""))

    def with_verification(self, verification: pd.DataFrame) -> "Look":
        """The same look, its table of words judged by a verification.

        Args:
            verification: As `verify` returns it.

        Returns:
            A new look; the recipe says what the words were compared with.

        Raises:
            UnknownName: the verification has a word that the look lacks.
        """
        table = judge(self.trace.words(), verification)
        table.attrs["note"] = verification.attrs.get("note", "")
        recipe = {**self.trace.recipe, "verification": table.attrs["note"]}
        return replace(
            self,
            trace=replace(self.trace, table=table, recipe=recipe),
            verification=verification.copy(),
        )

    def save(
        self, folder: str | os.PathLike[str], *, overwrite: bool = False, scale: str = "each"
    ) -> None:
        """Write a folder: image.png, words.csv, heatmaps/WORD.png, trace.zarr and page.html.

        After `look_at` it has predictions.csv instead of words.csv, and a heat map for each layer:
        what the class token attends to, or all patches on average where there is none.
        It is written under another name beside ``folder`` and renamed when it is complete.

        Args:
            folder: The folder to make; those above it are made too.
            overwrite: Replace a look that was saved there; a folder that holds anything else is
                never replaced.
            scale: ``each`` heat map on a colour scale of its own, whose end is written on it; or
                one scale ``shared`` by all. The page opens on the same, and can change it.

        Raises:
            OutputError: something is there already, or writing failed; nothing is lost.
            UnknownName: there is no such scale.
        """
        output.write(self.image, self.trace, folder, overwrite=overwrite, scale=scale)


def _verified(verification: pd.DataFrame) -> set[str]:
    return set(verification.loc[verification["kind"] == WORD, "word"])
