"""What learning the weights of words gives: the weights, how sure they are, and what they do."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from regard.errors import ArgumentError
from regard.saved.folder import SavedFolder, stranger
from regard.steering.result import Steered

if TYPE_CHECKING:
    from regard.methods import Method

END, PAD = "[end]", "[pad]"

WEIGHTS, LOSSES, RECIPE, TARGET, IMAGES = (
    "weights.csv", "losses.csv", "recipe.json", "target.png", "images.png",
)  # fmt: skip
PARTS = {WEIGHTS, LOSSES, RECIPE, TARGET, IMAGES, "before.png", "after.png"}


FOLDER = SavedFolder(
    "WordWeights.save",
    "set of word weights",
    lambda folder: stranger(folder, PARTS, {WEIGHTS, RECIPE}),
)
check_weights_folder = FOLDER.check


@dataclass(frozen=True, eq=False, repr=False)
class WordWeights:
    """How much attention each word should get for a prompt to give an image; 1 is neutral.

    Read them as shares of one another: only what some words get more of than others is learned.

    Attributes:
        prompt: The prompt.
        table: A row for each word of each part of the generation: word, part, weight, and low and
            high, its interval over seeds; ``[end]`` stands for all tokens after the words.
        losses: The loss on held-out noise without weights (none), with those that were learned,
            and with those assigned to other words (shuffled); change from none with its interval,
            and its p value.
        target: The image.
        recipe: With what it was learned, plain JSON values.
        padding: ``[pad]`` where the text is filled up with such tokens, else None.
    """

    prompt: str
    table: pd.DataFrame
    losses: pd.DataFrame
    target: Image.Image
    recipe: Mapping[str, Any]
    padding: str | None

    def __repr__(self) -> str:
        change = self.losses.set_index("weights").loc["learned", "change"]
        return f"WordWeights({self.prompt!r}; held-out loss {change:+.4f})"

    def methods(self, steps: int = 30) -> "list[Method]":
        """Methods that apply these weights, for `regard.steer`.

        Args:
            steps: Denoising steps of the run, over which the parts are spread.

        Returns:
            `scale` with ``renormalise``, once for each part.

        Raises:
            ArgumentError: there are fewer steps than parts.
        """
        from regard.methods import Where, scale  # loads torch

        parts = int(self.table["part"].max()) + 1
        if steps < parts:
            raise ArgumentError(
                f"WordWeights.methods: there are {steps} steps for {parts} parts. Take at least "
                f"{parts} steps."
            )
        ends = [round(part * steps / parts) for part in range(parts + 1)]
        made = []
        for part, rows in self.table.groupby("part"):
            weights = dict(zip(rows["word"], rows["weight"].astype(float), strict=True))
            if END in weights and self.padding is not None:
                weights[self.padding] = weights[END]
            when = None if parts == 1 else [ends[part], ends[part + 1]]
            made.append(scale(weights, renormalise=True, where=Where(steps=when)))
        return made

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        steered: Steered | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write weights.csv, losses.csv, recipe.json and target.png.

        It is written under another name beside ``folder`` and renamed when it is complete.

        Args:
            folder: The folder to make; those above it are made too.
            steered: What `regard.steer` generated with ``methods()``: then before.png, after.png
                and images.png, all three side by side, are written too, and the recipe is one
                that ``regard steer --recipe`` repeats.
            overwrite: Replace what was saved there earlier; a folder that holds anything else is
                never replaced.

        Raises:
            OutputError: something is there already, or writing failed; nothing is lost.
        """

        def fill(fresh: Path) -> None:
            fresh.mkdir()
            self.table.to_csv(fresh / WEIGHTS, index=False, float_format="%.6g")
            self.losses.to_csv(fresh / LOSSES, index=False, float_format="%.6g")
            recipe = {**(steered.recipe if steered else {}), "learned": dict(self.recipe)}
            text = json.dumps(recipe, indent=1, ensure_ascii=False) + "\n"
            (fresh / RECIPE).write_text(text, encoding="utf-8")
            self.target.save(fresh / TARGET)
            if steered is not None:
                _draw(steered, self.target, fresh)

        FOLDER.write(folder, fill, overwrite=overwrite)


def _draw(steered: Steered, target: Image.Image, folder: Path) -> None:
    from regard.views import contact_sheet

    images = {"before": steered.before.image, "after": steered.after.image}
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    shown = {**images, "target": target}
    larger = max(1, math.ceil(192 / target.width))
    contact_sheet(list(shown.values()), list(shown), scale=larger).save(folder / IMAGES)
