"""Scenes: small images of known subjects, with exact masks, boxes, colours and captions.

A scene is decided by its seed and index alone, so that a data set is a range of numbers. What the
training split may not show (`HELD_OUT_PAIRS`, `HELD_OUT_SINGLES`, the benchmark's prompts) is what
the bundled models are judged on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from regard.arguments import whole
from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS, sprite
from regard.data.prompts import WORN, prompts
from regard.errors import ArgumentError

BACKGROUNDS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "grass": ((165, 215, 130), (100, 170, 75)),
    "beach": ((165, 210, 235), (235, 210, 150)),
    "snow": ((200, 215, 235), (235, 242, 250)),
    "night sky": ((35, 40, 95), (70, 75, 140)),
    "lake": ((150, 210, 240), (60, 130, 190)),
    "road": ((150, 145, 140), (95, 92, 92)),
}
"""What a scene may lie on: its colour at the top and at the bottom."""

GRID = 64
"""Scenes are laid out on 64 x 64 units, so that every size shows the same scene."""

LATTICE = 4
"""Corners of drawings lie on every fourth unit: one latent of an autoencoder with f = 4.

Placed anywhere, each drawing would be sixteen different latent patterns, and a denoiser trained on
two cores would see each too rarely to learn its outline.
"""

EXTENTS = {1: (32, 40), 2: (28, 32)}
"""Longest sides of a drawing, in units, by the number of subjects: two fit beside each other."""

SIZES = (64, 128)
Split = Literal["train", "test"]
Articles = Literal["english", "literal"]


@dataclass(frozen=True)
class Mention:
    """A subject as a caption names it, with its colour if the caption names one."""

    subject: str
    colour: str | None = None

    @property
    def noun(self) -> str:
        """What stands behind the article, such as 'blue car'."""
        return f"{self.colour} {self.subject}" if self.colour else self.subject


@dataclass(frozen=True)
class Placed:
    """A subject in a scene: the mask of what is visible and the box around it."""

    mention: Mention
    mask: np.ndarray  # bool [h, w]; what another subject covers is not in it
    box: tuple[int, int, int, int]  # x, y, width, height in pixels, tight around the mask


@dataclass(frozen=True)
class Scene:
    """One image and all that is known about it."""

    image: np.ndarray  # uint8 [h, w, 3]
    placed: tuple[Placed, ...]
    background: str
    names_background: bool

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """The subjects in the order of the caption."""
        return tuple(each.mention for each in self.placed)

    def caption(self, articles: Articles = "english") -> str:
        """The benchmark's grammar, such as 'a cat and a blue car on the beach'."""
        return caption(self.mentions, self.background if self.names_background else None, articles)


def caption(
    mentions: Iterable[Mention], background: str | None = None, articles: Articles = "english"
) -> str:
    """A caption in the grammar of the benchmark.

    Args:
        mentions: One or two subjects.
        background: What they are on; None leaves it unsaid.
        articles: 'english' writes 'an' before a vowel; 'literal' writes it only before 'elephant',
            as the benchmark does ('a orange backpack').

    Returns:
        A lower-case sentence without a full stop.

    Example:
        >>> caption([Mention("elephant"), Mention("bow")])
        'an elephant with a bow'
        >>> caption([Mention("car", "orange")], "beach", articles="literal")
        'a orange car on the beach'
    """
    mentions = list(mentions)
    vowels = "aeiou" if articles == "english" else ()
    phrases = [
        f"{'an' if m.noun.startswith(tuple(vowels)) or m.noun == 'elephant' else 'a'} {m.noun}"
        for m in mentions
    ]
    worn = len(mentions) == 2 and mentions[0].subject in ANIMALS and mentions[1].subject in WORN
    words = " with ".join(phrases) if worn and not mentions[1].colour else " and ".join(phrases)
    return f"{words} on the {background}" if background else words


def mentions_in(prompt: str) -> tuple[Mention, ...]:
    """The subjects that a prompt names, in order, each with the colour in front of it.

    Example:
        >>> mentions_in("a cat and a blue car on the beach")
        (Mention(subject='cat', colour=None), Mention(subject='car', colour='blue'))
    """
    words = prompt.lower().replace(",", " ").replace(".", " ").split()
    before = [None, *words]
    return tuple(
        Mention(word, previous if previous in COLOURS else None)
        for previous, word in zip(before, words, strict=False)
        if word in SUBJECTS
    )


def _pairs() -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(SUBJECTS) for b in SUBJECTS[i + 1 :]]


HELD_OUT_PAIRS = frozenset(frozenset(pair) for pair in _pairs()[5::10])
"""28 of the 276 pairs of subjects: no training scene shows both."""


def _single_prompts() -> dict[str, tuple[str, str]]:
    colours, grounds = list(COLOURS), list(BACKGROUNDS)
    plain: dict[str, tuple[str, str]] = {}
    for i, subject in enumerate(SUBJECTS):
        first, second = None, None
        if subject in OBJECTS:
            first, second = colours[i % 11], colours[(i + 4) % 11]
        ground = grounds[i % len(grounds)]
        plain[subject] = (
            caption([Mention(subject, first)]),
            caption([Mention(subject, second)], ground),
        )
    return plain


HELD_OUT_SINGLES = _single_prompts()
"""For each subject two prompts that no training caption uses, the second with a background."""

_FORBIDDEN = frozenset(prompts()) | {p for pair in HELD_OUT_SINGLES.values() for p in pair}


