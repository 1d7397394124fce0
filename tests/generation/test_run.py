import numpy as np
import pytest
import torch
from PIL import Image

from joint import tiny_flux_pipeline
from looks import PROMPT, generated, pipeline
from regard.arguments import speaking
from regard.errors import ArgumentError, Cancelled, PromptError
from regard.explain import propagated_words, word_rollout
from regard.generation import Request
from regard.generation.hidden import masking
from regard.models import TextToImage
from tiny import generate, tiny_pipeline


def test_each_method_changes_its_own_row_also_beyond_one_batch():
    changes = [{}, *[{"methods": (masking(range(1, 13)),)}] * 16, {}]
    made = generated(pipeline(), Request(PROMPT, num_inference_steps=1), changes)
    pixels = np.stack([np.asarray(each.image) for each in made]).astype(int)
    # In batches sums are added in another order, which may tip a rounding.
    assert np.abs(pixels[17] - pixels[0]).max() <= 1
    assert np.abs(pixels[16] - pixels[1]).max() <= 1
    assert np.abs(pixels[1] - pixels[0]).sum() > 3 * np.abs(pixels[17] - pixels[0]).sum()


def test_rows_of_different_prompts_are_what_they_are_alone():
    prompts = ["a cat on grass", "two dogs", "a red car"]
    together = generated(
        pipeline(), Request(PROMPT, num_inference_steps=2), [{"prompt": each} for each in prompts]
    )
    for prompt, each in zip(prompts, together, strict=True):
        alone = generate(pipeline(), prompt, guidance=7.5)
        torch.testing.assert_close(each.latents, alone, rtol=0, atol=5e-5)


def test_a_message_names_the_verb_under_way():
    model = TextToImage.of(pipeline())
    with speaking("who"):
        with pytest.raises(PromptError, match="^who: the prompt is empty"):
            Request(" ")
        with pytest.raises(ArgumentError, match="^who: num_inference_steps is 0 and must be 1 or"):
            Request("a cat", num_inference_steps=0)
        with pytest.raises(ArgumentError, match="^who: num_inference_steps is 1001 and must be at"):
            model.decide(Request("a cat", num_inference_steps=1001))
        with pytest.raises(
            PromptError, match="^who: the prompt is longer than the 16 tokens .* 'c"
        ):
            model.tokenize("cat " * 20, whole=True)


@pytest.mark.parametrize("explanation", [word_rollout, propagated_words])
@pytest.mark.parametrize("words", ["cat", []])
def test_an_explanation_refuses_what_is_no_list_of_words(explanation, words):
    with pytest.raises(ArgumentError, match=f"^{explanation.__name__}: words is"):
        explanation(pipeline(), PROMPT, words=words)


# ---------------------------------------------------------------- events


def test_every_step_is_an_event_with_its_number_timestep_and_latents():
    events = []
    (made,) = generated(pipeline(), Request(PROMPT, num_inference_steps=3), on_step=events.append)
    assert [(each.step, each.total) for each in events] == [(0, 3), (1, 3), (2, 3)]
    assert [each.timestep for each in events] == [float(t) for t in pipeline().scheduler.timesteps]
    assert torch.equal(events[-1].latents, made.latents)


@pytest.mark.parametrize("which", [pipeline, tiny_flux_pipeline])
def test_a_preview_is_an_image_with_a_pixel_for_each_latent(which):
    events = []
    generated(which(), Request("a cat", num_inference_steps=1), on_step=events.append)
    (preview,) = events[0].preview()
    assert isinstance(preview, Image.Image)
    assert preview.size == (8, 8)


def test_a_preview_looks_like_what_the_decoder_makes():
    """By the bundled model: its own image, reduced to the size of the preview."""
    events = []
    (made,) = generated(
        "openmoji", Request("a cat on the beach", num_inference_steps=8), on_step=events.append
    )
    (preview,) = events[-1].preview()
    reduced = made.image.resize(preview.size, Image.Resampling.BOX)
    one, other = (np.asarray(each, float).ravel() for each in (preview, reduced))
    assert np.corrcoef(one, other)[0, 1] > 0.8


def test_a_generation_that_is_cancelled_ends_at_once_and_leaves_the_model_as_it_was():
    model, done = tiny_pipeline(), []
    before = generate(model, PROMPT)

    def cancel(event):
        done.append(event.step)
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        generated(model, Request(PROMPT, num_inference_steps=5), on_step=cancel)
    assert done == [0]
    assert torch.equal(generate(model, PROMPT), before)
    assert "step" not in vars(model.scheduler)
