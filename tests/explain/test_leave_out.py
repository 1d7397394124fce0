from itertools import permutations

import numpy as np
import pytest

from looks import PROMPT, generated, pipeline, seen
from regard.errors import ArgumentError, UnknownName
from regard.explain import word_deletion
from regard.generation import Request
from regard.tap import Tap, hide

BLAME = {"and": 0.1, "cat": 0.9, "grass": 0.5}
TOKENS = {"cat": [2], "and": [3], "grass": [12]}


def counted(picture, others):
    """A likeness that is the share of pixels that are the same."""
    return [float((picture == other).all(-1).mean()) for other in others]


def alike(words):
    hidden = sorted(token for word in words for token in TOKENS[word])
    with Tap(pipeline(), edit=[hide(hidden)] if hidden else []):
        (made,) = generated(pipeline(), Request(PROMPT, num_inference_steps=2))
    other = np.asarray(made.image)
    return np.abs(seen().trace.image.astype(float) - other).mean()


def test_words_go_in_the_order_of_blame():
    found = word_deletion(pipeline(), PROMPT, BLAME, num_inference_steps=2).set_index("kind")
    assert found.attrs["order"] == ["cat", "grass", "and"]
    most = alike(["cat", "grass", "and"])
    curve = [1, 1 - alike(["cat"]) / most, 1 - alike(["cat", "grass"]) / most, 0]
    # In a batch sums are added in another order, which may tip a rounding of 768 values.
    np.testing.assert_allclose(found.loc["deletion", "curve"], curve, atol=0.02)
    expected = np.trapezoid(curve, dx=1 / 3)
    assert found.loc["deletion", "area"] == pytest.approx(expected, abs=0.02)
    back = [0, 1 - alike(["grass", "and"]) / most, 1 - alike(["and"]) / most, 1]
    np.testing.assert_allclose(found.loc["insertion", "curve"], back, atol=0.02)


def test_each_set_of_words_is_drawn_once():
    found = word_deletion(pipeline(), PROMPT, BLAME, num_inference_steps=1, orders=30)
    assert found.attrs["pictures"] == 2**3


def test_the_best_order_of_all_has_a_gap_above_zero():
    areas = {}
    for order in permutations(BLAME):
        blame = {word: -float(place) for place, word in enumerate(order)}
        found = word_deletion(
            pipeline(), PROMPT, blame, num_inference_steps=1, orders=30
        ).set_index("kind")
        areas[order] = (found.loc["deletion", "area"], found.loc["deletion", "gap"])
    assert min(areas.values())[1] > 0 > max(areas.values())[1]


def test_a_likeness_of_ones_own():
    found = word_deletion(pipeline(), PROMPT, BLAME, num_inference_steps=1, likeness=counted)
    assert found["curve"][0][0] == 1.0


def test_wrong_arguments_are_told():
    with pytest.raises(ArgumentError, match="orders is 9 and must be a whole number of 10 or more"):
        word_deletion(pipeline(), PROMPT, BLAME, orders=9)
    with pytest.raises(ArgumentError, match="blame is .* and must have two or more words"):
        word_deletion(pipeline(), PROMPT, {"cat": 1.0})
    with pytest.raises(ArgumentError, match="each with a finite number"):
        word_deletion(pipeline(), PROMPT, {**BLAME, "cat": float("nan")})
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        word_deletion(pipeline(), PROMPT, {**BLAME, "dog": 1.0})
