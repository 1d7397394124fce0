"""A prompt as the text encoders take it: its tokens, and what did not fit."""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from regard.arguments import caller
from regard.errors import ArgumentError, PromptError
from regard.models.given import ids_given
from regard.trace import Prompt, Token, tokens_from_offsets


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


Read = tuple[TextPart, tuple[Token, ...], str | None]
"""A part, its tokens, and what it cuts off."""


def read(pipeline: Any, prompt: str, parts: Sequence[TextPart]) -> Prompt:
    """Tokenize a prompt as the pipeline does, and notice what does not fit.

    Args:
        pipeline: A diffusers pipeline.
        prompt: The text.
        parts: The stretches that the text consists of, in the order of the keys.

    Returns:
        Its tokens, of all encoders whose tokens are attended to, and what is cut off.

    Raises:
        PromptError: a tokenizer makes no token of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    return _joined(prompt, _parts_read(pipeline, prompt, parts))


def read_whole(pipeline: Any, prompt: str, parts: Sequence[TextPart]) -> Prompt:
    """As `read`, where every word has to be read.

    Args:
        pipeline: As for `read`.
        prompt: As for `read`.
        parts: As for `read`.

    Returns:
        Its tokens; nothing is cut off.

    Raises:
        PromptError: the prompt is longer than a text encoder takes, or no token is made of it.
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
    """
    done = _parts_read(pipeline, prompt, parts)
    for part, _, cut in done:
        if cut:
            encoder = f"text encoder {part.encoder}".rstrip()
            raise PromptError(
                f"{caller()}: the prompt is longer than the {part.length} tokens that "
                f"the {encoder} takes, which would cut this off: '{cut}'. Shorten it."
            )
    return _joined(prompt, done)


def sources_of(pipeline: Any, ends: Sequence[str]) -> tuple[Source, ...]:
    """The tokenizers whose names end so, each with its text encoder.

    Raises:
        ArgumentError: one of them cannot tell where its tokens lie.
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


def _parts_read(pipeline: Any, prompt: str, parts: Sequence[TextPart]) -> list[Read]:
    encoders = [each.encoder for part in parts for each in part.sources if each.encoder]
    with quiet("transformers"), quiet("diffusers"):
        given = ids_given(pipeline, prompt, encoders) or {}
    return [(part, *_read(part, prompt, given)) for part in parts]


def _joined(text: str, parts: Sequence[Read]) -> Prompt:
    """The tokens of all parts, numbered through, as the model has one part behind the other."""
    tokens: list[Token] = []
    for part, own, _ in parts:
        first = len(tokens)
        tokens += [replace(t, index=first + t.index, encoder=part.encoder) for t in own]
    cuts = sorted((cut for _, _, cut in parts if cut is not None), key=len)
    return Prompt(text, tuple(tokens), cuts[0], cuts[-1])


def _read(
    part: TextPart, prompt: str, given: Mapping[str, Sequence[int]]
) -> tuple[tuple[Token, ...], str | None]:
    """The tokens of one part, and what it cuts off; None where nothing reads it.

    Raises:
        PromptError: a tokenizer makes no token of the prompt.
        ArgumentError: what a text encoder is given is not what its tokenizer makes of the prompt,
            or encoders whose vectors share places have words at different ones.
    """
    first, *others = part.sources
    if first.tokenizer is None:
        empty = (Token(index, "", None, "pad", None) for index in range(part.length))
        return tuple(empty), None
    tokens, cut = _of_source(first, part, prompt, given)
    for other in others:
        theirs, _ = _of_source(other, part, prompt, given)
        if [_place(token) for token in tokens] != [_place(token) for token in theirs]:
            raise ArgumentError(
                f"{caller()}: the text encoders of this pipeline have the words of "
                f"{prompt!r} at different tokens, whose vectors are joined, so no token "
                f"is of one word. Teach a concept to all of its tokenizers, with as many vectors."
            )
    return tokens, cut


def _place(token: Token) -> tuple[Any, ...]:
    return token.word, token.role, token.position


