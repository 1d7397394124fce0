"""An explanation as a folder: the image, a map for each thing asked about, and its values."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
import xarray as xr
from PIL import Image

from regard.arguments import verb
from regard.axes import SAMPLE, STEP, TOKEN, X, Y
from regard.data.pictures import as_rgb
from regard.errors import ArgumentError, unknown
from regard.explain.named import explanations, word_explanations
from regard.explain.question import logits_of
from regard.generation import Request, Sampling, generate
from regard.look.recipe import recipe_of
from regard.models import fingerprint, name_of, vision_of
from regard.models.text_to_image import TextToImage
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.trace.names import file_names

PICTURE, MAPS, VALUES = "image.png", "maps", "values.csv"
STAMP = "regard-explanation"
FOLDER = SavedFolder("explain", "explanation", partial(unlisted, stamp=STAMP))


@dataclass(frozen=True, eq=False)
class Explained:
    """Maps of one image.

    Attributes:
        image: As the model saw or made it.
        maps: Over y and x, by the name of what was asked about: a class, or a word.
        recipe: What made them; plain JSON values.
    """

    image: Image.Image
    maps: dict[str, xr.DataArray]
    recipe: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the folder, complete or not at all.

        Args:
            folder: Where to.
            overwrite: Whether an explanation that is there may be replaced.

        Returns:
            Where it lies.

        Raises:
            OutputError: something is there already, or writing failed.
        """
        return FOLDER.write(folder, self._fill, overwrite=overwrite)

    def _fill(self, folder: Path) -> None:
        from regard.views import overlay

        (folder / MAPS).mkdir(parents=True)
        self.image.save(folder / PICTURE)
        names = file_names(self.maps)
        shown = np.asarray(self.image.convert("RGB"))
        for name, heat in self.maps.items():
            # Colours begin at 0, so what speaks against is left out; the table has it.
            figure = overlay(shown, heat.clip(min=0.0).assign_attrs(heat.attrs), title=name)
            figure.savefig(folder / MAPS / f"{names[name]}.png", metadata={"Software": None})
        table_of(self.maps).to_csv(folder / VALUES, index=False, float_format="%.6g")
        files = [PICTURE, VALUES, RECIPE, *(f"{MAPS}/{name}.png" for name in names.values())]
        recipe = json.dumps({**self.recipe, "format": STAMP, "files": files}, indent=1)
        (folder / RECIPE).write_text(f"{recipe}\n", encoding="utf-8")


def table_of(maps: dict[str, xr.DataArray]) -> pd.DataFrame:
    """One row a patch: what was asked about, its row and column, and its value.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.5]], dims=["y", "x"])
        >>> table_of({"cat": heat}).values.tolist()
        [['cat', 0, 0, 0.0], ['cat', 0, 1, 0.5]]
    """
    rows = [
        (name, y, x, float(value))
        for name, heat in maps.items()
        for (y, x), value in np.ndenumerate(heat.transpose(Y, X).values)
    ]
    return pd.DataFrame(rows, columns=["of", "y", "x", "value"])


def explain_image(
    model: Any, image: Any, method: str = "relevance", *, target: str | int | None = None
) -> Explained:
    """Which patches of an image decided what a classifier says of it.

    Args:
        model: An image classifier: its name or folder, what `regard.load` gives, or the module.
        image: As `regard.look_at` takes it.
        method: One of `regard.explain.explanations`.
        target: The class asked about, by its label or number; the likeliest if left out.

    Returns:
        The image as the model saw it, and one map.

    Raises:
        UnknownName: there is no such model, explanation or class.
        DataError: the image cannot be read.
        ArgumentError: the model is no classifier of images in patches.

    Example:
        >>> found = explain_image("fashion-vit", np.zeros((28, 28), np.uint8), "rollout")
        >>> len(found.maps)
        1

    Source:
        Each explanation names its own.
    """
    explain = explanations.get(str(method))
    whole = as_rgb(image)
    vision = vision_of(model)
    if not vision.labels:
        raise ArgumentError(
            f"explain: '{vision.name}' names no classes, so there is no answer to explain. Give a "
            f"classifier, such as 'fashion-vit'."
        )
    pixels = vision.pixels([whole])
    number = _class(vision.labels, target)
    if number is None:
        with torch.no_grad():
            number = int(logits_of(vision.model, pixels).argmax(-1))
    heat = explain(vision.model, pixels, torch.tensor([number]))
    label = vision.labels[number]
    recipe = {
        "version": 1,
        "model": name_of(vision),
        "weights_sha256": fingerprint(vision),
        "method": method,
        "of": label,
        "units": str(heat.attrs.get("units", "")),
        "class_agnostic": bool(heat.attrs.get("class_agnostic", False)),
    }
    shown = vision.seen(whole, None).convert("RGB")
    return Explained(shown, {label: heat.isel({SAMPLE: 0}, drop=True)}, recipe)


@verb
def explain_prompt(
    model: Any,
    prompt: str,
    method: str = "word_rollout",
    *,
    words: Sequence[str] | None = None,
    **sampling: Unpack[Sampling],
) -> Explained:
    """Which patches of a generated image come from which word, mean over the denoising steps.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        method: One of `regard.explain.word_explanations`.
        words: Which words; None for all.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        The image, and a map for each word: the sum over its tokens.

    Raises:
        UnknownName: there is no such model, method or word.
        RegardError: as the explanation itself.

    Example:
        >>> found = explain_prompt("openmoji", "a cat", words=["cat"], num_inference_steps=1)
        >>> list(found.maps)
        ['cat']

    Source:
        Each explanation names its own.
    """
    explain = word_explanations.get(str(method))
    model = TextToImage.of(model)
    request = model.decide(Request.of(prompt, sampling))
    maps = explain(model, prompt, words=words, **sampling)
    by_word = _by_word(maps)
    (made,) = generate(model, [request])
    recipe = {
        **recipe_of(model, request),
        "version": 2,
        "method": method,
        "of": list(by_word),
        "units": str(maps.attrs.get("units", "")),
    }
    return Explained(made.image, by_word, recipe)


def _by_word(maps: xr.DataArray) -> dict[str, xr.DataArray]:
    """The map of each word: the mean over steps, and the sum over its tokens."""
    whole = maps.mean(STEP) if STEP in maps.dims else maps
    over = TOKEN if TOKEN in maps.dims else "word"
    names = dict.fromkeys(str(name) for name in maps["word"].values)
    return {
        name: whole.isel({over: maps["word"].values == name}).sum(over).assign_attrs(maps.attrs)
        for name in names
        if not name.startswith("[")  # a start, an end, a pad
    }


def _class(labels: Sequence[str], target: Any) -> int | None:
    """The number of a class that is named by its label or number."""
    if target is None:
        return None
    by_label = {label.casefold(): number for number, label in enumerate(labels)}
    asked = str(target).strip().casefold()
    if asked in by_label:
        return by_label[asked]
    number = int(asked) if asked.isascii() and asked.isdigit() else -1
    if not 0 <= number < len(labels):
        raise unknown("class", str(target), labels, advice=f"Or a number, 0..{len(labels) - 1}.")
    return number
