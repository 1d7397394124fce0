"""What must hold for every family of text-to-image models behind `TextToImage`."""

from dataclasses import replace

import pytest
import torch

import joint
import tiny
from regard.generation import Request, generate
from regard.models import TextToImage, add_family, forget_family
from regard.models.capture import capture
from regard.models.families import FAMILIES
from regard.tap import Tap
from regard.tap.family import family_of
from regard.zoo.bundled import weights_folder

PIPELINES = {
    "UNet2DConditionModel": tiny.tiny_pipeline,
    "SD3Transformer2DModel": joint.tiny_sd3_pipeline,
    "FluxTransformer2DModel": joint.tiny_flux_pipeline,
}
REQUEST = Request("a cat on grass", seed=1, num_inference_steps=2, height=16, width=16)


@pytest.fixture(scope="module", params=PIPELINES)
def model(request):
    return TextToImage.of(PIPELINES[request.param]())


@pytest.fixture(scope="module")
def calls(model):
    """Every attention call of one generation, and its layers as the tap saw them."""
    seen = []

    def note(call):
        seen.append((call.layer, call.stage or "", call.shape[1], call.layout.kind))

    with Tap(model.tapped, observe=[note]) as tap:
        alone = generate(model, [REQUEST])[0]
    return seen, tap.layers, alone


def test_every_registered_family_is_tested():
    assert set(PIPELINES) == set(FAMILIES)


def test_the_record_has_the_layout_of_the_tap(model):
    tapped = family_of(model.denoiser)
    record = FAMILIES[type(model.denoiser).__name__]
    assert model.family is record
    assert tapped.layout is record.layout
    stages = record.stage or (lambda path: None)
    for layer in model.layers:
        assert tapped.stage(layer.path) == stages(layer.path)


def test_layers_are_those_that_the_tap_saw(model, calls):
    seen, layers, _ = calls
    assert [layer.path for layer in model.layers] == list(layers)
    told = {(layer.path, layer.stage, layer.heads, layer.kind) for layer in model.layers}
    assert set(seen) == told


def test_attention_is_joint_where_the_record_says_so(model, calls):
    assert ("joint" in {kind for *_, kind in calls[0]}) is model.has_joint_attention


def test_initial_noise_has_the_shape_that_the_record_says(model):
    captured = capture(model, lambda: generate(model, [REQUEST]))
    rows, columns = (side // model.pipeline.vae_scale_factor for side in REQUEST.size)
    channels = model.denoiser.config.in_channels
    assert tuple(captured.first.shape) == model.family.noise((rows, columns), channels)
    assert torch.is_tensor(captured.inputs[model.family.latents])
    made = generate(model, [replace(REQUEST, latents=captured.first)])[0]
    assert torch.equal(made.latents, generate(model, [REQUEST])[0].latents)


def test_a_batch_of_two_prompts_is_two_single_runs(model, calls):
    other = replace(REQUEST, prompt="two red dogs", seed=2)
    together = generate(model, [REQUEST, other])
    single = [calls[2], *generate(model, [other])]
    for one, alone in zip(together, single, strict=True):
        torch.testing.assert_close(one.latents, alone.latents, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(single[0].latents, single[1].latents, atol=0.1)


def test_a_folder_the_pipeline_and_the_object_give_the_same(model, calls, tmp_path):
    model.pipeline.save_pretrained(tmp_path)
    for same in (tmp_path, str(tmp_path), model.pipeline, model):
        opened = TextToImage.of(same)
        assert opened.fingerprint == model.fingerprint
        assert opened.layers == model.layers
        made = generate(opened, [REQUEST])[0]
        assert torch.equal(made.latents, calls[2].latents)
        assert made.image.tobytes() == calls[2].image.tobytes()


def test_under_another_name_a_family_is_the_same(model, calls):
    record, kinds = model.family, []
    with tiny.renamed(type(model.denoiser), "Painter"):
        add_family("Painter", record)
        try:
            opened = TextToImage.of(model.pipeline)
            assert opened.family is record
            assert opened.layers == model.layers
            with Tap(opened.tapped, observe=[lambda call: kinds.append(call.layout.kind)]):
                made = generate(opened, [REQUEST])[0]
        finally:
            forget_family("Painter")
    assert kinds == [kind for *_, kind in calls[0]]
    assert torch.equal(made.latents, calls[2].latents)


def test_a_name_is_its_folder():
    request = Request("a cat", num_inference_steps=1)
    named, folder = TextToImage.of("openmoji"), TextToImage.of(weights_folder("openmoji"))
    assert named.fingerprint == folder.fingerprint
    assert (named.defaults["guidance_scale"], folder.defaults["guidance_scale"]) == (4.0, 7.5)
    decided = replace(request, guidance_scale=4.0)
    one, other = (generate(each, [decided])[0] for each in (named, folder))
    assert torch.equal(one.latents, other.latents)
