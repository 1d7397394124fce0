"""What a tokenizer makes of a text: ids, and the characters that each stands for."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Spelt:
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
        """What of the text fits."""
        return self.content[: length - len(self.before) - len(self.after)]

    def fits(self, ids: Sequence[int]) -> bool:
        """Whether these are its ids, filled up with one and the same."""
        line = [*self.before, *(each for each, _ in self.kept(len(ids))), *self.after]
        return list(ids[: len(line)]) == line and len(set(ids[len(line) :])) <= 1


def spelt_by(tokenizer: Any, text: str) -> Spelt:
    """What a tokenizer makes of a text; all is empty where it makes no token."""
    whole = _encoded(tokenizer, text)
    ids = [int(each) for each in whole["input_ids"]]
    spans = [(int(start), int(stop)) for start, stop in whole["offset_mapping"]]
    inside = [at for at, special in enumerate(whole["special_tokens_mask"]) if not special]
    if not inside:
        return Spelt((), (), (), ())
    first, last = inside[0], inside[-1] + 1
    taught = set(tokenizer.added_tokens_encoder.values()) - set(tokenizer.all_special_ids)
    content = tuple((ids[at], _trimmed(text, spans[at])) for at in range(first, last))
    concepts = tuple(span for each, span in content if each in taught and span[0] < span[1])
    return Spelt(tuple(ids[:first]), content, tuple(ids[last:]), concepts)


def with_vectors(tokenizer: Any, spelt: Spelt) -> Spelt:
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
