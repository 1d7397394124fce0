"""Words hidden from a pipeline: inside every text encoder, and from the denoiser."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.errors import ArgumentError
from regard.look.denoiser import preparing
from regard.look.generate import Course, batches_of, generate_to_compare, hiding, part_of
from regard.look.masking import CannotMask, encoders_hide
from regard.look.noise import noise_of
from regard.look.prompt import read
from regard.look.settings import Progress, Settings
from regard.tap import Tap
from regard.trace import Prompt, words_of

MASKED, DELETED = "masked", "deleted"

SHAKE = 0.03
"""How much of an initial noise is new where it is shaken, as a share of its standard deviation.

At 0.03 an image of `openmoji` moved by a perceptual distance of 0.001 to 0.026 in five tries, which
is what hiding an article or 'on' does.
"""


@dataclass(frozen=True)
class Without:
    """Images without some words.

    Attributes:
        images: One for each group of tokens.
        how: ``masked`` in the text encoders and in the denoiser, or ``deleted`` from the prompt.
        why: What cannot be masked, if words were deleted; else empty.
    """

    images: list[Image.Image]
    how: str = MASKED
    why: str = ""

    @property
    def note(self) -> str:
        """What was done to a word, in a sentence."""
        if self.how == MASKED:
            return (
                "A hidden word is masked in every text encoder and in the denoiser, in the "
                "conditional branch."
            )
        because = f", because {self.why}" if self.why else ""
        return f"A hidden word is deleted from the prompt{because}."


def hide_words(
    pipeline: Any,
    settings: Settings,
    groups: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int] | None = None,
    start: Tensor | None = None,
    shaken: Sequence[int | None] | None = None,
    delete: bool = False,
    progress: Progress | None = None,
) -> Without:
    """Generate a prompt once for each group of its tokens, with this group hidden.

    Hidden tokens are masked as keys in all layers of every text encoder that reads the prompt, so
    that no other token, and no pooled vector, can carry what they say; positions stay as they are.
    They are masked as keys in the denoiser too. Both happen in the conditional branch alone. An
    encoder that takes no attention mask, or does not obey it (each is tried first, by exchanging
    the hidden tokens), leaves one way: the words are deleted from the prompt.

    Args:
        pipeline: A diffusers text-to-image pipeline.
        settings: What to generate.
        groups: Indices of tokens, as `regard.look.prompt.read` numbers them; an empty group hides
            nothing. Other encoders hide the words that these tokens spell.
        seeds: Of the initial noise, one for each group; None for that of the settings.
        start: The initial noise itself, [1, channel, y, x]; None to take it from the seeds.
        shaken: For each image the seed of a little noise (`SHAKE`) that is mixed into its initial
            noise, or None; it shows how much an image moves for no reason.
        delete: Delete the words from the prompt at once, without trying to mask them.
        progress: Called after each step with the steps done and the steps there are.

    Returns:
        One image for each group, and how its tokens were hidden. Images are made in batches of up
        to `ROWS`.

    Raises:
        ArgumentError: there is no such token, there are not as many seeds as groups; or as for
            `regard.look.generate.generate`.

    Example:
        >>> from regard.models import load
        >>> done = hide_words(load("openmoji"), Settings("a cat", steps=1), [[], [2]])
        >>> len(done.images), done.how
        (2, 'masked')

    Source:
        Deletion of an input: Petsiuk et al. (2018), arXiv 1806.07421. Masking it inside the text
        encoder, so that positions and the other tokens stay, is ours.
    """
    text = read(pipeline, settings)
    _check(text, groups, seeds, shaken, settings.caller)
    batch = _Batch(pipeline, settings, text, groups, seeds, start, shaken, progress)
    if delete:
        return Without(batch.images(masked=False), DELETED)
    try:
        return Without(batch.images(masked=True))
    except CannotMask as cannot:
        return Without(batch.images(masked=False), DELETED, str(cannot))


@dataclass(frozen=True)
class _Batch:
    """What is generated without some tokens, in batches."""

    pipeline: Any
    settings: Settings
    text: Prompt
    groups: Sequence[Sequence[int]]
    seeds: Sequence[int] | None
    start: Tensor | None
    shaken: Sequence[int | None] | None
    progress: Progress | None

    def images(self, *, masked: bool) -> list[Image.Image]:
        batches = batches_of(range(len(self.groups)), noise_of(self.pipeline, self.settings.steps))
        images: list[Image.Image] = []
        for number, batch in enumerate(batches):
            part = slice(batch[0], batch[-1] + 1)
            progress = part_of(self.progress, number, len(batches))
            images += self._part(part, progress, masked=masked)
        return images

    def _part(self, part: slice, progress: Progress, *, masked: bool) -> list[Image.Image]:
        groups = self.groups[part]
        start = self.start
        if start is not None:
            start = start.expand(len(groups), *start.shape[1:])
        own = None if self.seeds is None else self.seeds[part]
        prompts = None if masked else [_deleted(self.text, group) for group in groups]
        course = Course(seeds=own, start=start, prompts=prompts)
        shaken = [] if self.shaken is None else self.shaken[part]
        with ExitStack() as opened:
            if any(seed is not None for seed in shaken):
                opened.enter_context(preparing(self.pipeline, partial(_shaken, shaken)))
            if masked and any(groups):
                opened.enter_context(encoders_hide(self.pipeline, self.text, groups))
                edits = [hiding(group)(row) for row, group in enumerate(groups) if group]
                opened.enter_context(Tap(self.pipeline, edit=edits))
            made = generate_to_compare(
                self.pipeline, self.settings, rows=len(groups), progress=progress, course=course
            )
        return made.images


def _shaken(seeds: Sequence[int | None], latents: Tensor) -> Tensor:
    """Initial noise of the same size, a little of which is new in the rows that have a seed."""
    rows = []
    for seed, row in zip(seeds, latents, strict=True):
        if seed is not None:
            draw = torch.Generator().manual_seed(seed)
            new = torch.randn(row.shape, generator=draw).to(row) * row.std()
            row = math.sqrt(1 - SHAKE**2) * row + SHAKE * new
        rows.append(row)
    return torch.stack(rows)


def _check(
    text: Prompt,
    groups: Sequence[Sequence[int]],
    seeds: Sequence[int] | None,
    shaken: Sequence[int | None] | None,
    who: str,
) -> None:
    known = {token.index for token in text.tokens}
    strange = sorted({index for group in groups for index in group} - known)
    if strange:
        raise ArgumentError(
            f"{who}: token {strange[0]} is not in the prompt, which has {len(known)} tokens, "
            f"counted from 0."
        )
    for given in (seeds, shaken):
        if given is not None and len(given) != len(groups):
            raise ArgumentError(
                f"{who}: there are {len(given)} seeds for {len(groups)} images. Give one for each."
            )


def _deleted(text: Prompt, group: Sequence[int]) -> str:
    """The prompt without the words that some tokens spell."""
    gone = {token.position for token in text.tokens if token.index in set(group)} - {None}
    kept, last = [], 0
    for place, (_, start, stop) in enumerate(words_of(text.text)):
        if place in gone:
            kept.append(text.text[last:start])
            last = stop
    return " ".join("".join([*kept, text.text[last:]]).split()) if gone else text.text
