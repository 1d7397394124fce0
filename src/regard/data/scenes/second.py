"""Version 2 of the scenes: any size, several drawings, counts, things before things, textures."""

import itertools
from dataclasses import dataclass
from typing import get_args

import numpy as np

from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS, drawn
from regard.data.scenes.grounds import BACKGROUNDS, PLAIN, textured
from regard.data.scenes.held_out import is_held_out
from regard.data.scenes.language import Mention, Relation
from regard.data.scenes.parts import Content, Placed, Scene, Split, box, paste, visible

GRID = 128
"""Scenes are laid out on 128 x 128 units, so that every size shows the same scene."""

LATTICE = 8
"""Corners of drawings lie on every eighth unit: one latent of an autoencoder with f = 8."""

STEP = 4
"""Sizes of drawings differ by four units."""

EXTENTS = {1: (44, 88), 2: (40, 60), 3: (36, 48)}
"""Least and largest longest side of a drawing, in units, by the number of things."""

BEHIND = (52, 72)
"""The same for two things of which one stands in front of the other."""

COVERED = (0.12, 0.45)
"""Least and largest share of a thing that is hidden by what stands in front of it."""

SIZES = (128, 256)

ROOM = 2
"""Units around a thing that stay free of others, unless it is to stand in front of one."""

TRIES = 60


@dataclass(frozen=True)
class _Thing:
    """One drawing, before it has a place."""

    mention: Mention
    which: int
    rgb: np.ndarray | None
    extent: int
    flipped: bool

    def at(self, scale: int) -> np.ndarray:
        """As pixels, uint8 RGBA."""
        how = (self.mention.subject, self.which, self.rgb, self.extent, self.flipped)
        return drawn(*how, scale)