def _of_source(
    source: Source, part: TextPart, text: str, given: Mapping[str, Sequence[int]]
) -> tuple[tuple[Token, ...], str]:
    """The tokens that one text encoder reads, and what is cut off."""
    tokenizer = source.tokenizer
    ids = given.get(source.encoder or "")
    length = part.length if ids is None else len(ids)
    spelt = _spelt(tokenizer, text)
    if not spelt.content:
        raise PromptError(
            f"{caller()}: the tokenizer makes no token of the prompt {text!r}. Use words it "
            f"can read."
        )
    expanded = _with_vectors(tokenizer, spelt)
    candidates = [expanded] if expanded == spelt else [expanded, spelt]
    fitting = [each for each in candidates if ids is None or each.fits(ids)]
    if not fitting:
        raise ArgumentError(
            f"{caller()}: {source.encoder} is given tokens that are not those of the prompt "
            f"{text!r}, so it cannot be said which of them are which word. Give the prompt as the "
            f"pipeline encodes it, and each concept a token of its own."
        )
    found = fitting[0]
    kept = found.kept(length)
    line = [*found.before, *(each for each, _ in kept), *found.after]
    rest = length - len(line)
    pads = [tokenizer.pad_token_id] * rest if ids is None else list(ids[len(line) :])
    ahead, behind = len(found.before), len(found.after) + rest
    spans = [(0, 0)] * ahead + [span for _, span in kept] + [(0, 0)] * behind
    special = [True] * ahead + [False] * len(kept) + [True] * behind
    after = range(ahead + len(kept), length)
    tokens = tokens_from_offsets(
        text,
        tokenizer.convert_ids_to_tokens([*line, *pads]),
        spans,
        special,
        end=after[0] if after else None,
        pads=after[1:],
        whole=found.concepts,
    )
    cut = found.content[len(kept) :]
    return tokens, text[cut[0][1][0] :] if cut else ""


@dataclass(frozen=True)
class _Spelt:
    """What a tokenizer makes of a text, before it is cut or filled up.

    Attributes:
        before: Ids that it puts before the text.
        content: The ids of the text, each with the characters that it stands for.
        after: Ids that it puts behind the text.
        concepts: The characters of concepts that were taught to it.
    """

    before: tuple[int, ...]
    content: tuple[tuple[int, tuple[int, int]], ...]
    after: tuple[int, ...]
    concepts: tuple[tuple[int, int], ...]

    def kept(self, length: int) -> tuple[tuple[int, tuple[int, int]], ...]:
        """What of the text there is room for."""
        return self.content[: length - len(self.before) - len(self.after)]

    def fits(self, ids: Sequence[int]) -> bool:
        """Whether these are its ids, filled up with one and the same."""
        line = [*self.before, *(each for each, _ in self.kept(len(ids))), *self.after]
        return list(ids[: len(line)]) == line and len(set(ids[len(line) :])) <= 1


def _spelt(tokenizer: Any, text: str) -> _Spelt:
    whole = _encoded(tokenizer, text)
    ids = [int(each) for each in whole["input_ids"]]
    spans = [(int(start), int(stop)) for start, stop in whole["offset_mapping"]]
    inside = [at for at, special in enumerate(whole["special_tokens_mask"]) if not special]
    if not inside:
        return _Spelt((), (), (), ())
    first, last = inside[0], inside[-1] + 1
    taught = set(tokenizer.added_tokens_encoder.values()) - set(tokenizer.all_special_ids)
    content = tuple((ids[at], _trimmed(text, spans[at])) for at in range(first, last))
    concepts = tuple(span for each, span in content if each in taught and span[0] < span[1])
    return _Spelt(tuple(ids[:first]), content, tuple(ids[last:]), concepts)


def _with_vectors(tokenizer: Any, spelt: _Spelt) -> _Spelt:
    """A concept of several vectors has a token for each: ``<toy>``, ``<toy>_1``, ``<toy>_2``."""
    added = tokenizer.added_tokens_encoder
    names = {number: name for name, number in added.items()}
    content: list[tuple[int, tuple[int, int]]] = []
    for number, span in spelt.content:
        content.append((number, span))
        place = 1
        while span in spelt.concepts and f"{names[number]}_{place}" in added:
            content.append((added[f"{names[number]}_{place}"], span))
            place += 1
    return replace(spelt, content=tuple(content))


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Without the blanks that some tokens bring with them."""
    start, stop = span
    inside = text[start:stop]
    if not inside.strip():
        return span
    return start + len(inside) - len(inside.lstrip()), stop - len(inside) + len(inside.rstrip())


def _tokenizer(pipeline: Any, name: str) -> Any:
    found = getattr(pipeline, name, None)
    if not getattr(found, "is_fast", False):
        raise ArgumentError(
            f"{caller()}: the {name} of {type(pipeline).__name__} is {type(found).__name__}, which "
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
