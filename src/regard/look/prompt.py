"""A prompt as the text encoders take it: its tokens, and what did not fit."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from regard.errors import ArgumentError, PromptError
from regard.look.settings import Settings
from regard.trace import Prompt, Token, tokens_from_offsets


def check_words(words: Sequence[str] | None, caller: str) -> None:
    """Refuse what is no list of words, before any model is opened.

    Args:
        words: Words of a prompt; None for all.
        caller: Who asks, for messages.

    Raises:
        ArgumentError: it is a text, or empty.
    """
    if isinstance(words, str):
        raise ArgumentError(f"{caller}: words is the text {words!r}. Give a list, such as ['cat'].")
    if words is not None and not words:
        raise ArgumentError(
            f"{caller}: words is empty. Name at least one, or leave it out for all."
        )


@dataclass(frozen=True)
class Part:
    """What one tokenizer makes of a prompt, in the text that an image attends to.

    Attributes:
        encoder: The text encoder that reads it; empty where there is only one.
        tokenizer: None where the pipeline was given no such encoder: it then has as many tokens
            that say nothing.
        length: Number of tokens.
    """

    encoder: str
    tokenizer: Any
    length: int


Read = tuple[Part, tuple[Token, ...], str | None]
"""A part, its tokens, and what it cuts off."""


def read(pipeline: Any, settings: Settings) -> Prompt:
    """Tokenize a prompt as the pipeline does, and notice what does not fit.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.

    Returns:
        Its tokens, of all encoders whose tokens are attended to, and what is cut off.

    Raises:
        PromptError: a tokenizer makes no token of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    return _joined(settings.prompt, _parts_read(pipeline, settings))


def read_whole(pipeline: Any, settings: Settings) -> Prompt:
    """As `read`, for who has to answer for every word.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.

    Returns:
        Its tokens; nothing is cut off.

    Raises:
        PromptError: the prompt is longer than a text encoder takes, or no token is made of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    parts = _parts_read(pipeline, settings)
    for part, _, cut in parts:
        if cut:
            encoder = f"text encoder {part.encoder}".rstrip()
            raise PromptError(
                f"{settings.caller}: the prompt is longer than the {part.length} tokens that "
                f"the {encoder} takes, which would cut this off: '{cut}'. Shorten it."
            )
    return _joined(settings.prompt, parts)


def parts_of(pipeline: Any, who: str) -> list[Part]:
    """The parts that the text consists of, in the order of the keys.

    Args:
        pipeline: A diffusers pipeline.
        who: Who asks, for messages.

    Raises:
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    names = {kind.__name__ for kind in type(getattr(pipeline, "transformer", None)).__mro__}
    if "SD3Transformer2DModel" in names:
        clip = _tokenizer(pipeline, "tokenizer", who)
        third = getattr(pipeline, "text_encoder_3", None) is not None
        t5 = _tokenizer(pipeline, "tokenizer_3", who) if third else None
        return [Part("clip", clip, clip.model_max_length), Part("t5", t5, _longest(pipeline))]
    if "FluxTransformer2DModel" in names:
        return [Part("", _tokenizer(pipeline, "tokenizer_2", who), _longest(pipeline))]
    second = getattr(pipeline, "tokenizer", None) is None and hasattr(pipeline, "tokenizer_2")
    tokenizer = _tokenizer(pipeline, "tokenizer_2" if second else "tokenizer", who)
    return [Part("", tokenizer, tokenizer.model_max_length)]


def _longest(pipeline: Any) -> int:
    """As many tokens as the pipeline takes of T5, which has no limit of its own."""
    given = inspect.signature(type(pipeline).__call__).parameters
    return int(given["max_sequence_length"].default)


def _parts_read(pipeline: Any, settings: Settings) -> list[Read]:
    return [
        (part, *_read(part, settings.prompt, settings.caller))
        for part in parts_of(pipeline, settings.caller)
    ]


def _joined(text: str, parts: Sequence[Read]) -> Prompt:
    """The tokens of all parts, numbered through, as the model has one part behind the other."""
    tokens: list[Token] = []
    for part, own, _ in parts:
        first = len(tokens)
        tokens += [replace(t, index=first + t.index, encoder=part.encoder) for t in own]
    cuts = sorted((cut for _, _, cut in parts if cut is not None), key=len)
    return Prompt(text, tuple(tokens), cuts[0], cuts[-1])


def _read(part: Part, text: str, who: str) -> tuple[tuple[Token, ...], str | None]:
    """The tokens of one part, and what it cuts off; None where nothing reads it."""
    tokenizer = part.tokenizer
    if tokenizer is None:
        return tuple(Token(index, "", None, "pad", None) for index in range(part.length)), None
    options = {"padding": "max_length", "truncation": True, "max_length": part.length}
    fitted = _encoded(tokenizer, text, **options)
    special = [bool(mark) for mark in fitted["special_tokens_mask"]]
    words = [index for index, mark in enumerate(special) if not mark]
    if not words:
        raise PromptError(
            f"{who}: the tokenizer makes no token of the prompt {text!r}. Use words it can read."
        )
    after = range(words[-1] + 1, len(special))
    tokens = tokens_from_offsets(
        text,
        tokenizer.convert_ids_to_tokens(fitted["input_ids"]),
        [tuple(span) for span in fitted["offset_mapping"]],
        special,
        end=after[0] if after else None,
        pads=after[1:],
    )
    return tokens, _cut(tokenizer, text, kept=len(words))


def _cut(tokenizer: Any, text: str, *, kept: int) -> str:
    whole = _encoded(tokenizer, text)
    marked = zip(whole["offset_mapping"], whole["special_tokens_mask"], strict=True)
    starts = [span[0] for span, special in marked if not special]
    return text[starts[kept] :] if len(starts) > kept else ""


def _tokenizer(pipeline: Any, name: str, who: str) -> Any:
    found = getattr(pipeline, name, None)
    if not getattr(found, "is_fast", False):
        raise ArgumentError(
            f"{who}: the {name} of {type(pipeline).__name__} is {type(found).__name__}, which "
            f"cannot say where in the prompt its tokens lie. Load it with "
            f"transformers.AutoTokenizer."
        )
    return found


def _encoded(tokenizer: Any, text: str, **options: Any) -> Any:
    with quiet("transformers"):
        return tokenizer(
            text, return_offsets_mapping=True, return_special_tokens_mask=True, **options
        )


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Hold back the warnings of a library about something that we report ourselves.

    Example:
        >>> with quiet("transformers"):
        ...     logging.getLogger("transformers").warning("sequence length is longer than")
    """
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
