"""Words hidden from a model: masked in every text encoder and in the denoiser, or deleted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.generation.batches import generate_to_compare
from regard.generation.events import Progress
from regard.generation.request import Request
from regard.methods import Changes, Method, Run
from regard.models.masking import CannotMask
from regard.models.text_to_image import TextToImage
from regard.tap import TO_TEXT, AttentionCall
from regard.trace import Prompt, words_of

MASKED, DELETED = "masked", "deleted"

SHAKE = 0.03
"""How much of an initial noise is new where it is shaken, as a share of its standard deviation.

At 0.03 an image of `openmoji` moved by a perceptual distance of 0.001 to 0.026 in five tries, which
is what hiding an article or 'on' does.
"""


@dataclass(frozen=True)
class WithoutWords:
    """Images without some words.

    Attributes:
        images: One for each request.
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
    model: TextToImage,
    request: Request,
    groups: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int] | None = None,
    shaken: Sequence[int | None] | None = None,
    delete: bool = False,
    progress: Progress | None = None,
) -> WithoutWords:
    """Generate a prompt once for each group of its tokens, with this group hidden.

    Hidden tokens are masked as keys in all layers of every text encoder that reads the prompt, so
    that no other token, and no pooled vector, can carry what they say; positions stay as they are.
    They are masked as keys in the denoiser too. Both happen in the conditional branch alone. An
    encoder that takes no attention mask, or does not obey it (each is tried first, by exchanging
    the hidden tokens), leaves one way: the words are deleted from the prompt.

    Args:
        model: The model.
        request: What to generate, without methods.
        groups: Indices of tokens, as `TextToImage.tokenize` numbers them; an empty group hides
            nothing. Other encoders hide the words that these tokens spell.
        seeds: Of the initial noise, one for each group; None for that of the request.
        shaken: For each image the seed of a little noise (`SHAKE`) that is mixed into its initial
            noise, or None; it shows how much an image moves for no reason.
        delete: Delete the words from the prompt at once, without trying to mask them.
        progress: Called after each step with the steps done and the steps there are.

    Returns:
        One image for each group, and how its tokens were hidden.

    Raises:
        ArgumentError: there is no such token, there are not as many seeds as groups; or as for
            `regard.generation.generate`.

    Example:
        >>> model = TextToImage.of("openmoji")
        >>> done = hide_words(model, Request("a cat", num_inference_steps=1), [[], [2]])
        >>> len(done.images), done.how
        (2, 'masked')

    Source:
        Deletion of an input: Petsiuk et al. (2018), arXiv 1806.07421. Masking it inside the text
        encoder, so that positions and the other tokens stay, is ours.
    """
    text = model.tokenize(request.prompt)
    _check(text, groups, seeds, shaken)
    numbers = [request.seed] * len(groups) if seeds is None else seeds
    noises = [None] * len(groups) if shaken is None else shaken
    each = list(zip(groups, numbers, noises, strict=True))
    deleted = [
        replace(request, seed=seed, methods=_shaking(noise)).deleting(without(text, group))
        for group, seed, noise in each
    ]
    if delete:
        return WithoutWords(generate_to_compare(model, deleted, progress=progress), DELETED)
    masked = [
        replace(request, seed=seed, methods=(*_hiding(group), *_shaking(noise)))
        for group, seed, noise in each
    ]
    try:
        return WithoutWords(generate_to_compare(model, masked, progress=progress))
    except CannotMask as cannot:
        images = generate_to_compare(model, deleted, progress=progress)
        return WithoutWords(images, DELETED, str(cannot))


def masking(tokens: Sequence[int]) -> Method:
    """A method that masks tokens of the text as keys in the denoiser alone.

    Args:
        tokens: Indices, as `TextToImage.tokenize` numbers them.

    Example:
        >>> masking([2, 3]).recipe()
        {'method': 'mask-tokens', 'tokens': [2, 3]}
    """
    return Method("mask-tokens", {"tokens": list(tokens)}, lambda run: Changes([_edit(tokens)]))


def without(text: Prompt, group: Sequence[int]) -> str:
    """The prompt without the words that some tokens spell."""
    gone = {token.position for token in text.tokens if token.index in set(group)} - {None}
    kept, last = [], 0
    for place, (_, start, stop) in enumerate(words_of(text.text)):
        if place in gone:
            kept.append(text.text[last:start])
            last = stop
    return " ".join("".join([*kept, text.text[last:]]).split()) if gone else text.text


# Inside


def _hiding(group: Sequence[int]) -> tuple[Method, ...]:
    """Mask tokens in the text encoders and in the denoiser; nothing for no tokens."""
    if not group:
        return ()
    tokens = list(group)

    def plan(run: Run) -> Changes:
        return Changes([_edit(tokens)], hidden=tokens)

    return (Method("hide-tokens", {"tokens": tokens}, plan),)


def _edit(tokens: Sequence[int]) -> tuple[Any, Any]:
    def mask(call: AttentionCall) -> None:
        text = call.known_layout(caller()).keys_of("text")
        call.mask_keys([text.start + token for token in tokens])

    return replace(TO_TEXT, condition="cond"), mask


def _shaking(seed: int | None) -> tuple[Method, ...]:
    """Mix a little new noise into the initial noise; nothing without a seed."""
    if seed is None:
        return ()

    def shake(latents: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        new = torch.randn(latents.shape, generator=generator).to(latents) * latents.std()
        return math.sqrt(1 - SHAKE**2) * latents + SHAKE * new

    return (Method("shake-noise", {"seed": seed}, lambda run: Changes(start=shake)),)


def _check(
    text: Prompt,
    groups: Sequence[Sequence[int]],
    seeds: Sequence[int] | None,
    shaken: Sequence[int | None] | None,
) -> None:
    known = {token.index for token in text.tokens}
    strange = sorted({index for group in groups for index in group} - known)
    if strange:
        raise ArgumentError(
            f"{caller()}: token {strange[0]} is not in the prompt, which has {len(known)} tokens, "
            f"counted from 0."
        )
    for given in (seeds, shaken):
        if given is not None and len(given) != len(groups):
            raise ArgumentError(
                f"{caller()}: there are {len(given)} seeds for {len(groups)} images. Give one for "
                f"each."
            )
