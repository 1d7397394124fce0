import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import tiny
from regard.errors import ArgumentError
from regard.explain.prompt import DenoiserCall, _along_guidance, word_gradients

PROMPT = "a cat on grass"


@pytest.fixture(scope="module")
def pipeline():
    return tiny.tiny_pipeline()


class Linear(nn.Module):
    """A denoiser whose prediction is the sum of its tokens, on a plane of 2 x 2."""

    def forward(self, sample, timestep, encoder_hidden_states, return_dict=False):
        return (sample + encoder_hidden_states.sum(1)[..., None, None],)


def test_of_a_linear_denoiser_each_token_has_its_share_exactly():
    states, empty = tiny.noise(3, 4), tiny.noise(3, 4, seed=1)
    moment = DenoiserCall(
        Linear(),
        {"sample": tiny.noise(1, 4, 2, 2), "timestep": torch.tensor(3)},
        states,
        empty,
    )
    from regard.explain.integrated import integrated

    ask = _along_guidance(moment, None)
    parts, change = integrated(lambda at: ask(moment.predicted(at)), empty, states, steps=2)
    way = (states - empty).sum(0)
    expected = (states - empty) @ way / (way @ way)
    torch.testing.assert_close(parts.sum(-1), expected, atol=1e-6, rtol=0)
    assert change == pytest.approx(1.0, abs=1e-6)


def test_shares_sum_to_the_whole_guidance_and_the_start_token_has_none(pipeline):
    found = word_gradients(pipeline, PROMPT, num_inference_steps=2, points=32)
    assert found.attrs["answer_change"] == pytest.approx(1.0, abs=1e-5)
    assert found.attrs["completeness_error"] < 0.05
    off = abs(float(found.sum()) - found.attrs["answer_change"])
    assert off == pytest.approx(found.attrs["completeness_error"])
    # A causal encoder says the same of the start token in all prompts.
    assert abs(float(found[0])) < 1e-6
    assert found["word"].values[1:5].tolist() == ["a", "cat", "on", "grass"]


def test_through_the_encoder_only_the_words_differ_from_the_empty_prompt(pipeline):
    found = word_gradients(pipeline, PROMPT, num_inference_steps=1, points=32, through_encoder=True)
    assert found.attrs["completeness_error"] < 0.05
    same = [0, *range(6, 16)]  # start and padding have the embeddings of the empty prompt
    np.testing.assert_allclose(found[same], 0.0, atol=1e-6)


def test_a_question_of_ones_own(pipeline):
    def read(predicted):
        return predicted[:, 0].mean((1, 2))

    found = word_gradients(pipeline, PROMPT, num_inference_steps=1, read=read, points=32)
    error, change = (found.attrs[name] for name in ("completeness_error", "answer_change"))
    assert error < 0.05 * abs(change)
    assert found.attrs["units"] == "answer"


def test_another_region_and_another_step_give_other_shares(pipeline):
    whole = word_gradients(pipeline, PROMPT, num_inference_steps=2, points=4)
    left = xr.DataArray(np.arange(16) < 8, dims="x").expand_dims(y=16)
    half = word_gradients(pipeline, PROMPT, num_inference_steps=2, points=4, region=left)
    later = word_gradients(pipeline, PROMPT, num_inference_steps=2, points=4, step=1)
    assert not np.allclose(whole, half)
    assert not np.allclose(whole, later)
    assert half.attrs["answer_change"] == pytest.approx(1.0, abs=1e-5)


def test_the_model_is_as_before(pipeline):
    before = [len(module._forward_pre_hooks) for module in pipeline.unet.modules()]
    word_gradients(pipeline, PROMPT, num_inference_steps=1, points=2, through_encoder=True)
    assert [len(module._forward_pre_hooks) for module in pipeline.unet.modules()] == before
    assert not pipeline.text_encoder.get_input_embeddings()._forward_hooks
    assert all(weights.grad is None for weights in pipeline.unet.parameters())


def test_wrong_arguments_are_told(pipeline):
    with pytest.raises(ArgumentError, match=r"step is 2 and must lie in 0\.\.1"):
        word_gradients(pipeline, PROMPT, num_inference_steps=2, step=2)
    with pytest.raises(ArgumentError, match="guidance_scale is 1.0 and must be above 1"):
        word_gradients(pipeline, PROMPT, guidance_scale=1.0)
    nowhere = xr.DataArray(np.zeros((4, 4), bool), dims=["y", "x"])
    with pytest.raises(ArgumentError, match="the prompt changes nothing in the region"):
        word_gradients(pipeline, PROMPT, num_inference_steps=1, region=nowhere)
    with pytest.raises(ArgumentError, match="region holds float64 and must be boolean"):
        word_gradients(pipeline, PROMPT, num_inference_steps=1, region=nowhere.astype(float))
