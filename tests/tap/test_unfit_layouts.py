"""What is not known is never called text, class token or image: layouts fit, or are refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from regard.errors import ArgumentError
from regard.look import look
from regard.tap import AttentionCall, Segment, Select, Tap, TokenLayout, segments
from tiny import noise, tiny_pipeline, tiny_unet, tiny_vit, vision_sample

INPUTS = {"timestep": 10, "encoder_hidden_states": noise(2, 5, 16), "return_dict": False}


class Shared:
    """Attention to keys of one's own and to those of the first image, in either order."""

    def __init__(self, *, own_first: bool = True) -> None:
        self.own_first = own_first

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        given = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.to_q(hidden_states), attn.to_k(given), attn.to_v(given)
        q, k, v = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
        if encoder_hidden_states is None:
            parts = [lambda x: x, lambda x: x[:1].expand_as(x)][:: 1 if self.own_first else -1]
            k, v = (torch.cat([part(x) for part in parts], 2) for x in (k, v))
        out = functional.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def calls_of(model: nn.Module, *args, **inputs) -> list[AttentionCall]:
    calls: list[AttentionCall] = []
    with torch.no_grad(), Tap(model, observe=[calls.append]):
        model(*args, **inputs)
    return calls


@pytest.mark.parametrize("own_first", [True, False])
def test_keys_of_another_image_are_not_text(own_first):
    pipeline = tiny_pipeline()
    plain = look(pipeline, "a cat on grass", num_inference_steps=2)
    pipeline.unet.set_attn_processor(Shared(own_first=own_first))
    shared = look(pipeline, "a cat on grass", num_inference_steps=2)
    assert list(shared.trace.layers) == list(plain.trace.layers)
    assert all(layer.endswith("attn2") for layer in shared.trace.layers)
    for (
        maps
    ) in shared.trace.word_maps.values():  # all tokens, the padding too, of a row of the text
        np.testing.assert_allclose(maps.sum("token").values, 1.0, rtol=1e-5)
    calls = calls_of(pipeline.unet, noise(2, 4, 8, 8), **INPUTS)
    own = [call for call in calls if call.layer.endswith("attn1")]
    assert {call.kind for call in own} == {"self"}
    assert {segment.name for call in own for segment in call.layout.keys} == {"other"}


def test_keys_that_a_processor_adds_to_the_text_are_not_text():
    class Longer(Shared):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **given):
            if encoder_hidden_states is not None:
                encoder_hidden_states = encoder_hidden_states.repeat(1, 2, 1)
            return super().__call__(attn, hidden_states, encoder_hidden_states, **given)

    unet = tiny_unet()
    unet.set_attn_processor(Longer())
    cross = [c for c in calls_of(unet, noise(2, 4, 8, 8), **INPUTS) if c.layer.endswith("attn2")]
    assert {(call.kind, call.layout.keys[0].name) for call in cross} == {("cross", "other")}


def test_as_many_words_as_patches_are_told_apart_by_the_module():
    unet, text = tiny_unet(), noise(2, 16, 16)
    calls = calls_of(unet, noise(2, 4, 8, 8), **{**INPUTS, "encoder_hidden_states": text})
    middle = [call for call in calls if call.stage == "mid"]
    assert [call.shape[2:] for call in middle] == [(16, 16)] * 2
    assert [(call.kind, call.layout.keys[0].name) for call in middle] == [
        ("self", "image"),
        ("cross", "text"),
    ]


def test_added_keys_are_what_the_encoder_gave():
    """As in IF (text), Kandinsky 2.1 (an image's tokens, then text) and 2.2 (an image's alone)."""
    from diffusers import UNet2DConditionModel

    def keys(**changes) -> list[str]:
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=8,
            norm_num_groups=4,
            **changes,
        ).eval()
        added = {"image_embeds": noise(2, 16)}
        text = None if changes.get("encoder_hid_dim_type") == "image_proj" else noise(2, 5, 16)
        calls = calls_of(
            unet, noise(2, 4, 8, 8), 10, encoder_hidden_states=text, added_cond_kwargs=added
        )
        return [f"{part.name}:{len(part)}" for part in calls[0].layout.keys]

    assert keys() == ["text:5", "image:16"]
    assert keys(encoder_hid_dim=16, encoder_hid_dim_type="text_image_proj") == [
        "image_prompt:10",
        "text:5",
        "image:16",
    ]
    # Diffusers makes 32 tokens of an image where it is not told how many.
    assert keys(encoder_hid_dim=16, encoder_hid_dim_type="image_proj") == [
        "image_prompt:32",
        "image:16",
    ]


