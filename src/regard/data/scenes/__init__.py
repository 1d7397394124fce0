"""Scenes: small images of known subjects, with exact masks, boxes, colours and captions.

A scene is decided by its version, seed and index alone, so that a data set is a range of numbers.
What the training split may not show (`HELD_OUT_PAIRS`, `HELD_OUT_SINGLES`, `HELD_OUT_COUNTS`, the
benchmark's prompts) is what the bundled models are judged on.
"""

from typing import Any, Literal, get_args

import numpy as np

from regard.arguments import whole
from regard.data.scenes import first, second
from regard.data.scenes.grounds import BACKGROUNDS
from regard.data.scenes.held_out import HELD_OUT_COUNTS, HELD_OUT_PAIRS, HELD_OUT_SINGLES
from regard.data.scenes.language import (
    Articles,
    Mention,
    Relation,
    caption,
    mentions_in,
    plural,
)
from regard.data.scenes.parts import Placed, Scene, Split
from regard.errors import ArgumentError

__all__ = [
    "BACKGROUNDS",
    "HELD_OUT_COUNTS",
    "HELD_OUT_PAIRS",
    "HELD_OUT_SINGLES",
    "Articles",
    "Mention",
    "Placed",
    "Relation",
    "Scene",
    "Split",
    "Version",
    "caption",
    "mentions_in",
    "plural",
    "scene",
]

Version = Literal[1, 2]
_VERSIONS: dict[int, Any] = {1: first, 2: second}


def scene(
    index: int,
    *,
    seed: int = 0,
    size: int | None = None,
    split: Split = "train",
    count: int | None = None,
    version: Version = 1,
) -> Scene:
    """The scene number ``index`` of the data set ``seed``: always the same one.

    Args:
        index: 0 or more.
        seed: Names the data set.
        size: Pixels a side: 64 or 128 in version 1, 128 or 256 in version 2, each showing the same
            scene; None takes the smaller.
        split: 'train' never shows a pair of `HELD_OUT_PAIRS` and never uses a prompt of the
            benchmark, of `HELD_OUT_SINGLES` or of `HELD_OUT_COUNTS`; 'test' shows everything, in
            other scenes.
        count: 1 or 2 subjects; None mixes them, 65 % with one.
        version: 1 has one drawing of two sizes for each subject, on a flat background. 2 has
            several drawings of many sizes, up to three of a kind, one thing in front of another
            or next to it, and textures behind.

    Returns:
        The image with its masks, boxes, colours and caption.

    Raises:
        ArgumentError: index, seed, size, split, count or version lies outside what is offered.
        MissingDependency: the drawings are not installed.

    Example:
        >>> scene(0).image.shape
        (64, 64, 3)
        >>> scene(7).caption() == scene(7, size=128).caption()
        True
        >>> scene(4, version=2).caption()
        'three white chairs on the snow'
    """
    index, seed = whole(index, "index", "scene"), whole(seed, "seed", "scene")
    if version not in _VERSIONS or isinstance(version, bool):
        raise ArgumentError(f"scene: version is {version!r} and must be 1 or 2.")
    made = _VERSIONS[version]
    size = made.SIZES[0] if size is None else size
    if index < 0 or seed < 0 or size not in made.SIZES or count not in (None, 1, 2):
        raise ArgumentError(
            f"scene: index {index}, seed {seed}, size {size}, count {count}; version {version} "
            f"needs an index and a seed of 0 or more, a size of {made.SIZES[0]} or "
            f"{made.SIZES[1]}, and a count of 1, 2 or None."
        )
    if split not in get_args(Split):
        raise ArgumentError(f"scene: split is '{split}' and must be 'train' or 'test'.")
    # Version 1 has no number of its own in its seed, or it would show other scenes than it did.
    decides = [seed, index, split == "test", *([version] if version > 1 else [])]
    composed: Scene = made.compose(np.random.default_rng(decides), split, count, size)
    return composed
