"""The stretches of text that an image attends to, and the tokenizers that fill them."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.arguments import caller
from regard.errors import ArgumentError


@dataclass(frozen=True)
class Source:
    """A tokenizer, and the text encoder that reads what it makes.

    Attributes:
        encoder: Name of the encoder's attribute, such as ``text_encoder_2``; None if the pipeline
            has none.
        tokenizer: None where the pipeline was given no such encoder: it then has as many tokens
            that say nothing.
    """

    encoder: str | None
    tokenizer: Any


@dataclass(frozen=True)
class TextPart:
    """A stretch of the text that an image attends to.

    Attributes:
        encoder: The text encoder that reads it; empty where there is only one.
        length: Number of tokens.
        sources: Whose tokens they are: of several encoders where their vectors share places.
    """

    encoder: str
    length: int
    sources: tuple[Source, ...]

    @classmethod
    def of(cls, pipeline: Any, *ends: str, name: str = "", length: int | None = None) -> "TextPart":
        """The stretch that the tokenizers with these endings fill.

        Args:
            pipeline: A diffusers pipeline.
            *ends: "" for ``tokenizer`` and ``text_encoder``, "_2" for ``tokenizer_2`` and
                ``text_encoder_2``; of several, the vectors share places.
            name: What to call the encoder; empty where there is only one.
            length: Number of tokens; None for as many as the first tokenizer says.

        Raises:
            ArgumentError: one of the tokenizers cannot say where its tokens lie.
        """
        sources = sources_of(pipeline, ends)
        own = sources[0].tokenizer.model_max_length if length is None else length
        return cls(name, own, sources)


def sources_of(pipeline: Any, ends: Sequence[str]) -> tuple[Source, ...]:
    """The tokenizers whose names end so, each with its text encoder.

    Raises:
        ArgumentError: one of them cannot say where its tokens lie.
    """
    return tuple(
        Source(
            None if getattr(pipeline, f"text_encoder{end}", None) is None else f"text_encoder{end}",
            _tokenizer(pipeline, f"tokenizer{end}"),
        )
        for end in ends
    )


def longest(pipeline: Any) -> int:
    """As many tokens as the pipeline takes of T5, which has no limit of its own."""
    given = inspect.signature(type(pipeline).__call__).parameters
    return int(given["max_sequence_length"].default)


def _tokenizer(pipeline: Any, name: str) -> Any:
    found = getattr(pipeline, name, None)
    if not getattr(found, "is_fast", False):
        raise ArgumentError(
            f"{caller()}: the {name} of {type(pipeline).__name__} is {type(found).__name__}, which "
            f"cannot say where in the prompt its tokens lie. Load it with "
            f"transformers.AutoTokenizer."
        )
    return found
