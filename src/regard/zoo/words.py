"""The bundled tokenizer, and the filler text that teaches the text encoder to ignore what it must.

The vocabulary is small on purpose: frequent words are one token, rarer ones two or three, and any
other text falls apart into letters. So words of several tokens occur here as they do in CLIP.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from torch import Tensor

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.scenes import BACKGROUNDS, Relation, Version, plural
from regard.data.scenes.language import NUMBERS

OPENINGS = (
    "a photo of",
    "a drawing of",
    "a picture of",
    "an image showing",
    "a painting of",
    "there is",
    "a close-up photo of",
    "a low resolution photo of",
    "art of",
    "a good photo of",
)
"""What may stand before a caption without changing what it says."""

COMPOUNDS = ("suitcase", "backpack", "balloon")
PARTS = ("suit", "case", "back", "pack", "ball", "loon")
"""`COMPOUNDS` are left out of the vocabulary and take two tokens or more, as rare words do."""

CONTEXT = 32
"""Tokens that the text encoder takes, start and end included."""


def tokenizer(version: Version = 1) -> Any:
    """Learn the bundled byte-pair vocabulary; always the same one.

    Args:
        version: Of the scenes whose captions it is for; 2 has numbers, plurals and relations too.

    Returns:
        A `transformers.CLIPTokenizer` of 32 tokens' length, padded with the end token as CLIP's.

    Source:
        Sennrich, Haddow and Birch (2016), arXiv 1508.07909; layout of CLIP, Radford et al. (2021).
    """
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    blank = CLIPTokenizer()._tokenizer
    words = [
        piece
        for word in _corpus(version)
        for piece, _ in blank.pre_tokenizer.pre_tokenize_str(blank.normalizer.normalize_str(word))
    ]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    alphabet = [*letters, *(f"{letter}</w>" for letter in letters)]
    joined = merges(words, alphabet)
    pieces = [*alphabet, *("".join(pair) for pair in joined)]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=joined, model_max_length=CONTEXT)


def merges(words: Sequence[str], alphabet: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs that byte-pair encoding joins, in order, until each word is one piece.

    The library's own learner breaks ties by the order of a hash table, so that 'cat' and 'car'
    changed places from run to run. Here the pair that comes first in the alphabet wins.

    Args:
        words: What to learn from; a word counts as often as it comes.
        alphabet: Every letter, and every letter with ``</w>`` where it ends a word.

    Returns:
        Pairs of pieces.

    Example:
        >>> merges(["ab", "ab", "b"], ["a", "b", "a</w>", "b</w>"])
        [('a', 'b</w>')]
    """
    counts = Counter(words)
    spelled = {word: [*word[:-1], f"{word[-1]}</w>"] for word in counts}
    rank = {piece: i for i, piece in enumerate(alphabet)}
    joined: list[tuple[str, str]] = []
    while pairs := _pairs(spelled, counts):
        best = min(pairs, key=lambda pair: (-pairs[pair], rank[pair[0]], rank[pair[1]]))
        joined.append(best)
        rank.setdefault("".join(best), len(rank))
        spelled = {word: _joined(pieces, best) for word, pieces in spelled.items()}
    return joined


def _pairs(spelled: dict[str, list[str]], counts: Counter[str]) -> Counter[tuple[str, str]]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, pieces in spelled.items():
        for pair in zip(pieces, pieces[1:], strict=False):
            pairs[pair] += counts[word]
    return pairs


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] = "".join(pair)
        else:
            out.append(piece)
    return out


def _corpus(version: Version) -> list[str]:
    words = ["a", "an", "and", "with", "on", "the", *COLOURS, *SUBJECTS]
    words += [word for name in BACKGROUNDS for word in name.split()]
    words += [word for opening in OPENINGS for word in opening.split()]
    parts = [*PARTS]
    if version > 1:
        words += [word for each in get_args(Relation) for word in each.split()]
        words += [*NUMBERS.values(), *(plural(each) for each in SUBJECTS if each not in COMPOUNDS)]
        parts += [f"{part}s" for part in PARTS[1::2]]
    return [word for word in words if word not in COMPOUNDS] + parts


def padded(learnt: Any, texts: list[str]) -> Tensor:
    """The tokens of texts, int64 [text, token], each as long as the text encoder takes."""
    ids: Tensor = learnt(
        texts, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def with_filler(caption: str, rng: np.random.Generator) -> str:
    """The caption, one time in five with an opening or a stray word that says nothing.

    Example:
        >>> with_filler("a cat", np.random.default_rng(0))
        'a cat'
    """
    drawn = rng.random()
    if drawn < 0.1:
        return f"{OPENINGS[rng.integers(len(OPENINGS))]} {caption}"
    if drawn < 0.2:
        letters = "".join(chr(97 + i) for i in rng.integers(0, 26, rng.integers(3, 8)))
        return f"{caption} {letters}" if rng.random() < 0.5 else f"{letters} {caption}"
    return caption
