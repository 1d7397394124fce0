"""Tokens masked inside the text encoders of a pipeline, or said to be such as cannot be masked."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regard.models.spelling import quiet
from regard.trace import Prompt, Token, tokens_from_offsets


class CannotMask(Exception):
    """Says which text encoder cannot hide tokens, and why."""


@contextmanager
def encoders_mask(
    pipeline: Any, denoiser: nn.Module, text: Prompt, groups: Sequence[Sequence[int]]
) -> Iterator[None]:
    """Mask a group of tokens from each row of a batch, in every text encoder of a pipeline.

    Raises:
        CannotMask: an encoder cannot; said when it is called, or before the denoiser runs.
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

        hook = denoiser.register_forward_pre_hook(all_hidden)
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
            raise CannotMask(f"the {self.name} is not given the numbers of tokens")
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
            raise CannotMask(
                f"the {self.name} read the prompt {self.done} times for {len(self.groups)} images"
            )

    def _arguments(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a call by their names."""
        forward = getattr(module, "_orig_mod", module).forward
        parameters = inspect.signature(forward).parameters
        if "attention_mask" not in parameters:
            raise CannotMask(f"the {self.name} ({type(module).__name__}) takes no attention mask")
        return dict(zip(parameters, args, strict=False)) | dict(kwargs)

    def _mask(self, given: Mapping[str, Any], ids: Tensor) -> Tensor:
        mask = given.get("attention_mask")
        if mask is None:
            return torch.ones_like(ids)
        if mask.shape != ids.shape:
            raise CannotMask(f"the {self.name} has an attention mask of shape {[*mask.shape]}")
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
            raise CannotMask(f"the tokenizer of the {self.name} cannot say where tokens lie")
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
            CannotMask: something changes.
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
                raise CannotMask(f"the {self.name} ({type(module).__name__}) reads masked tokens")

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