def scene(
    index: int, *, seed: int = 0, size: int = 64, split: Split = "train", count: int | None = None
) -> Scene:
    """The scene number ``index`` of the data set ``seed``: always the same one.

    Args:
        index: 0 or more.
        seed: Names the data set.
        size: 64 or 128 pixels a side; both show the same scene.
        split: 'train' never shows a pair of `HELD_OUT_PAIRS` and never uses a prompt of the
            benchmark or of `HELD_OUT_SINGLES`; 'test' shows everything, in other scenes.
        count: 1 or 2 subjects; None mixes them, 65 % with one.

    Returns:
        The image with its masks, boxes, colours and caption.

    Raises:
        ArgumentError: index, seed, size, split or count lies outside what is offered.
        MissingDependency: the drawings are not installed.

    Example:
        >>> scene(0).image.shape
        (64, 64, 3)
        >>> scene(7).caption() == scene(7, size=128).caption()
        True
    """
    index, seed = whole(index, "index", "scene"), whole(seed, "seed", "scene")
    if index < 0 or seed < 0 or size not in SIZES or count not in (None, 1, 2):
        raise ArgumentError(
            f"scene: index {index}, seed {seed}, size {size}, count {count}; it needs an index and "
            f"a seed of 0 or more, a size of 64 or 128, and a count of 1, 2 or None."
        )
    if split not in get_args(Split):
        raise ArgumentError(f"scene: split is '{split}' and must be 'train' or 'test'.")
    rng = np.random.default_rng([seed, index, split == "test"])
    mentions, ground, named = _content(rng, split, count)
    return _drawn(rng, mentions, ground, named, size)


def _content(
    rng: np.random.Generator, split: Split, count: int | None
) -> tuple[list[Mention], str, bool]:
    while True:
        # 65 % with one subject: two-subject scenes are a minority, as in data scraped from the web.
        number = count or (1 if rng.random() < 0.65 else 2)
        subjects = [SUBJECTS[i] for i in rng.choice(len(SUBJECTS), number, replace=False)]
        if number == 2 and subjects[0] in OBJECTS and subjects[1] in ANIMALS:
            subjects.reverse()  # the benchmark names the animal first
        mentions = [Mention(s, _colour(rng, s)) for s in subjects]
        ground = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        named = bool(rng.random() < 0.7)
        if split == "test" or not _is_held_out(mentions, ground if named else None):
            return mentions, ground, named


def _colour(rng: np.random.Generator, subject: str) -> str | None:
    drawn, which = rng.random(), rng.integers(len(COLOURS))
    # One object in five keeps the colours it was drawn in, so that 'a car' means something too.
    return list(COLOURS)[which] if subject in OBJECTS and drawn < 0.8 else None


def _is_held_out(mentions: list[Mention], ground: str | None) -> bool:
    if frozenset(m.subject for m in mentions) in HELD_OUT_PAIRS:
        return True
    styles: tuple[Articles, Articles] = ("english", "literal")
    orders = (mentions, mentions[::-1])
    return any(caption(order, ground, style) in _FORBIDDEN for order in orders for style in styles)


def _drawn(
    rng: np.random.Generator, mentions: list[Mention], ground: str, named: bool, size: int
) -> Scene:
    scale = size // GRID
    canvas = _background(ground, size).copy()
    alphas: list[np.ndarray] = []
    taken = np.zeros((GRID, GRID), bool)
    for mention in mentions:
        extent = int(rng.choice(EXTENTS[len(mentions)]))
        flipped = bool(rng.random() < 0.5)
        x, y = _place(rng, sprite(mention.subject, mention.colour, extent, flipped), taken)
        drawn = sprite(mention.subject, mention.colour, extent, flipped, scale)
        alphas.append(_paste(canvas, drawn, x * scale, y * scale))
    masks = _visible(alphas)
    placed = tuple(Placed(m, k, _box(k)) for m, k in zip(mentions, masks, strict=True))
    return Scene(canvas.round().astype(np.uint8), placed, ground, named)


@lru_cache(maxsize=32)
def _background(name: str, size: int) -> np.ndarray:
    top, bottom = (np.array(colour, np.float32) for colour in BACKGROUNDS[name])
    # A smooth step: the upper third stays near the first colour, the lower third near the second.
    t = np.clip((np.linspace(0, 1, size) - 0.2) / 0.6, 0, 1)
    t = (t * t * (3 - 2 * t))[:, None, None]
    return np.broadcast_to(top * (1 - t) + bottom * t, (size, size, 3)).astype(np.float32)


def _place(rng: np.random.Generator, drawn: np.ndarray, taken: np.ndarray) -> tuple[int, int]:
    """Where the subject covers at most a twentieth of its ink of what is there already."""
    ink = drawn[..., 3] > 128
    h, w = ink.shape
    best, least = (0, 0), np.inf
    for _ in range(30):
        x, y = (LATTICE * int(rng.integers((GRID - side) // LATTICE + 1)) for side in (w, h))
        covered = int((taken[y : y + h, x : x + w] & ink).sum())
        if covered < least:
            best, least = (x, y), covered
        if covered <= 0.05 * ink.sum():
            break
    x, y = best
    taken[y : y + h, x : x + w] |= ink
    return best


def _paste(canvas: np.ndarray, drawn: np.ndarray, x: int, y: int) -> np.ndarray:
    h, w = drawn.shape[:2]
    alpha = drawn[..., 3:].astype(np.float32) / 255
    window = canvas[y : y + h, x : x + w]
    window += alpha * (drawn[..., :3] - window)
    whole = np.zeros(canvas.shape[:2], bool)
    whole[y : y + h, x : x + w] = drawn[..., 3] > 128
    return whole


def _visible(alphas: list[np.ndarray]) -> list[np.ndarray]:
    masks, above = [], np.zeros_like(alphas[0])
    for alpha in reversed(alphas):
        masks.append(alpha & ~above)
        above = above | alpha
    return masks[::-1]


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.where(mask)
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y
