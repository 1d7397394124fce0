import numpy as np
import pytest
import torch
import xarray as xr

from explained import classifier, pictures
from regard.errors import ArgumentError, NothingObserved, UnknownName
from regard.explain.attention import attention, rollout


def eager_maps(model, pixels):
    """What transformers itself returns, [layer][sample, head, query, key]."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model(pixel_values=pixels, output_attentions=True).attentions
    model.set_attn_implementation(before)
    return [each.double().numpy() for each in maps]


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_attention_is_what_transformers_returns(layer):
    model, pixels = classifier(), pictures()
    expected = eager_maps(model, pixels)[layer].mean(1)[:, 0, 1:].reshape(2, 3, 3)
    np.testing.assert_allclose(attention(model, pixels, layer=layer), expected, atol=1e-6)


def test_attention_of_one_head_and_of_a_patch():
    model, pixels = classifier(), pictures()
    expected = eager_maps(model, pixels)[1][:, 1, 1 + 2 * 3 + 1, 1:].reshape(2, 3, 3)
    found = attention(model, pixels, heads=[1], query=(2, 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.attrs["readout"] == "(2, 1)"


def test_what_is_left_of_a_row_went_to_the_class_token():
    found = attention(classifier(), pictures())
    cls = eager_maps(classifier(), pictures())[-1].mean(1)[:, 0, 0]
    np.testing.assert_allclose(found.prefix_mass, cls, atol=1e-6)


def test_rollout_is_the_product_by_hand():
    model, pixels = classifier(), pictures()
    flow = np.eye(10)
    for weights in seen_maps(model, pixels):
        mixed = weights.mean(1) + np.eye(10)  # float32 rows sum to 1 within 1e-7 only
        flow = mixed / mixed.sum(-1, keepdims=True) @ flow
    np.testing.assert_allclose(
        rollout(model, pixels), flow[:, 0, 1:].reshape(2, 3, 3), atol=1e-9, rtol=0
    )


def test_rollout_with_the_maximum_and_without_the_first_layer_by_hand():
    model, pixels = classifier(), pictures()
    weights = 0.75 * seen_maps(model, pixels)[1].max(1) + 0.25 * np.eye(10)
    flow = weights / weights.sum(-1, keepdims=True)
    found = rollout(model, pixels, fusion="max", residual=0.25, start_layer=1)
    np.testing.assert_allclose(found, flow[:, 0, 1:].reshape(2, 3, 3), atol=1e-9, rtol=0)


def seen_maps(model, pixels):
    """The weights as the tap gives them, in double precision; against transformers see above."""
    from regard.tap import Tap

    maps = []
    with torch.no_grad(), Tap(model, observe=[lambda call: maps.append(call.probs())]):
        model(pixel_values=pixels)
    return [each.double().numpy() for each in maps]


def test_registers_and_a_picture_that_is_not_square():
    from tiny import vision_sample

    sample = vision_sample("Dinov2WithRegistersModel", num_register_tokens=4)
    pixels = sample.inputs["pixel_values"]

    def score(pixels):
        return sample.model(pixel_values=pixels).last_hidden_state[:, 0, 0]

    found = rollout(sample.model, pixels, score=score)
    assert found.shape == (2, 3, 2)
    np.testing.assert_allclose(found.sum(("y", "x")) + found.prefix_mass, 1.0)


def test_a_model_without_a_class_token_is_read_from_its_probe_or_the_mean():
    from tiny import vision_sample

    sample = vision_sample("SiglipVisionModel")
    pixels = sample.inputs["pixel_values"]

    def score(pixels):
        return sample.model(pixel_values=pixels, interpolate_pos_encoding=True).pooler_output[:, 0]

    probed = rollout(sample.model, pixels, score=score)
    assert probed.attrs["readout"] == "probe"
    np.testing.assert_allclose(probed.sum(("y", "x")), 1.0)
    first = attention(sample.model, pixels, score=score, layer=0)
    assert first.attrs["readout"] == "mean"
    np.testing.assert_allclose(first.sum(("y", "x")), 1.0, rtol=1e-6)


def test_off_the_training_grid_positions_are_interpolated_by_the_library():
    model, pixels = classifier(), pictures(1, 40, 32)
    assert attention(model, pixels).shape == (1, 5, 4)


def test_unknown_layers_heads_and_queries_are_told():
    model, pixels = classifier(), pictures(1)
    with pytest.raises(ArgumentError, match=r"attention: layer is 2, and there are layers 0"):
        attention(model, pixels, layer=2)
    with pytest.raises(UnknownName, match=r"no layer is named 'vi'"):
        attention(model, pixels, layer="vi")
    with pytest.raises(ArgumentError, match="attention: 'vit' is a part of 2 layers: .* Name one"):
        attention(model, pixels, layer="vit")
    with pytest.raises(ArgumentError, match=r"heads are \[2\] and must be some of 0\.\.1"):
        attention(model, pixels, heads=[2])
    with pytest.raises(UnknownName, match=r"no query segment is named 'register'"):
        attention(model, pixels, query="register")
    with pytest.raises(ArgumentError, match=r"query is patch \(3, 0\)"):
        attention(model, pixels, query=(3, 0))
    with pytest.raises(ArgumentError, match="rollout: fusion is 'sum'"):
        rollout(model, pixels, fusion="sum")


def test_a_model_that_runs_twice_for_one_answer_is_refused():
    model, pixels = classifier(), pictures(1)

    def twice(pixels):
        return sum(model(pixel_values=pixels).logits[:, 0] for _ in range(2))

    with pytest.raises(ArgumentError, match="ran more than once"):
        rollout(model, pixels, score=twice)


def test_a_model_without_image_tokens_is_told():
    model = torch.nn.MultiheadAttention(4, 1, batch_first=True).eval()

    def score(pixels):
        return model(*(pixels.flatten(2)[..., :4],) * 3)[0].sum((1, 2))

    with pytest.raises(ArgumentError, match="no token layout is known for MultiheadAttention"):
        rollout(model, pictures(1), score=score)
    network = torch.nn.Conv2d(3, 1, 24).eval()
    with pytest.raises(NothingObserved):
        rollout(network, pictures(1), score=lambda pixels: network(pixels)[:, 0, 0, 0])


def test_the_maps_are_labelled():
    found = rollout(classifier(), pictures())
    assert isinstance(found, xr.DataArray)
    assert found.attrs["options"]["fusion"] == "mean"
    assert found.attrs["units"] == "attention weight"
