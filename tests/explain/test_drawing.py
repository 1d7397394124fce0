import numpy as np
import pytest

from looks import PROMPT, pipeline, seen
from regard.errors import ArgumentError, PromptError, UnknownName
from regard.explain.drawing import Drawing, spelled, tokens_of, words_in
from regard.tap import hide


def test_a_drawing_is_what_a_look_at_the_same_seed_shows():
    drawn = Drawing("who", PROMPT, seed=0, steps=2).draw(pipeline())
    np.testing.assert_array_equal(drawn[0], seen().trace.image)


def test_tokens_are_those_of_a_look():
    tokens = tokens_of(pipeline(), Drawing("who", PROMPT))
    assert tokens == seen().trace.tokens
    assert words_in(tokens) == list(seen().trace.word_names)
    assert spelled(tokens, "Turtle") == seen().trace.tokens_of("turtle")


def test_one_image_for_each_edit_also_beyond_one_batch():
    drawing = Drawing("who", PROMPT, steps=1)
    edits = [None, *(hide([2], sample=row % 16) for row in range(1, 17)), None]
    drawn = drawing.draw_each(pipeline(), edits)
    assert len(drawn) == 18
    # In batches sums are added in another order, which may tip a rounding.
    assert np.abs(drawn[17].astype(int) - drawn[0]).max() <= 1
    assert np.abs(drawn[16].astype(int) - drawn[1]).max() <= 1


def test_bad_settings_are_told():
    with pytest.raises(PromptError, match="who: the prompt is empty"):
        Drawing("who", " ")
    with pytest.raises(ArgumentError, match="who: steps is 0 and must be 1 or more"):
        Drawing("who", "a cat", steps=0)
    with pytest.raises(PromptError, match="longer than the 16 tokens"):
        tokens_of(pipeline(), Drawing("who", "cat " * 20))
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        spelled(tokens_of(pipeline(), Drawing("who", PROMPT)), "dog")
