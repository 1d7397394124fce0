"""A prompt as the text encoders take it: its tokens, and what did not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regard.arguments import caller
from regard.errors import ArgumentError, PromptError
from regard.models.given import ids_given
from regard.models.spelling import Spelt, quiet, spelt_by, with_vectors
from regard.models.text_part import Source, TextPart
from regard.trace import Prompt, Token, tokens_from_offsets

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
        ArgumentError: the pipeline has no tokenizer that can say where its tokens lie.
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
        ArgumentError: the pipeline has no tokenizer that can say where its tokens lie.
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
    found = _fitting(source, text, ids)
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


def _fitting(source: Source, text: str, ids: Sequence[int] | None) -> Spelt:
    """What a tokenizer makes of a text, if that is what its text encoder is given.

    Raises:
        PromptError: it makes no token of it.
        ArgumentError: the encoder is given other ids.
    """
    spelt = spelt_by(source.tokenizer, text)
    if not spelt.content:
        raise PromptError(
            f"{caller()}: the tokenizer makes no token of the prompt {text!r}. Use words it "
            f"can read."
        )
    expanded = with_vectors(source.tokenizer, spelt)
    candidates = [expanded] if expanded == spelt else [expanded, spelt]
    fitting = [each for each in candidates if ids is None or each.fits(ids)]
    if not fitting:
        raise ArgumentError(
            f"{caller()}: {source.encoder} is given tokens that are not those of the prompt "
            f"{text!r}, so it cannot be said which of them are which word. Give the prompt as the "
            f"pipeline encodes it, and each concept a token of its own."
        )
    return fitting[0]
