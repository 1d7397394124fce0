from dataclasses import replace

import pytest
import torch

import tiny
from looks import pipeline
from regard.errors import ArgumentError
from regard.look import look
from regard.methods import scale
from regard.models import Family, TextPart, TextToImage, add_family, forget_family
from regard.models.families import FAMILIES
from regard.tap import Tap, TokenLayout, layout_for, segments
from regard.tap.family import forget_layout

KNOWN = FAMILIES["UNet2DConditionModel"]


@pytest.fixture
def unknown():
    """The UNet under a name that neither the tap nor a table of families has."""
    forget_family("PainterUNet")  # which the page of concepts registers
    with tiny.renamed(type(pipeline().unet), "PainterUNet"):
        yield
        forget_family("PainterUNet")


@pytest.mark.usefixtures("unknown")
def test_an_unknown_family_is_refused_with_what_registers_it():
    with pytest.raises(
        ArgumentError,
        match=r"is a PainterUNet, .* Known are a UNet, Stable Diffusion 3, FLUX\.1\. "
        r"Register another with regard\.models\.add_family\.",
    ):
        TextToImage.of(pipeline())


@pytest.mark.usefixtures("unknown")
def test_a_record_replaces_what_it_says():
    add_family("PainterUNet", replace(KNOWN, name="mine", unit=lambda pipeline: 16))
    model = TextToImage.of(pipeline())
    assert model.family.name == "mine"
    with pytest.raises(ArgumentError, match="16"):
        look(model, "a cat", height=24, width=24)


def laid(model, inputs, shape):
    """Self-attention and cross-attention on one plane."""
    rows, columns = inputs["sample"].shape[-2:]
    image = segments(("image", shape.queries, (rows, columns)))
    return TokenLayout(
        image, segments(("text", shape.keys)) if shape.layer.endswith("attn2") else image
    )


@pytest.mark.usefixtures("unknown")
def test_one_record_is_all_that_a_family_needs():
    flat = tiny.tiny_pipeline(attention_at=(True, False))
    mid = flat.unet.mid_block  # of another resolution, which this family knows nothing of
    mid.attentions[0].forward = lambda states, **given: (states,)
    mine = Family(
        "Painter", laid, lambda pipeline: [TextPart.of(pipeline, "")], lambda pipeline: 8,
        latents="sample",
    )  # fmt: skip
    add_family("PainterUNet", mine)
    seen = look(flat, "a cat", num_inference_steps=1, seed=3)
    assert seen.trace.word_names == ("a", "cat")
    assert seen.trace.heatmap("cat").shape == (8, 8)
    assert {layer.stage for layer in TextToImage.of(flat).layers} == {""}
    bare = tiny.generate(flat, "a cat", steps=1, seed=3)
    torch.testing.assert_close(seen.latents, bare)
    changed = look(flat, "a cat", num_inference_steps=1, seed=3, methods=[scale({"cat": 3.0})])
    assert not torch.equal(changed.latents, seen.latents)
    with Tap(flat.unet) as tap:  # the denoiser alone has its layout too
        flat.unet(tiny.noise(1, 4, 8, 8), 1, tiny.noise(1, 5, 16))
    assert set(tap.kinds) == {"self", "cross"}


@pytest.mark.usefixtures("unknown")
def test_what_is_forgotten_is_unknown_to_the_tap_too():
    add_family("PainterUNet", KNOWN)
    assert {layer.stage for layer in TextToImage.of(pipeline()).layers} == {"down", "mid", "up"}
    forget_family("PainterUNet")
    with Tap(pipeline().unet) as tap:
        pipeline().unet(tiny.noise(1, 4, 8, 8), 1, tiny.noise(1, 5, 16))
    assert tap.kinds == ()


@pytest.mark.usefixtures("unknown")
def test_a_family_is_registered_once():
    add_family("PainterUNet", KNOWN)
    with pytest.raises(ArgumentError, match="'PainterUNet' has a family already"):
        add_family("PainterUNet", KNOWN)
    with pytest.raises(ArgumentError, match="'FluxTransformer2DModel' has a family already"):
        add_family("FluxTransformer2DModel", KNOWN)


def test_a_class_with_a_layout_gets_no_second_one():
    layout_for("Pixels")(laid)
    try:
        with pytest.raises(ArgumentError, match="'Pixels' has a family already"):
            add_family("Pixels", KNOWN)
        forget_family("Pixels")  # registers nothing, so takes nothing back
        with pytest.raises(ArgumentError, match="'Pixels' has a family already"):
            add_family("Pixels", KNOWN)
    finally:
        forget_layout("Pixels")