@pytest.mark.parametrize("wrong", [-3, 1.0, True, None, "4", float("nan")])
def test_a_length_that_is_no_count_is_refused(wrong):
    with pytest.raises(ArgumentError, match="length of 'cls' is .* must be a whole number"):
        segments(("cls", wrong), ("image", 4, (2, 2)))


@pytest.mark.parametrize("grid", [(2, 3), (-2, -2), (2, 2, 1), 4, (1.0, 4), (True, 4), "22", ()])
def test_a_grid_of_another_product_or_kind_is_refused(grid):
    with pytest.raises(ArgumentError, match=r"^segments: "):
        segments(("image", 4, grid))


@pytest.mark.parametrize("ends", [(3, 3), (3, 1), (-1, 2), (False, 1)])
def test_a_segment_has_a_token_at_least(ends):
    with pytest.raises(ArgumentError):
        Segment("image", *ends)


def test_whole_numbers_of_numpy_are_lengths():
    assert segments(("image", np.int64(4), (np.int64(2), 2)))[0] == Segment("image", 0, 4, (2, 2))


@pytest.mark.parametrize("axis", [((1, 3),), ((0, 2), (1, 3)), ((0, 2), (3, 4))])
def test_segments_that_do_not_lie_end_to_end_are_refused(axis):
    parts = tuple(Segment("text", *ends) for ends in axis)
    with pytest.raises(ArgumentError, match="must lie end to end from 0 on"):
        TokenLayout(parts, parts)


def test_a_layout_of_ones_own_that_does_not_sum_up_is_refused_with_the_cure():
    image = segments(("image", 4, (2, 2)))
    with (
        pytest.raises(
            ArgumentError,
            match=r"layout of ViTModel does not fit layer .*0.*: it says 4 queries .* has 10\.",
        ),
        Tap(tiny_vit(), layout=lambda *_: TokenLayout(image, image)) as tap,
    ):
        tap._roots[0].model(noise(1, 3, 24, 24))


def test_a_layout_may_say_that_it_does_not_know():
    model, kinds = tiny_vit(), []
    with (
        torch.no_grad(),
        Tap(model, layout=lambda *_: None, observe=[lambda c: kinds.append(c.layout)]),
    ):
        model(noise(1, 3, 24, 24))
    assert kinds == [None, None]
    with (
        pytest.raises(ArgumentError, match="no token layout is known"),
        Tap(model, observe=[(Select(kind="self"), print)], layout=lambda *_: None),
    ):
        model(noise(1, 3, 24, 24))


def test_a_vision_transformer_that_prunes_patches_is_refused():
    model = tiny_vit()
    second = model.get_submodule(
        next(n for n, _ in model.named_modules() if n.endswith("layer.1") or n.endswith("layers.1"))
    )
    second.register_forward_pre_hook(lambda module, args: (args[0][:, :7], *args[1:]))
    with (
        pytest.raises(
            ArgumentError,
            match=r"does not fit layer .*1.*: it says 10 queries \(cls:1 \+ image:9\), .* has 7\.",
        ),
        Tap(model),
    ):
        model(noise(1, 3, 24, 24))


def test_pictures_of_a_size_that_positions_are_not_for_are_refused():
    sample = vision_sample("SiglipVisionModel")
    given = {**sample.inputs, "pixel_values": noise(1, 3, 8, 8), "interpolate_pos_encoding": False}
    with (
        pytest.raises(ArgumentError, match=r"does not fit .*\(image:1\), and the layer has 9"),
        Tap(sample.model),
    ):
        sample.model(**given)
