"""Deletion and insertion of words: does the image depend on the words that are blamed most?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.arguments import number_or_none, shown, verb, whole
from regard.errors import ArgumentError
from regard.generation import Request, Sampling
from regard.generation.batches import generate_to_compare
from regard.generation.hidden import masking
from regard.models.text_to_image import TextToImage

Likeness = Callable[[NDArray[Any], NDArray[Any]], Sequence[float]]
"""From the image, [y, x, 3], and others, [n, y, x, 3], to how alike each is."""


@verb
def word_deletion(
    model: Any,
    prompt: str,
    blame: Mapping[str, float],
    *,
    likeness: Likeness | None = None,
    orders: int = 10,
    **sampling: Unpack[Sampling],
) -> pd.DataFrame:
    """How alike the image stays while words are hidden, the most blamed first; 1 the same.

    Each image is generated from the same noise, with words masked in all attention of the
    conditional branch. Insertion is the other way round: all are hidden, and shown again.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        blame: A number for each word, ``cat#2`` for the second cat; at least two words. Words that
            are not named stay.
        likeness: Of the image to others; by default 1 less the mean absolute difference of
            pixels, as a share of that with all the words hidden.
        orders: Random orders for the band of chance; 10 or more.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        Two rows, ``deletion`` (low is good) and ``insertion`` (high is good): ``area`` under the
        curve, ``random`` and ``random_sd`` (mean and standard deviation of the areas of random
        orders), ``gap`` (how much better than random: positive is good) and ``curve``, the
        likeness after each word. ``attrs`` has the order, and the number of images generated.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word.
        ArgumentError: another argument lies outside what it may be.

    Example:
        >>> from regard.models import load
        >>> blame = {"a": 0.1, "cat": 0.9}
        >>> table = word_deletion(load("openmoji"), "a cat", blame, num_inference_steps=1)
        >>> table.attrs["order"], table.attrs["pictures"]
        (['cat', 'a'], 4)

    Source:
        Petsiuk et al. (2018), arXiv 1806.07421, section 4.1, with words in place of pixels.
    """
    request = Request.of(prompt, sampling)
    orders = whole(orders, "orders", "word_deletion", least=10)
    _check_blame(blame)
    model = TextToImage.of(model)
    text = model.tokenize(prompt, whole=True)
    spelling = {word: text.spelled([word]) for word in blame}
    words = sorted(blame, key=lambda word: -blame[word])
    rng = np.random.default_rng(request.seed)
    every = [words, *([str(word) for word in rng.permutation(words)] for _ in range(orders))]
    hidden = {frozenset(order[:count]) for order in every for count in range(len(words) + 1)}
    hidden |= {frozenset(order[count:]) for order in every for count in range(len(words) + 1)}
    value = _likenesses(model, request, sorted(hidden, key=sorted), spelling, likeness)
    table = pd.DataFrame([_row(every, value, kind) for kind in ("deletion", "insertion")])
    table.attrs = {"order": words, "orders": orders, "seed": request.seed, "pictures": len(value)}
    return table


def _check_blame(blame: Any) -> None:
    several = isinstance(blame, Mapping) and len(blame) > 1
    numbers = [number_or_none(each) for each in blame.values()] if several else [None]
    if any(each is None or not math.isfinite(each) for each in numbers):
        raise ArgumentError(
            f"word_deletion: blame is {shown(blame)} and must have two or more words, each with a "
            f"finite number, such as {{'cat': 0.9, 'grass': 0.1}}."
        )


def _row(
    orders: Sequence[Sequence[str]], value: Mapping[frozenset[str], float], kind: str
) -> dict[str, Any]:
    """The first order of words beside the others, which are random."""
    curves = np.array([_curve(order, value, kind) for order in orders])
    areas = (curves[:, 1:] + curves[:, :-1]).mean(1) / 2
    sign = 1 if kind == "insertion" else -1
    return {
        "kind": kind,
        "area": areas[0],
        "random": areas[1:].mean(),
        "random_sd": areas[1:].std(ddof=1),
        "gap": sign * (areas[0] - areas[1:].mean()),
        "curve": curves[0].tolist(),
    }


def _curve(order: Sequence[str], value: Mapping[frozenset[str], float], kind: str) -> list[float]:
    counts = range(len(order) + 1)
    if kind == "deletion":
        return [value[frozenset(order[:count])] for count in counts]
    return [value[frozenset(order[count:])] for count in counts]


def _likenesses(
    model: TextToImage,
    request: Request,
    hidden: Sequence[frozenset[str]],
    spelling: Mapping[str, Sequence[int]],
    likeness: Likeness | None,
) -> dict[frozenset[str], float]:
    """How alike the image without each set of words is to that with all of them."""
    tokens = [sorted(index for word in words for index in spelling[word]) for words in hidden]
    requests = [replace(request, methods=(masking(each),) if each else ()) for each in tokens]
    images = generate_to_compare(model, requests)
    pictures = np.stack([np.asarray(image.convert("RGB")) for image in images])
    whole, nothing = hidden.index(frozenset()), hidden.index(frozenset(spelling))
    alike = likeness or _by_pixels(pictures[nothing])
    return dict(zip(hidden, map(float, alike(pictures[whole], pictures)), strict=True))


def _by_pixels(nothing: NDArray[Any]) -> Likeness:
    def distance(first: NDArray[Any], other: NDArray[Any]) -> float:
        return float(np.abs(first.astype(float) - other).mean())

    def alike(picture: NDArray[Any], others: NDArray[Any]) -> list[float]:
        most = distance(picture, nothing)
        if most == 0:
            raise ArgumentError(
                "word_deletion: the image is the same with all the words hidden, so no order can "
                "be better than another."
            )
        return [1 - distance(picture, other) / most for other in others]

    return alike
