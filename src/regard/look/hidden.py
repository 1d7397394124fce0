"""Words hidden from a pipeline: inside every text encoder, and from the denoiser."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from regard.errors import ArgumentError
from regard.look.denoiser import preparing
from regard.look.generate import ROWS, Course, check_seeded, generate, hiding, network_of
from regard.look.noise import noise_of
from regard.look.outcome import refuse_void
from regard.look.prompt import quiet, read
from regard.look.settings import Progress, Settings
from regard.tap import Tap
from regard.trace import Prompt, Token, tokens_from_offsets, words_of

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
        >>> from regard.zoo import load
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
    except _CannotMask as cannot:
        return Without(batch.images(masked=False), DELETED, str(cannot))


class _CannotMask(Exception):
    """Says which text encoder cannot hide tokens, and why."""


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
        images: list[Image.Image] = []
        for first in range(0, len(self.groups), self.most):
            images += self._part(slice(first, first + self.most), masked=masked)
        return images

    @property
    def most(self) -> int:
        """Images in a batch: one where the scheduler draws noise for a whole batch at once."""
        return ROWS if noise_of(self.pipeline, self.settings.steps).apart else 1

    def _part(self, part: slice, *, masked: bool) -> list[Image.Image]:
        groups = self.groups[part]
        most = self.most
        batches = -(-len(self.groups) // most)

        def advance(done: int, steps: int) -> None:
            if self.progress is not None:
                self.progress(part.start // most * steps + done, batches * steps)

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
                opened.enter_context(_encoders_hide(self.pipeline, self.text, groups))
                edits = [hiding(group)(row) for row, group in enumerate(groups) if group]
                opened.enter_context(Tap(self.pipeline, edit=edits))
            made = generate(
                self.pipeline, self.settings, rows=len(groups), progress=advance, course=course
            )
        check_seeded(made, self.pipeline, self.settings.caller)
        refuse_void(made.void, self.settings.caller, even=False)
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


@contextmanager
def _encoders_hide(pipeline: Any, text: Prompt, groups: Sequence[Sequence[int]]) -> Iterator[None]:
    """Hide a group of tokens from each row of a batch, in every text encoder of a pipeline.

    Raises:
        _CannotMask: an encoder cannot; said when it is called, or before the denoiser runs.
    """
    maskers = [
        _Masker(name, encoder, tokenizer, text, groups)
        for name, encoder, tokenizer in _encoders(pipeline)
    ]
    with ExitStack() as opened:
        for masker in maskers:
            hook = masker.encoder.register_forward_pre_hook(masker.before, with_kwargs=True)
            opened.callback(hook.remove)

        def all_hidden(*_: Any) -> None:
            for masker in maskers:
                masker.check_done()

        hook = network_of(pipeline).register_forward_pre_hook(all_hidden)
        opened.callback(hook.remove)
        yield


def _encoders(pipeline: Any) -> list[tuple[str, nn.Module, Any]]:
    """The name, the text encoder and its tokenizer, of each that a pipeline has."""
    names = ["text_encoder", *(f"text_encoder_{number}" for number in range(2, 10))]
    found = [(name, getattr(pipeline, name, None)) for name in names]
    return [
        (name, encoder, getattr(pipeline, name.replace("text_encoder", "tokenizer"), None))
        for name, encoder in found
        if encoder is not None
    ]


@dataclass
class _Masker:
    """Masks tokens in one text encoder, in the rows that read the prompt, and only there.

    A pipeline encodes the prompt before the negative prompt, so the first rows that read as the
    prompt does are those of the images in order, even where both prompts are the same.
    """

    name: str
    encoder: nn.Module
    tokenizer: Any
    text: Prompt
    groups: Sequence[Sequence[int]]
    done: int = 0
    trying: bool = False
    lengths: dict[int, tuple[list[int], list[list[int]]]] = field(default_factory=dict)

    def before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Give a call of the encoder the mask that hides tokens; a hook."""
        if self.trying or self.done == len(self.groups):
            return None
        given = self._arguments(module, args, kwargs)
        ids = given.get("input_ids")
        if not isinstance(ids, Tensor) or ids.ndim != 2:
            raise _CannotMask(f"the {self.name} is not given the numbers of tokens")
        spelled, hidden = self._at(ids.shape[1])
        mask, masked = None, []
        for row, own in enumerate(ids.tolist()):
            if own[: len(spelled)] != spelled or self.done == len(self.groups):
                continue
            tokens, self.done = hidden[self.done], self.done + 1
            if tokens:
                mask = self._mask(given, ids) if mask is None else mask
                mask[row, tokens] = 0
                masked.append((row, tokens))
        if mask is None:
            return None
        given["attention_mask"] = mask
        self._check_obeyed(module, given, masked[0])
        return (), given

    def check_done(self) -> None:
        """Refuse a run whose images this encoder was not seen to read a prompt for."""
        if self.done < len(self.groups):
            raise _CannotMask(
                f"the {self.name} read the prompt {self.done} times for {len(self.groups)} images"
            )

    def _arguments(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a call by their names."""
        forward = getattr(module, "_orig_mod", module).forward
        parameters = inspect.signature(forward).parameters
        if "attention_mask" not in parameters:
            raise _CannotMask(f"the {self.name} ({type(module).__name__}) takes no attention mask")
        return dict(zip(parameters, args, strict=False)) | dict(kwargs)

    def _mask(self, given: Mapping[str, Any], ids: Tensor) -> Tensor:
        mask = given.get("attention_mask")
        if mask is None:
            return torch.ones_like(ids)
        if mask.shape != ids.shape:
            raise _CannotMask(f"the {self.name} has an attention mask of shape {[*mask.shape]}")
        copied: Tensor = mask.clone()
        return copied

    def _at(self, length: int) -> tuple[list[int], list[list[int]]]:
        """What the prompt's rows begin with, and what each image hides, at a length of input."""
        if length not in self.lengths:
            ids, tokens = self._tokens(length)
            own = [self._own(tokens, group) for group in self.groups]
            self.lengths[length] = ids, [[at for at in each if at < length] for each in own]
        return self.lengths[length]

    def _tokens(self, length: int) -> tuple[list[int], tuple[Token, ...]]:
        if not getattr(self.tokenizer, "is_fast", False):
            raise _CannotMask(f"the tokenizer of the {self.name} cannot say where tokens lie")
        options = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        with quiet("transformers"):
            read = self.tokenizer(self.text.text, truncation=True, max_length=length, **options)
        special = [bool(mark) for mark in read["special_tokens_mask"]]
        texts = self.tokenizer.convert_ids_to_tokens(read["input_ids"])
        offsets = [(int(start), int(stop)) for start, stop in read["offset_mapping"]]
        tokens = tokens_from_offsets(self.text.text, texts, offsets, special, end=None)
        return list(read["input_ids"]), tokens

    def _own(self, tokens: Sequence[Token], group: Sequence[int]) -> list[int]:
        """The tokens of this encoder that stand for some tokens of the prompt as it was read."""
        asked = [token for token in self.text.tokens if token.index in set(group)]
        found: set[int] = set()
        for part in dict.fromkeys(token.encoder for token in self.text.tokens):
            whole = [token for token in self.text.tokens if token.encoder == part]
            mine = [token.index - whole[0].index for token in asked if token.encoder == part]
            if _spelled(whole) == _spelled(tokens):
                return sorted(mine)
            names = {token.word for token in asked if token.encoder == part} - {None}
            found |= {token.index for token in tokens if token.word in names}
        return sorted(found)

    @torch.no_grad()
    def _check_obeyed(
        self, module: nn.Module, given: Mapping[str, Any], masked: tuple[int, list[int]]
    ) -> None:
        """Exchange hidden tokens, which must change nothing at the others.

        Raises:
            _CannotMask: something changes.
        """
        row, hidden = masked
        ids, mask = given["input_ids"][row : row + 1], given["attention_mask"][row : row + 1]
        other = ids.clone()
        other[0, hidden] = self._another(ids[0, hidden].tolist())
        own = dict(given) | {"input_ids": torch.cat([ids, other])}
        own |= {"attention_mask": torch.cat([mask, mask])}
        self.trying = True
        try:
            read = list(_tensors(module(**own)))
        finally:
            self.trying = False
        kept = [place for place in range(ids.shape[1]) if place not in hidden]
        for states in read:
            if states.shape[0] != 2 or not states.is_floating_point():
                continue
            seen = states[:, kept] if states.ndim == 3 else states
            scale = float(seen.abs().max()) if seen.numel() else 0.0
            slack = 32 * torch.finfo(states.dtype).eps * scale
            if seen.numel() and float((seen[0] - seen[1]).abs().max()) > slack:
                raise _CannotMask(f"the {self.name} ({type(module).__name__}) reads masked tokens")

    def _another(self, ids: Sequence[int]) -> int:
        """A token that is none of these, and nothing special."""
        taken = {*ids, *self.tokenizer.all_special_ids}
        return next(number for number in range(len(self.tokenizer)) if number not in taken)


def _spelled(tokens: Sequence[Token]) -> list[tuple[int, str, str]]:
    """Where each token of a word stands among the others, its text and its word."""
    first = tokens[0].index if tokens else 0
    return [(t.index - first, t.text, t.word) for t in tokens if t.word is not None]


def _tensors(output: Any) -> Iterator[Tensor]:
    """All tensors in what an encoder returns."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for each in output.values():
            yield from _tensors(each)
    elif isinstance(output, tuple | list):
        for each in output:
            yield from _tensors(each)
