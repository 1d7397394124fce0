"""Which token of one prompt stands for which of another, as Prompt-to-Prompt needs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import ArgumentError
from regard.trace import Prompt


@dataclass(frozen=True, eq=False)
class TokenMap:
    """How attention to the tokens of a source is mapped to those of an edit.

    Attributes:
        mapper: [source token, token]: how much of the attention to the one the other gets.
        carried: [token]: 1 where that is all it gets, 0 where it has no counterpart and keeps its
            own.
    """

    mapper: Float[Tensor, "tokens tokens"]
    carried: Float[Tensor, " tokens"]


def replaced(source: Prompt, edit: Prompt, *, legacy: bool = False) -> TokenMap:
    """Word for word: the first word of the edit gets the attention of the first of the source.

    A word of as many tokens as its counterpart gets their attention one by one, any other an even
    share of all of it. So attention neither grows nor shrinks.

    Args:
        source: The prompt whose attention is injected.
        edit: One of as many words.
        legacy: Whether tokens after the last word that differs get what the token of the same
            number had in the source, as in the authors' code; that is another word if words before
            them have other numbers of tokens. Where those are fewer than in the source, their code
            ends before the last columns, and as many tokens get no attention at all.

    Raises:
        ArgumentError: the prompts differ in their number of words.
    """
    before, after = _words(source), _words(edit)
    if len(before) != len(after):
        raise ArgumentError(
            f"prompt_to_prompt: mode 'replace' swaps word for word, and '{source.text}' has "
            f"{len(before)} words, '{edit.text}' {len(after)}. Use mode 'refine'."
        )
    mapper = torch.zeros(len(source.tokens), len(edit.tokens))
    whole = [(_of_role(source, role), _of_role(edit, role)) for role in ("start", "end")]
    for old, new in [*zip(before, after, strict=True), *whole]:
        if len(old) == len(new):
            mapper[old, new] = 1.0
        elif new:
            mapper[torch.tensor(old)[:, None], new] = 1 / len(new)
    _carry_padding(mapper, source, edit)
    if legacy:
        end, tail = _after_the_last_swap(source, edit)
        mapper[:, tail:] = torch.eye(len(mapper))[:, tail:]
        lost = max(0, end - tail)  # the source's positions end first, and with them the loop
        mapper[:, len(edit.tokens) - lost :] = 0.0
    return TokenMap(mapper, torch.ones(len(edit.tokens)))


def refined(source: Prompt, edit: Prompt, *, legacy: bool = False) -> TokenMap:
    """Token for token where the prompts agree; tokens that are new keep their own attention.

    Args:
        source: The prompt whose attention is injected.
        edit: One with other words before, between or after.
        legacy: Whether padding gets what the token of the same number had in the source, as in the
            authors' code, also where that was a word.

    Source:
        Needleman and Wunsch (1970) for the alignment: 1 for the same token, -1 for another, 0 for
        one left out.
    """
    spelled = [[t.text for t in each.tokens if t.role != "pad"] for each in (source, edit)]
    mapper = torch.zeros(len(source.tokens), len(edit.tokens))
    for new, old in enumerate(aligned(*spelled)):
        if old is not None:
            mapper[old, new] = 1.0
    for pad in edit.pads:
        if legacy or pad in source.pads:
            mapper[pad, pad] = 1.0
    return TokenMap(mapper, mapper.amax(0))


def aligned(source: Sequence[str], edit: Sequence[str]) -> list[int | None]:
    """For each token of the edit the same one in the source, in order, as many as possible.

    Where several ways have as many, earlier tokens are taken, as in the authors' code.

    Returns:
        The index in the source of each token of the edit; None for one that is new.

    Example:
        >>> aligned("a cat".split(), "a red cat".split())
        [0, None, 1]
    """
    best = [[0] * (len(edit) + 1) for _ in range(len(source) + 1)]
    for i, old in enumerate(source):
        for j, new in enumerate(edit):
            both = best[i][j] + (1 if old == new else -1)
            best[i + 1][j + 1] = max(best[i + 1][j], best[i][j + 1], both)
    counterparts: list[int | None] = [None] * len(edit)
    i, j = len(source), len(edit)
    while i and j:  # the order of these questions decides between ways that are as good
        if best[i][j] == best[i][j - 1]:
            j -= 1
        elif best[i][j] == best[i - 1][j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            counterparts[j] = i
    return counterparts


# Inside


def _words(prompt: Prompt) -> list[list[int]]:
    """The tokens of each word."""
    words: dict[int | None, list[int]] = {}
    for token in prompt.tokens:
        if token.role == "word":
            words.setdefault(token.position, []).append(token.index)
    return list(words.values())


def _of_role(prompt: Prompt, role: str) -> list[int]:
    return [token.index for token in prompt.tokens if token.role == role]


def _carry_padding(mapper: Tensor, source: Prompt, edit: Prompt) -> None:
    """Padding maps to padding of the same index; what is left over goes to the first."""
    pads = edit.pads
    rest = [*pads, *_of_role(edit, "end"), len(edit.tokens) - 1][0]
    for pad in source.pads:
        mapper[pad, pad if pad in pads else rest] = 1.0


def _after_the_last_swap(source: Prompt, edit: Prompt) -> tuple[int, int]:
    """The first token after the last word that differs, in each prompt; 0 where none does."""
    pairs = list(zip(_spellings(source), _spellings(edit), strict=True))
    swapped = [index for index, (old, new) in enumerate(pairs) if old != new]
    if not swapped:
        return 0, 0
    before, after = (_words(each)[swapped[-1]][-1] + 1 for each in (source, edit))
    return before, after


def _spellings(prompt: Prompt) -> Iterator[list[str]]:
    for word in _words(prompt):
        yield [prompt.tokens[index].text for index in word]
