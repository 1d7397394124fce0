"""Version 1 of the scenes: one or two things of two sizes, flat on a ramp of two colours.

Its random numbers and their order are as they were: figures of that time can be recomputed.
"""

import numpy as np

from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS, sprite
from regard.data.scenes.grounds import BACKGROUNDS, ramp
from regard.data.scenes.held_out import is_held_out
from regard.data.scenes.language import Mention
from regard.data.scenes.parts import Content, Placed, Scene, Split, box, paste, visible

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


def compose(rng: np.random.Generator, split: Split, count: int | None, size: int) -> Scene:
    """One scene; ``count`` subjects, or 65 % with one."""
    return _drawn(rng, _content(rng, split, count), size)


def _content(rng: np.random.Generator, split: Split, count: int | None) -> Content:
    while True:
        # 65 % with one subject: two-subject scenes are a minority, as in data scraped from the web.
        number = count or (1 if rng.random() < 0.65 else 2)
        subjects = [SUBJECTS[i] for i in rng.choice(len(SUBJECTS), number, replace=False)]
        if number == 2 and subjects[0] in OBJECTS and subjects[1] in ANIMALS:
            subjects.reverse()  # the benchmark names the animal first
        mentions = tuple(Mention(s, _colour(rng, s)) for s in subjects)
        ground = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        content = Content(mentions, ground, names_background=bool(rng.random() < 0.7))
        if split == "test" or not is_held_out(content):
            return content


def _colour(rng: np.random.Generator, subject: str) -> str | None:
    drawn, which = rng.random(), rng.integers(len(COLOURS))
    # One object in five keeps the colours it was drawn in, so that 'a car' means something too.
    return list(COLOURS)[which] if subject in OBJECTS and drawn < 0.8 else None


def _drawn(rng: np.random.Generator, content: Content, size: int) -> Scene:
    scale = size // GRID
    canvas = ramp(content.background, size).copy()
    inks: list[np.ndarray] = []
    taken = np.zeros((GRID, GRID), bool)
    for mention in content.mentions:
        extent = int(rng.choice(EXTENTS[len(content.mentions)]))
        flipped = bool(rng.random() < 0.5)
        x, y = _place(rng, sprite(mention.subject, mention.colour, extent, flipped), taken)
        drawn = sprite(mention.subject, mention.colour, extent, flipped, scale)
        inks.append(paste(canvas, drawn, x * scale, y * scale))
    placed = tuple(
        Placed(mention, mask, box(mask))
        for mention, mask in zip(content.mentions, visible(inks), strict=True)
    )
    image = canvas.round().astype(np.uint8)
    return Scene(image, placed, content.background, content.names_background)


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
