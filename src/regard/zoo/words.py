"""The bundled tokenizer, and the filler text that teaches the text encoder to ignore what it must.

The vocabulary is small on purpose: frequent words are one token, rarer ones two or three, and any
other text falls apart into letters. So words of several tokens occur here as they do in CLIP.
"""

from typing import Any

import numpy as np

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.scenes import BACKGROUNDS

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


def tokenizer() -> Any:
    """Learn the bundled byte-pair vocabulary; always the same one.

    Returns:
        A `transformers.CLIPTokenizer` of 32 tokens' length, padded with the end token as CLIP's.

    Source:
        Sennrich, Haddow and Birch (2016), arXiv 1508.07909; layout of CLIP, Radford et al. (2021).
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    blank = CLIPTokenizer()
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = blank._tokenizer.normalizer
    learner.pre_tokenizer = blank._tokenizer.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    plan = trainers.BpeTrainer(
        vocab_size=2000,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(_corpus(), plan)
    joined = _merges(learner)
    pieces = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *("".join(pair) for pair in joined),
    ]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=joined, model_max_length=CONTEXT)


def _merges(learner: Any) -> list[tuple[str, str]]:
    import json

    return [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]


def _corpus() -> list[str]:
    words = ["a", "an", "and", "with", "on", "the", *COLOURS, *SUBJECTS]
    words += [word for name in BACKGROUNDS for word in name.split()]
    words += [word for opening in OPENINGS for word in opening.split()]
    return [word for word in words if word not in COMPOUNDS] + [*PARTS]


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
