"""What the leave-one-word-out check hides: controls beside the words, and words together."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from regard.measures.verdicts import verdicts
from regard.trace import Trace

CONTROLS = 8
"""How many images hide what is no word, at each seed."""

PAIRS = 8
"""How many pairs of words are hidden together at most."""


def controls(trace: Trace) -> tuple[list[int], str]:
    """Tokens that are no word, to compare words with, and a line that says which they are.

    Args:
        trace: What was seen of the prompt.

    Returns:
        Up to `CONTROLS` padding tokens, evenly from the first to the last; none where the prompt
        has none, and then the initial noise is perturbed instead.
    """
    pads = [token.index for token in trace.tokens if token.role == "pad"]
    if not pads:
        return [], (
            f"The prompt leaves no padding tokens: words are compared with a change of the "
            f"initial noise, {CONTROLS} times at each seed."
        )
    places = np.linspace(0, len(pads) - 1, min(CONTROLS, len(pads))).round().astype(int)
    chosen = [pads[place] for place in places]
    return chosen, (
        f"Words are compared with {len(chosen)} of {len(pads)} padding tokens, hidden one at a "
        f"time in the same way at each seed."
    )


def spared(trace: Trace, rows: pd.DataFrame) -> list[str]:
    """The words that were needed at no seed, in the order of the prompt; punctuation is none."""
    found = verdicts(rows)
    needed = set(found.loc[found["needed"].astype(bool), "word"])
    names = [name for name in trace.word_names if any(letter.isalnum() for letter in name)]
    return [name for name in names if name not in needed]


def pairs(trace: Trace, words: Sequence[str]) -> list[tuple[str, str]]:
    """Two of the words at a time, those that are likeliest to stand in for one another first.

    That is a word and its repetition, then neighbours, then words of nearly the same map, then the
    others as they lie near each other.
    """
    place = {name: at for at, name in enumerate(trace.word_names)}
    alike = _alike(trace)

    def said(name: str) -> str:
        return name.casefold().rpartition("#")[0] or name.casefold()

    def unlikely(pair: tuple[str, str]) -> tuple[int, int]:
        first, second = pair
        apart = place[second] - place[first]
        if said(first) == said(second):
            return 0, apart
        if apart == 1:
            return 1, 0
        return (2 if frozenset(pair) in alike else 3), apart

    return sorted(combinations(words, 2), key=unlikely)[:PAIRS]


def _alike(trace: Trace) -> set[frozenset[str]]:
    """Words with nearly the same map."""
    table = trace.words()
    pairs = zip(table["word"], table["duplicate_of"], strict=True)
    return {frozenset(pair) for pair in pairs if pair[1]}
