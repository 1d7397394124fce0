import math

import pytest

from regard.errors import ArgumentError, PromptError
from regard.generation.values import (
    check_prompt,
    check_text,
    checked_count,
    checked_guidance,
    checked_methods,
    checked_seed,
)
from regard.methods import drop
from unchecked import unchecked


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("  ", "the prompt is empty and needs at least one word"),
        (b"a cat", "the prompt is b'a cat' and must be a text"),
        ("caf\udce9", "no UTF-8 text, at character 3"),
    ],
)
def test_a_prompt_is_a_text_with_a_word(prompt, message):
    with pytest.raises(PromptError, match=message):
        unchecked(check_prompt, prompt)


def test_another_text_may_be_empty():
    check_text("", "negative prompt")


def test_what_is_left_out_stays_so():
    assert checked_count(None, "height", "") is None
    assert checked_guidance(None) is None
    assert checked_methods([]) == ()


def test_values_at_the_ends_of_their_ranges_are_taken():
    assert checked_count(1, "height", "") == 1
    assert checked_guidance(0) == 0.0
    assert (checked_seed(0), checked_seed(2**63 - 1)) == (0, 2**63 - 1)


@pytest.mark.parametrize("scale", [math.inf, math.nan, -0.1])
def test_a_guidance_scale_is_finite_and_not_negative(scale):
    with pytest.raises(ArgumentError, match="guidance_scale is .* and must be 0 or more"):
        checked_guidance(scale)


def test_a_seed_that_torch_cannot_take_is_refused():
    with pytest.raises(ArgumentError, match="must lie in 0"):
        checked_seed(2**63)


def test_methods_are_a_list_of_methods():
    with pytest.raises(ArgumentError, match="methods is the method drop alone"):
        unchecked(checked_methods, drop("cat"))
    with pytest.raises(ArgumentError, match="methods hold 'drop', which is none"):
        unchecked(checked_methods, ["drop"])
    with pytest.raises(ArgumentError, match="methods is 'drop' and must be a list"):
        unchecked(checked_methods, "drop")
