"""The words of a prompt, and which tokens they became."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from regard.errors import ArgumentError

ROLES = ("start", "word", "end", "pad")
SPECIAL = ("start", "end", "pad")

# A word is a run of letters and digits, with the marks that belong to them (accents, vowel signs,
# joiners), which an apostrophe or a hyphen may join ("dog's", "t-shirt"). Whatever else is no space
# is a word of its own: the model attends to a comma too, and shares of attention add up to 1 only
# if no token is left out. A regular expression's \w knows no marks, so characters are sorted first.
_SHAPES = re.compile(r"(?:wm*)+(?:j(?:wm*)+)*|(?:[xj]m*)+|m+")
JOINERS = "\u00ad\u200c\u200d\u2060"
"""Soft hyphen, zero-width non-joiner and joiner, word joiner: they stand inside words."""


@dataclass(frozen=True)
class Token:
    """One token as the text encoder numbers it.

    Args:
        index: Its place in the encoder's input.
        text: The tokenizer's own spelling.
        word: The name of the prompt word it belongs to, such as ``cat`` or, for the second cat,
            ``cat#2``; None for start, end and pad.
        role: ``start``, ``word``, ``end`` or ``pad``.
        position: The place of that word among the words of the prompt.
        encoder: Which text encoder reads it, where a model has several: ``clip`` or ``t5``.

    Raises:
        ArgumentError: the role is none of the four.

    Example:
        >>> Token(2, "cat</w>", "cat", "word", 1).name
        'cat'
    """

    index: int
    text: str
    word: str | None
    role: str
    position: int | None
    encoder: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ArgumentError(
                f"Token: the role is '{self.role}' and must be one of {', '.join(ROLES)}."
            )

    @property
    def name(self) -> str:
        """What the token is looked up by: its word, or ``[start]``, ``[end]``, ``[pad]``.

        Example:
            >>> Token(0, "<|startoftext|>", None, "start", None).name
            '[start]'
        """
        return self.word if self.word is not None else f"[{self.role}]"


def words_of(prompt: str, whole: Sequence[tuple[int, int]] = ()) -> list[tuple[str, int, int]]:
    """The words of a prompt with the characters they span; a run of punctuation counts as one.

    Args:
        prompt: Any text.
        whole: Characters that are one word whatever they look like, such as ``<toy>``; in order.

    Returns:
        One (word, start, stop) per word, in order; ``prompt[start:stop]`` is the word.

    Example:
        >>> words_of("a dog's t-shirt, red")
        [('a', 0, 1), ("dog's", 2, 7), ('t-shirt', 8, 15), (',', 15, 16), ('red', 17, 20)]
    """
    shapes = "".join(map(_shape, prompt))
    spans: list[tuple[int, int]] = []
    before = 0
    for start, stop in [*whole, (len(prompt), len(prompt))]:
        spans += [found.span() for found in _SHAPES.finditer(shapes, before, start)]
        spans += [(start, stop)] if start < stop else []
        before = stop
    return [(prompt[start:stop], start, stop) for start, stop in spans]


def _shape(character: str) -> str:
    """What a character is in a word: w of it, m a mark on the one before, j joins, x neither."""
    if character.isspace():
        return " "
    if character.isalnum() or character == "_":
        return "w"
    if character in JOINERS or unicodedata.category(character).startswith("M"):
        return "m"
    return "j" if character in "'’-" else "x"


def names_of(words: Iterable[str]) -> list[str]:
    """One name per word; the second ``cat`` is named ``cat#2``, whatever its capitals.

    Example:
        >>> names_of(["Cat", "and", "cat"])
        ['Cat', 'and', 'cat#2']
    """
    seen: Counter[str] = Counter()
    names = []
    for word in words:
        seen[word.casefold()] += 1
        again = seen[word.casefold()]
        names.append(word if again == 1 else f"{word}#{again}")
    return names


def tokens_from_offsets(
    prompt: str,
    texts: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    *,
    end: int | None,
    pads: Collection[int] = (),
    whole: Sequence[tuple[int, int]] = (),
) -> tuple[Token, ...]:
    """The tokens of a prompt, each with the word it spells most of.

    A token of blank space alone goes with the word that follows it.

    Args:
        prompt: The text that was tokenized.
        texts: The tokenizer's spelling of each token.
        offsets: The characters of ``prompt`` that each token covers, start and stop.
        special: Which tokens are special ones that the tokenizer added.
        end: The index of the token that ends the text; None where the encoder has none.
        pads: The indices of the tokens that fill up the input.
        whole: Characters of ``prompt`` that are one word, as for `words_of`.

    Returns:
        One token per text, in order.

    Raises:
        ArgumentError: the three lists differ in length.

    Example:
        >>> tokens = tokens_from_offsets(
        ...     "turtles", ["<s>", "turt", "les", "</s>"], [(0, 0), (0, 4), (4, 7), (0, 0)],
        ...     [True, False, False, True], end=3)
        >>> [token.name for token in tokens]
        ['[start]', 'turtles', 'turtles', '[end]']
    """
    if not len(texts) == len(offsets) == len(special):
        raise ArgumentError(
            f"tokens_from_offsets: got {len(texts)} texts, {len(offsets)} offsets and "
            f"{len(special)} marks of special tokens. Give one of each per token."
        )
    spans = words_of(prompt, whole)
    names = names_of(word for word, _, _ in spans)

    def token(index: int) -> Token:
        role = _role(index, special[index], end=end, pads=pads)
        if role != "word" or not spans:
            return Token(index, texts[index], None, role, None)
        position = _word_at(offsets[index], spans)
        return Token(index, texts[index], names[position], role, position)

    return tuple(token(index) for index in range(len(texts)))


def _role(index: int, special: bool, *, end: int | None, pads: Collection[int]) -> str:
    if index in pads:
        return "pad"
    if index == end:
        return "end"
    return "start" if special else "word"


def _word_at(span: tuple[int, int], words: Sequence[tuple[str, int, int]]) -> int:
    """The word that shares most characters with ``span``, or else the one that follows it."""
    shared = [min(span[1], stop) - max(span[0], start) for _, start, stop in words]
    if max(shared) > 0:
        return shared.index(max(shared))
    following = [place for place, (_, start, _) in enumerate(words) if start >= span[1]]
    return following[0] if following else len(words) - 1
