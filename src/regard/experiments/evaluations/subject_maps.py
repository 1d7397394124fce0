"""The model that is evaluated, and the maps and masks of subjects as cases keep them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from regard.data.scenes import Mention, mentions_in
from regard.experiments.evaluations.word_maps import NamedSubject, read_as, readable
from regard.experiments.store import Done
from regard.models import TextToImage, load
from regard.trace import Prompt


@cache
def model(name: str = "openmoji") -> TextToImage:
    """A bundled model, opened once."""
    return TextToImage.of(load(name))


def subjects_of(prompt: str) -> dict[str, str]:
    """The subjects that a prompt names, in order, by the word that names each.

    Example:
        >>> subjects_of("two cats and a red car")
        {'cats': 'cat', 'car': 'car'}
    """
    return {word_of(mention): mention.subject for mention in mentions_in(prompt)}


def word_of(mention: Mention) -> str:
    """The word of a caption for a subject: 'cat', or 'cats'."""
    return mention.noun.split()[-1]


def arrays_of(
    found: Sequence[tuple[Prompt, str, Any, np.ndarray]], among: Sequence[Sequence[str]] = ()
) -> dict[str, np.ndarray]:
    """The map of each subject in each reading, and its mask."""
    if not found:
        return {}
    words = among or [list(subjects_of(text.text)) for text, *_ in found]
    heats: dict[str, list[np.ndarray]] = {reading: [] for reading in readable(found[0][2])}
    for (text, word, maps, _), subjects in zip(found, words, strict=True):
        for reading, planes in heats.items():
            planes.append(read_as(reading, text, word, maps, subjects).values)
    stacked = {reading: np.stack(planes) for reading, planes in heats.items()}
    return {**stacked, "masks": np.stack([mask for *_, mask in found])}


def subjects_in(done: Done, groups: Sequence[int]) -> list[NamedSubject]:
    """The subjects of a chunk, as its arrays hold them."""
    plane = ("y", "x")
    heats = {name: each for name, each in done.arrays.items() if name != "masks"}
    return [
        NamedSubject(
            group,
            {name: xr.DataArray(each[place], dims=plane) for name, each in heats.items()},
            xr.DataArray(done.arrays["masks"][place], dims=plane),
        )
        for place, group in enumerate(groups)
    ]
