from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from looks import PROMPT, pipeline
from regard.errors import ArgumentError, PromptError
from regard.explain import propagated_words, word_rollout
from regard.look.generate import generate, generate_each, hiding, pixels_of
from regard.look.prompt import read_whole
from regard.look.settings import Settings


class Plain:
    """A pipeline that calls nobody back after a step."""

    scheduler = SimpleNamespace(config={})

    def __call__(self, prompt, num_inference_steps, guidance_scale, generator):
        return SimpleNamespace(images=[Image.new("RGB", (4, 2))] * len(prompt))


def test_each_edit_is_asked_for_its_own_row_also_beyond_one_batch():
    asked = []

    def noting(row):
        asked.append(row)
        return hiding(range(1, 13))(row)

    edits = [None, *[noting] * 16, None]
    drawn = pixels_of(generate_each(pipeline(), Settings(PROMPT, steps=1), edits)).astype(int)
    assert asked == [*range(1, 16), 0]
    # In batches sums are added in another order, which may tip a rounding.
    assert np.abs(drawn[17] - drawn[0]).max() <= 1
    assert np.abs(drawn[16] - drawn[1]).max() <= 1
    assert np.abs(drawn[1] - drawn[0]).sum() > 3 * np.abs(drawn[17] - drawn[0]).sum()


def test_a_pipeline_that_shows_no_latents_still_makes_images():
    made = generate(Plain(), Settings("a cat", steps=1), rows=2)
    assert made.latents is None
    assert pixels_of(made.images).shape == (2, 2, 4, 3)


def test_a_message_names_who_asks():
    with pytest.raises(PromptError, match="^who: the prompt is empty"):
        Settings(" ", caller="who")
    with pytest.raises(ArgumentError, match="^who: steps is 0 and must be 1 or more"):
        Settings("a cat", steps=0, caller="who")
    with pytest.raises(ArgumentError, match="^who: steps is 1001 and must be at most 1000"):
        generate(pipeline(), Settings("a cat", steps=1001, caller="who"))
    with pytest.raises(PromptError, match="^who: the prompt is longer than the 16 tokens .* 'cat"):
        read_whole(pipeline(), Settings("cat " * 20, caller="who"))
    with pytest.raises(ArgumentError, match="^who: the tokenizer of str is NoneType"):
        read_whole("openmoji", Settings("a cat", caller="who"))


@pytest.mark.parametrize("explanation", [word_rollout, propagated_words])
@pytest.mark.parametrize("words", ["cat", []])
def test_an_explanation_refuses_what_is_no_list_of_words(explanation, words):
    with pytest.raises(ArgumentError, match=f"^{explanation.__name__}: words is"):
        explanation(pipeline(), PROMPT, words=words)