def compose(rng: np.random.Generator, split: Split, count: int | None, size: int) -> Scene:
    """One scene; ``count`` subjects, or 65 % with one."""
    content = _content(rng, split, count)
    things = [each for mention in content.mentions for each in _things(rng, mention, content)]
    places = _places(rng, things, content.relation)
    canvas = textured(rng, content.background, size)
    # What is named first stands in front, so that it is drawn last.
    inks = [
        paste(canvas, thing.at(size // GRID), x * size // GRID, y * size // GRID)
        for thing, (x, y) in reversed(list(zip(things, places, strict=True)))
    ]
    placed = tuple(
        Placed(thing.mention, mask, box(mask))
        for thing, mask in zip(things, reversed(visible(inks)), strict=True)
    )
    image = canvas.round().astype(np.uint8)
    return Scene(
        image, placed, content.background, content.names_background, relation=content.relation
    )


def _content(rng: np.random.Generator, split: Split, count: int | None) -> Content:
    while True:
        number = count or (1 if rng.random() < 0.65 else 2)
        subjects = [SUBJECTS[i] for i in rng.choice(len(SUBJECTS), number, replace=False)]
        relation = _relation(rng) if number == 2 else "and"
        if relation == "and" and subjects[0] in OBJECTS and subjects[-1] in ANIMALS:
            subjects.reverse()  # the benchmark names the animal first
        counts = _counts(rng, number, relation)
        mentions = tuple(
            Mention(subject, _colour(rng, subject), each)
            for subject, each in zip(subjects, counts, strict=True)
        )
        ground = [*BACKGROUNDS, PLAIN][rng.integers(len(BACKGROUNDS) + 1)]
        named = ground != PLAIN and bool(rng.random() < 0.75)
        content = Content(mentions, ground, named, relation)
        if split == "test" or not is_held_out(content):
            return content


def _relation(rng: np.random.Generator) -> Relation:
    relations: tuple[Relation, ...] = get_args(Relation)
    return relations[rng.choice(3, p=(0.6, 0.2, 0.2))]


def _counts(rng: np.random.Generator, number: int, relation: Relation) -> list[int]:
    """How many of each: a quarter of single subjects are two or three, few of pairs are two."""
    drawn, third = rng.random(2)
    if number == 1:
        return [1 if drawn >= 0.25 else 2 + int(third < 0.5)]
    return [2 if relation == "and" and drawn < 0.1 else 1, 1]


def _colour(rng: np.random.Generator, subject: str) -> str | None:
    """Most objects and few animals are painted; the rest keep the colours of their drawings."""
    share, which = rng.random(), rng.integers(len(COLOURS))
    return list(COLOURS)[which] if share < (0.8 if subject in OBJECTS else 0.15) else None


def _things(rng: np.random.Generator, mention: Mention, content: Content) -> list[_Thing]:
    """As many as are mentioned: alike but for where they look."""
    total = sum(each.count for each in content.mentions)
    least, most = BEHIND if content.relation == "in front of" else EXTENTS[total]
    which = int(rng.integers(len((ANIMALS | OBJECTS)[mention.subject])))
    extent = int(rng.integers(least // STEP, most // STEP + 1)) * STEP
    shade, shift = rng.uniform(0.95, 1.1), rng.uniform(-8, 8) + rng.uniform(-5, 5, 3)
    rgb = None if mention.colour is None else np.array(COLOURS[mention.colour]) * shade + shift
    return [
        _Thing(mention, which, rgb, extent, bool(rng.random() < 0.5)) for _ in range(mention.count)
    ]


def _places(
    rng: np.random.Generator, things: list[_Thing], relation: Relation
) -> list[tuple[int, int]]:
    """The upper left corner of each, in units."""
    inks = [thing.at(1)[..., 3] > 128 for thing in things]
    near = [_grown(ink) for ink in inks]
    best: list[tuple[int, int]] = []
    least = np.inf
    for _ in range(TRIES):
        corners = _beside(rng, inks) if relation == "next to" else [_corner(rng, i) for i in inks]
        fault = _fault(inks if relation == "in front of" else near, corners, relation)
        if fault < least:
            best, least = corners, fault
        if fault <= 0:
            break
    return best


def _corner(rng: np.random.Generator, ink: np.ndarray) -> tuple[int, int]:
    x, y = (LATTICE * int(rng.integers((GRID - side) // LATTICE + 1)) for side in ink.shape[::-1])
    return x, y


def _beside(rng: np.random.Generator, inks: list[np.ndarray]) -> list[tuple[int, int]]:
    """Two things side by side, their feet at about one height."""
    turned = bool(rng.random() < 0.5)
    left, right = inks[::-1] if turned else inks
    wide = -(-(left.shape[1] + ROOM) // LATTICE) * LATTICE
    room = max(0, GRID - wide - right.shape[1]) // LATTICE
    x, gap = (LATTICE * int(rng.integers(most + 1)) for most in (room, min(1, room)))
    tall = max(left.shape[0], right.shape[0])
    foot = tall + int(rng.integers(GRID - tall + 1))
    y, other = ((foot - each.shape[0]) // LATTICE * LATTICE for each in (left, right))
    corners = [(x, y), (min(x + wide + gap, GRID - right.shape[1]), other)]
    return corners[::-1] if turned else corners


def _fault(inks: list[np.ndarray], corners: list[tuple[int, int]], relation: Relation) -> float:
    """How far places are from what was asked: 0 where they are right."""
    if relation == "in front of":
        hidden = _shared(inks, corners, 0, 1) / inks[1].sum()
        return float(max(COVERED[0] - hidden, hidden - COVERED[1], 0))
    # Apart, with room between them: things that touch cannot be counted.
    pairs = itertools.combinations(range(len(inks)), 2)
    return float(sum(_shared(inks, corners, i, j) for i, j in pairs))


def _shared(inks: list[np.ndarray], corners: list[tuple[int, int]], i: int, j: int) -> int:
    """How many units two things share."""
    (x, y), (u, v) = corners[i], corners[j]
    left, top = max(x, u), max(y, v)
    one = inks[i][top - y :, left - x :]
    other = inks[j][top - v :, left - u :]
    h, w = (min(a, b) for a, b in zip(one.shape, other.shape, strict=True))
    return int((one[:h, :w] & other[:h, :w]).sum())


def _grown(ink: np.ndarray) -> np.ndarray:
    """A mask and what lies up to `ROOM` units from it, larger by so much on each side."""
    out = np.pad(ink, ROOM)
    for _ in range(ROOM):
        grown = out.copy()
        grown[1:] |= out[:-1]
        grown[:-1] |= out[1:]
        grown[:, 1:] |= out[:, :-1]
        grown[:, :-1] |= out[:, 1:]
        out = grown
    return out
