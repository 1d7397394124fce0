import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

import tiny
from regard.errors import ArgumentError, UnknownName
from regard.explain import Propagation, word_regions
from regard.tap import Tap
from tiny import generate, tiny_pipeline

PROMPT = "a cat on grass"  # start, a, cat, on, grass, end
WORDS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


def dense(pipeline):
    """Shares of the four words, [token, patch], from whole maps of attention."""
    steps = {}

    def keep(call):
        rows = call.rows_of("cond")
        probs = call.probs(batch=rows)[0].double().mean(0)
        steps.setdefault(call.step, []).append((call.kind, call.layout.queries[0].grid, probs))

    with Tap(pipeline, observe=[keep]):
        generate(pipeline, PROMPT, steps=2)
    maps = []
    for calls in steps.values():
        cross = [
            interpolate(p[:, WORDS].T.reshape(1, 4, *g), (8, 8), mode="bilinear")[0].flatten(1)
            for kind, g, p in calls
            if kind == "cross"
        ]
        own = torch.stack([p for kind, g, p in calls if kind == "self" and g == (8, 8)]).mean(0)
        mean = torch.stack(cross).mean(0)
        maps.append((mean + mean @ own.T) / 2)
    total = torch.stack(maps).mean(0)
    return (total / total.sum(0)).numpy()


def test_regions_are_what_whole_maps_give(pipeline):
    shares = dense(pipeline)
    found = word_regions(pipeline, PROMPT, num_inference_steps=2)
    assert list(found.word.values) == ["a", "cat", "on", "grass"]
    np.testing.assert_allclose(found.values.reshape(4, -1), shares, rtol=1e-4)
    np.testing.assert_allclose(found.sum("word"), 1.0, rtol=1e-6)


def test_words_that_are_named_keep_their_tokens_to_themselves(pipeline):
    shares = dense(pipeline)
    both = word_regions(pipeline, PROMPT, words=["cat", "on"], num_inference_steps=2, carriers=True)
    expected = [shares[1], shares[2] + shares[3]]  # "on" is asked for, so it is not the cat's
    np.testing.assert_allclose(both.values.reshape(2, -1), expected, rtol=1e-4)
    alone = word_regions(pipeline, PROMPT, words=["cat"], num_inference_steps=2, carriers=True)
    np.testing.assert_allclose(alone.values.reshape(-1), shares[1] + shares[2], rtol=1e-4)


def test_all_of_a_map_may_stay():
    sample, kept = tiny.unet_sample(), Propagation([1], stay=1.0)
    still = Propagation([1], power=0)
    with torch.no_grad(), Tap(sample.model, observe=[kept, still], conditions=("cond",)):
        sample.model(**sample.inputs)
    torch.testing.assert_close(kept.result()[0], still.result()[0])


@pytest.mark.parametrize("stay", [-0.1, 1.1, float("nan")])
def test_a_share_that_cannot_stay_is_refused(stay):
    with pytest.raises(ArgumentError, match=r"stay is .* and must be a finite number in 0..1"):
        Propagation([1], stay=stay)


def test_bad_questions_are_refused(pipeline):
    with pytest.raises(UnknownName):
        word_regions(pipeline, PROMPT, words=["dog"], num_inference_steps=1)
    with pytest.raises(UnknownName, match="no layer is named 'nowhere'"):
        word_regions(pipeline, PROMPT, words=["cat"], num_inference_steps=1, through="nowhere")
