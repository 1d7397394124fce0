"""A prompt as the text encoder takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from regard.arguments import shown
from regard.errors import ArgumentError, unknown
from regard.trace.words import Token


@dataclass(frozen=True)
class Prompt:
    """The tokens of a prompt.

    Attributes:
        text: The prompt.
        tokens: All tokens that are attended to, padding included. Where a model has several text
            encoders these are the tokens of one after those of the other, numbered through; a word
            is all its tokens in all of them.
        cut: The end of the prompt that no encoder takes; empty if all fits in one.
        partly_cut: The end of the prompt that not every encoder takes; empty if all fits in all.
    """

    text: str
    tokens: tuple[Token, ...]
    cut: str = ""
    partly_cut: str = ""

    @property
    def pads(self) -> list[int]:
        """The indices of the tokens that fill up the input."""
        return [token.index for token in self.tokens if token.role == "pad"]

    def spelled(self, words: Sequence[str]) -> list[int]:
        """The indices of the tokens that spell some words, in order.

        Args:
            words: Words of the prompt in any capitals, ``cat#2`` for the second cat.

        Raises:
            UnknownName: the prompt has no such word, or it was cut off.
            ArgumentError: a word is no text.
        """
        found: set[int] = set()
        for word in words:
            if not isinstance(word, str):
                raise ArgumentError(
                    f"a word of the prompt is {shown(word)} and must be a text. It has "
                    f"{', '.join(self.word_names)}."
                )
            spelling = [t.index for t in self.tokens if t.name.casefold() == word.casefold()]
            if not spelling:
                raise unknown("word", word, self.word_names, advice=self._advice())
            found.update(spelling)
        return sorted(found)

    def carriers(self, words: Sequence[str]) -> list[list[int]]:
        """The indices of the tokens that carry each of some words: its own, and the next.

        A causal text encoder reads from left to right, so the token after a word is the first that
        has read all of it; in "a cat and a dog" it may be "and" that places look at for the cat.
        A next token that belongs to another of the words, or to none at all, does not count.

        Args:
            words: Words of the prompt, as `spelled` takes them.

        Raises:
            UnknownName: as for `spelled`.
        """
        spelled = [self.spelled([word]) for word in words]
        taken = {index for indices in spelled for index in indices}
        free = {t.index for t in self.tokens if t.role == "word"} - taken
        return [sorted({*own, *(free & {index + 1 for index in own})}) for own in spelled]

    @property
    def word_names(self) -> list[str]:
        """The words of the prompt in order, each once."""
        return list(dict.fromkeys(t.name for t in self.tokens if t.role == "word"))

    def _advice(self) -> str:
        return f"The text encoder cut this off: '{self.cut}'." if self.cut else ""
