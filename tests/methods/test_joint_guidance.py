"""PAG and SEG on joint attention, against attention written out by hand inside the model."""

import math

import pytest
import torch

from joint import SD35, tiny_sd3_pipeline
from looks import PROMPT, generated
from regard.errors import ArgumentError
from regard.generation import Request
from regard.methods import perturbed_attention_guidance, smoothed_energy_guidance

PATCHES = 16  # 4 x 4, before the tokens of the text


def split(attention, tensor, norm):
    """One projection as [image, head, token, width], normed as the layer says."""
    heads = tensor.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
    return heads if norm is None else norm(heads)


class ByHand:
    """The attention of one layer of Stable Diffusion 3, with the scores changed by hand."""

    def __init__(self, change):
        self.change = change

    def __call__(self, layer, hidden_states, encoder_hidden_states=None, **_):
        image, text = hidden_states, encoder_hidden_states
        query = split(layer, layer.to_q(image), layer.norm_q)
        key = split(layer, layer.to_k(image), layer.norm_k)
        value = split(layer, layer.to_v(image), None)
        if text is not None:
            more = split(layer, layer.add_q_proj(text), layer.norm_added_q)
            query = torch.cat([query, more], 2)
            key = torch.cat([key, split(layer, layer.add_k_proj(text), layer.norm_added_k)], 2)
            value = torch.cat([value, split(layer, layer.add_v_proj(text), None)], 2)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        out = (self.change(scores).softmax(-1) @ value).transpose(1, 2).flatten(2)
        own = layer.to_out[0](out[:, :PATCHES])
        if text is None:
            return own
        rest = out[:, PATCHES:]
        return own, rest if layer.context_pre_only else layer.to_add_out(rest)


def alone(scores):
    """No patch has another patch left; text is as it was, and so is what text asks."""
    changed = scores.clone()
    apart = ~torch.eye(PATCHES, dtype=torch.bool)
    changed[..., :PATCHES, :PATCHES].masked_fill_(apart, -torch.inf)
    return changed


def averaged(scores):
    """Each patch asks what all ask on average; what text asks is as it was."""
    changed = scores.clone()
    changed[..., :PATCHES, :] = scores[..., :PATCHES, :].mean(-2, keepdim=True)
    return changed


def outputs(model, *methods, guidance=4.0, note=None):
    """What the scheduler gets in one step."""
    settings, received = Request(PROMPT, num_inference_steps=1, guidance_scale=guidance), []
    step = model.scheduler.step
    model.scheduler.step = lambda output, *a, **k: received.append(output) or step(output, *a, **k)
    hook = model.transformer.register_forward_hook(note, with_kwargs=True) if note else None
    try:
        generated(model, settings, [{"methods": methods}])
    finally:
        del model.scheduler.step
        if hook is not None:
            hook.remove()
    return received[-1]


CASES = [(perturbed_attention_guidance, alone), (smoothed_energy_guidance, averaged)]


@pytest.mark.parametrize(("method", "change"), CASES)
@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("layer", ["transformer_blocks.0.attn", "transformer_blocks.0.attn2"])
def test_the_push_is_that_of_attention_by_hand(method, change, guidance, layer):
    model, given = tiny_sd3_pipeline(**SD35), []
    bare = outputs(
        model, guidance=guidance, note=lambda _, args, kwargs, out: given.append((kwargs, out[0]))
    )
    inputs, whole = given[0]
    halves = 2 if guidance > 1 else 1
    own = {
        name: value.chunk(halves)[-1] if torch.is_tensor(value) and len(value) == halves else value
        for name, value in inputs.items()
    }
    attention = model.transformer.get_submodule(layer)
    assert attention.norm_q is not None
    present, attention.processor = attention.processor, ByHand(lambda scores: scores)
    with torch.no_grad():
        same = model.transformer(**own)[0]
        torch.testing.assert_close(same, whole.chunk(halves)[-1], rtol=0, atol=1e-5)
        attention.processor = ByHand(change)
        other = model.transformer(**own)[0]
    attention.processor = present
    expected = bare + 3.0 * (whole.chunk(halves)[-1] - other)
    assert not torch.allclose(expected, bare, atol=1e-3)
    pushed = outputs(model, method(3.0, where={"layers": layer}), guidance=guidance)
    torch.testing.assert_close(pushed, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", [perturbed_attention_guidance, smoothed_energy_guidance])
def test_a_transformer_has_no_middle_so_layers_are_named(method):
    wrong = f"^{method.__name__}: stage is 'mid', .* Name layers with layers=, such as 'transformer"
    with pytest.raises(ArgumentError, match=wrong):
        outputs(tiny_sd3_pipeline(**SD35), method())
