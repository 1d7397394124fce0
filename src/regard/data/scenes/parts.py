"""What a scene is: an image, and the exact mask of each thing in it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from regard.data.scenes.language import Articles, Mention, Relation, caption

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Content:
    """What a scene is to show, and what its caption says of it."""

    mentions: tuple[Mention, ...]
    background: str
    names_background: bool
    relation: Relation = "and"

    def caption(self, articles: Articles = "english") -> str:
        """What is said of it."""
        ground = self.background if self.names_background else None
        return caption(self.mentions, ground, articles, self.relation)


@dataclass(frozen=True)
class Placed:
    """One thing in a scene: the mask of what is visible and the box around it."""

    mention: Mention
    mask: np.ndarray  # bool [h, w]; what something else covers is not in it
    box: tuple[int, int, int, int]  # x, y, width, height in pixels, tight around the mask


@dataclass(frozen=True)
class Scene:
    """One image and all that is known about it."""

    image: np.ndarray  # uint8 [h, w, 3]
    placed: tuple[Placed, ...]  # one for each thing: two cats are two
    background: str
    names_background: bool
    relation: Relation = "and"

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """The subjects in the order of the caption; two cats are one mention."""
        return tuple(dict.fromkeys(each.mention for each in self.placed))

    def mask(self, mention: Mention) -> np.ndarray:
        """Where anything that a mention names is visible, bool [h, w]."""
        named = [placed.mask for placed in self.placed if placed.mention == mention]
        anywhere: np.ndarray = np.any(named, axis=0)
        return anywhere

    def caption(self, articles: Articles = "english") -> str:
        """The benchmark's grammar, such as 'a cat and a blue car on the beach'."""
        said = Content(self.mentions, self.background, self.names_background, self.relation)
        return said.caption(articles)


def paste(canvas: np.ndarray, sprite: np.ndarray, x: int, y: int) -> np.ndarray:
    """Put a drawing on a canvas, in place.

    Args:
        canvas: float32 [h, w, 3].
        sprite: uint8 RGBA, of at most that size.
        x: Its left edge, in pixels.
        y: Its upper edge.

    Returns:
        Where it is more opaque than not, bool [h, w].
    """
    h, w = sprite.shape[:2]
    alpha = sprite[..., 3:].astype(np.float32) / 255
    window = canvas[y : y + h, x : x + w]
    window += alpha * (sprite[..., :3] - window)
    ink = np.zeros(canvas.shape[:2], bool)
    ink[y : y + h, x : x + w] = sprite[..., 3] > 128
    return ink


def visible(inks: list[np.ndarray]) -> list[np.ndarray]:
    """What is left of each mask where those after it lie above."""
    masks, above = [], np.zeros_like(inks[0])
    for ink in reversed(inks):
        masks.append(ink & ~above)
        above = above | ink
    return masks[::-1]


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box around a mask: x, y, width, height in pixels."""
    rows, columns = np.where(mask)
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y
