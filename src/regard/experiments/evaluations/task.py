"""What an evaluation is made of: chunks of images that are measured one after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.data.scenes import Scene, scene
from regard.experiments.store import Done
from regard.stats.means import bootstrap
from regard.zoo import Recipe
from regard.zoo.pixels import kind_of_scenes

RESAMPLES = 300
"""Bootstrap samples of scenes for the interval of a figure."""

SEED = 77
"""Names the data set of test scenes; no recipe trains on it."""


@dataclass(frozen=True)
class Chunk:
    """Some images, measured together and kept by themselves.

    Attributes:
        what: What they are, such as ``scenes``.
        first: Number of the first.
        last: Number of the one after the last.
    """

    what: str
    first: int
    last: int

    @property
    def name(self) -> tuple[str, int, int]:
        """What identifies it among the chunks."""
        return self.what, self.first, self.last

    def __len__(self) -> int:
        return self.last - self.first

    def of(self, several: Any) -> Any:
        """Its part of a sequence.

        Example:
            >>> Chunk("letters", 1, 3).of("abcd")
            'bc'
        """
        return several[self.first : self.last]


Measured = Mapping[Chunk, Done]
"""What each chunk gave."""


@dataclass(frozen=True)
class CardTask:
    """How the figures on the card of one model are measured.

    Attributes:
        doing: What is done with images, such as ``segmenting``.
        chunks: The images, in full or in a quick subset.
        measure: What some images give.
        figures: What all of them come to.
    """

    doing: str
    chunks: Callable[[bool], list[Chunk]]
    measure: Callable[[Chunk], Done]
    figures: Callable[[Measured], dict[str, float]]


def chunks(what: str, total: int, size: int) -> list[Chunk]:
    """Images in chunks of a size; the last may be smaller.

    Example:
        >>> [each.name for each in chunks("scenes", 5, 3)]
        [('scenes', 0, 3), ('scenes', 3, 5)]
    """
    return [Chunk(what, first, min(first + size, total)) for first in range(0, total, size)]


def share_of(key: str, hits: Any, clusters: Any) -> dict[str, float]:
    """A share with the ends of its 95 % interval over clusters, such as prompts; NaN of nothing.

    Fewer than five clusters have no ends.

    Example:
        >>> share_of("right", [True, False], ["a cat", "a dog"])["right"]
        0.5
    """
    if not len(hits):
        return {key: np.nan}
    found = bootstrap(np.asarray(hits, float), clusters=list(clusters), bounds=(0.0, 1.0))
    if not np.isfinite(found.low):
        return {key: found.mean}
    return {key: found.mean, f"{key}_low": found.low, f"{key}_high": found.high}


def with_ends(figures: Callable[[Any], dict[str, float]], rows: Any) -> dict[str, float]:
    """Figures of some scenes, with the ends of their 95 % intervals over scenes.

    Args:
        figures: From scenes to figures that are no plain means, such as an F1.
        rows: What was found in each scene.

    Source:
        Efron and Tibshirani (1993), "An Introduction to the Bootstrap", section 13.3 (percentiles).
    """
    found, rng = figures(rows), np.random.default_rng(0)
    again: dict[str, list[float]] = {key: [] for key in found}
    for _ in range(RESAMPLES):
        for key, value in figures([rows[i] for i in rng.integers(0, len(rows), len(rows))]).items():
            again[key].append(value)
    for key, values in again.items():
        found[f"{key}_low"], found[f"{key}_high"] = np.nanpercentile(values, [2.5, 97.5])
    return found


def unseen_scenes(chunk: Chunk, plan: Recipe, **options: Any) -> list[Scene]:
    """Scenes that no training has seen, of the kind that a recipe is for."""
    how = {**kind_of_scenes(plan.train), "seed": SEED, "split": "test", **options}
    return [scene(i, **how) for i in range(chunk.first, chunk.last)]


def images(found: Measured) -> float:
    """How many images were measured."""
    return float(sum(len(chunk) for chunk in found))
