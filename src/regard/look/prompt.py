"""A prompt as the text encoder takes it: its tokens, and what did not fit."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from regard.errors import ArgumentError, PromptError
from regard.look.settings import Settings
from regard.trace import Prompt, tokens_from_offsets


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


def read(pipeline: Any, settings: Settings) -> Prompt:
    """Tokenize a prompt as the pipeline does, and notice what does not fit.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.

    Returns:
        Its tokens and what is cut off.

    Raises:
        PromptError: the tokenizer makes no token of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    tokenizer, text = _tokenizer(pipeline, settings.caller), settings.prompt
    limit = tokenizer.model_max_length
    fitted = _encoded(tokenizer, text, padding="max_length", truncation=True, max_length=limit)
    special = [bool(mark) for mark in fitted["special_tokens_mask"]]
    words = [index for index, mark in enumerate(special) if not mark]
    if not words:
        raise PromptError(
            f"{settings.caller}: the tokenizer makes no token of the prompt {text!r}. Use words it "
            f"can read."
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
    return Prompt(text, tokens, _cut(tokenizer, text, kept=len(words)))


def read_whole(pipeline: Any, settings: Settings) -> Prompt:
    """As `read`, for who has to answer for every word.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.

    Returns:
        Its tokens; nothing is cut off.

    Raises:
        PromptError: the prompt is longer than the text encoder takes, or no token is made of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    prompt = read(pipeline, settings)
    if prompt.cut:
        raise PromptError(
            f"{settings.caller}: the prompt is longer than the {len(prompt.tokens)} tokens that "
            f"the text encoder takes, which would cut this off: '{prompt.cut}'. Shorten it."
        )
    return prompt


def _cut(tokenizer: Any, text: str, *, kept: int) -> str:
    whole = _encoded(tokenizer, text)
    marked = zip(whole["offset_mapping"], whole["special_tokens_mask"], strict=True)
    starts = [span[0] for span, special in marked if not special]
    return text[starts[kept] :] if len(starts) > kept else ""


def _tokenizer(pipeline: Any, who: str) -> Any:
    found = getattr(pipeline, "tokenizer", None) or getattr(pipeline, "tokenizer_2", None)
    if not getattr(found, "is_fast", False):
        raise ArgumentError(
            f"{who}: the tokenizer of {type(pipeline).__name__} is {type(found).__name__}, which "
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
