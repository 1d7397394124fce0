import math

import pytest
import torch

from joint import flux_sample, sd3_sample
from regard.errors import ArgumentError, NothingObserved
from regard.tap import (
    AttentionCall,
    HeatMap,
    LayerMean,
    OutputMap,
    Parity,
    Select,
    Tap,
    TokenLayout,
    hide,
    segments,
)
from regard.tap.weights import Fused, Replaced
from tiny import generate, noise, tiny_pipeline, tiny_vit


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


def call_with(weights: list, *, grid=(1, 2), heads: int = 1, **facts) -> AttentionCall:
    """Two image queries and three text keys, with weights that a reader can add up."""
    rows = grid[0] * grid[1]
    probs = torch.tensor(weights).reshape(1, heads, rows, 3)
    query, key = torch.zeros(1, heads, rows, 4), torch.zeros(1, heads, 3, 4)
    layout = TokenLayout(segments(("image", rows, grid)), segments(("text", 3)))
    facts = {"layer": "attn", "conditions": ("cond",), "layout": layout} | facts
    return AttentionCall(Replaced(query, key, probs), key, **facts)


ONE = [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]
TWO = [[0.1, 0.3, 0.6], [0.3, 0.1, 0.6]]


def test_maps_are_laid_out_by_hand():
    heat = HeatMap([2, 0])
    heat(call_with(ONE, step=0, timestep=900.0))
    heat(call_with(TWO, step=1, timestep=800.0))
    (layer,) = heat.result()
    assert layer.maps.shape == (1, 2, 1, 2, 1, 2)
    expected = torch.tensor([[[[0.2, 0.8]], [[0.5, 0.1]]], [[[0.6, 0.6]], [[0.1, 0.3]]]])
    torch.testing.assert_close(layer.maps[0, :, 0], expected)
    assert (layer.layer, layer.kind, layer.grid, layer.heads) == ("attn", "cross", (1, 2), 1)
    assert (layer.steps, layer.timesteps) == ([0, 1], [900.0, 800.0])


def test_axes_that_are_not_kept_are_means():
    heat = HeatMap([0], keep=("layer",))
    heat(call_with([ONE, TWO], heads=2, step=0))
    heat(call_with([TWO, TWO], heads=2, step=1))
    (layer,) = heat.result()
    assert layer.maps.shape == (1, 1, 1, 1, 1, 2)
    # Step 0: mean of (0.5, 0.1) and (0.1, 0.3); step 1: (0.1, 0.3); then their mean.
    torch.testing.assert_close(layer.maps.flatten(), torch.tensor([0.2, 0.25]))
    assert layer.steps == [0, 1]
    assert layer.heads == 2


def test_two_evaluations_in_one_step_are_averaged():
    heat = HeatMap([0])
    heat(call_with(ONE, pass_=0))
    heat(call_with(TWO, pass_=1))
    torch.testing.assert_close(heat.result()[0].maps.flatten(), torch.tensor([0.3, 0.2]))


def test_layers_of_different_grids_are_averaged_on_the_largest():
    heat = HeatMap([0], keep=("step",))
    heat(call_with([ONE[0]], grid=(1, 1), layer="coarse"))
    heat(call_with(ONE, grid=(1, 2), layer="fine"))
    (layer,) = heat.result()
    assert (layer.layer, layer.grid) == ("mean", (1, 2))
    # The one coarse value spreads over both patches: (0.5, 0.5); fine: (0.5, 0.1).
    torch.testing.assert_close(layer.maps.flatten(), torch.tensor([0.5, 0.3]))


def test_a_new_run_starts_afresh():
    heat = HeatMap([0])
    heat(call_with(ONE, run=0))
    heat(call_with(TWO, run=1))
    torch.testing.assert_close(heat.result()[0].maps.flatten(), torch.tensor([0.1, 0.3]))


def test_maps_of_all_kinds_of_keeping_agree(pipeline):
    full = HeatMap([1, 2])
    others = {keep: HeatMap([1, 2], keep=keep) for keep in (("layer",), ("step", "layer"), ())}
    with Tap(pipeline, observe=[full, *others.values()]):
        generate(pipeline, ["a cat", "a red dog"], steps=3)
    for one, other in zip(full.result(), others[("layer",)].result(), strict=True):
        assert one.maps.shape[:4] == (2, 3, 2, 2)
        torch.testing.assert_close(one.maps.mean((1, 2), keepdim=True), other.maps)
    for one, other in zip(full.result(), others[("step", "layer")].result(), strict=True):
        torch.testing.assert_close(one.maps.mean(2, keepdim=True), other.maps)
    (mean,) = others[()].result()
    assert mean.maps.shape == (2, 1, 1, 2, 8, 8)
    masses = torch.stack([layer.maps.mean((1, 2, 4, 5)) for layer in full.result()]).mean(0)
    torch.testing.assert_close(mean.maps.mean((1, 2, 4, 5)), masses)


def test_places_come_with_the_maps(pipeline):
    heat = HeatMap([1])
    with Tap(pipeline, observe=[heat]):
        generate(pipeline, steps=1)
    stages = [layer.stage for layer in heat.result()]
    assert stages == ["down", "down", "mid", "up", "up", "up", "up"][: len(stages)]
    assert {layer.grid for layer in heat.result()} == {(8, 8), (4, 4)}


def test_heat_maps_of_nothing_say_so():
    heat = HeatMap([0])
    with torch.no_grad(), Tap(tiny_vit(), observe=[heat]) as tap:
        tap._roots[0].model(torch.zeros(1, 3, 24, 24))
    with pytest.raises(
        NothingObserved, match="none of 2 attention calls had image queries and text"
    ):
        heat.result()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeatMap([]), r"tokens are \[\] and must be indices >= 0"),
        (lambda: HeatMap([-1]), r"tokens are \[-1\]"),
        (
            lambda: HeatMap([0], keep=("heads",)),
            r"keep has 'heads', which is not one of step, layer, head",
        ),
        (
            lambda: HeatMap([3])(call_with(ONE)),
            r"token 3 is not in the text of attn, which has 3 tokens",
        ),
        (lambda: hide([]), r"hide: tokens are \[\]"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_parity_is_rounding_for_a_whole_generation(pipeline):
    parity = Parity()
    with Tap(pipeline, observe=[parity]):
        generate(pipeline)
    assert parity.result() < 1e-5


def test_parity_finds_weights_that_do_not_explain_the_output():
    query, value = torch.zeros(1, 1, 2, 4), torch.tensor([[[[0.0], [2.0]]]])
    parity = Parity()
    # P V = (0 + 2) / 2 = 1, but the layer gave 4: off by 3 of 4.
    parity(AttentionCall(Fused(query, query), value, output=torch.full((1, 1, 2, 1), 4.0)))
    assert parity.result() == 0.75


def test_parity_holds_under_edits(pipeline):
    edits = [
        lambda call: call.scale_heads({0: 0.0}),
        lambda call: call.scale_keys([1], 2.0),
        lambda call: call.temperature(2.0),
    ]
    parity = Parity()
    with Tap(pipeline, observe=[parity], edit=edits):
        generate(pipeline, steps=1)
    assert parity.result() < 1e-5


def test_layer_means_by_hand():
    mean = LayerMean(lambda call, rows: call.columns([2], batch=rows)[..., 0])
    mean(call_with(ONE))
    mean(call_with(TWO, step=1))
    # (0.2 + 0.8) / 2 = 0.5 and (0.6 + 0.6) / 2 = 0.6
    torch.testing.assert_close(mean.result()["attn"], torch.tensor([0.55]))
    with pytest.raises(NothingObserved, match="LayerMean"):
        LayerMean(lambda call, rows: call.entropy()).result()
    with pytest.raises(NothingObserved, match="Parity"):
        Parity().result()


def test_entropy_of_text_is_at_most_that_of_even_weights(pipeline):
    spread = LayerMean(lambda call, rows: call.entropy(batch=rows), condition="cond")
    with Tap(pipeline, observe=[(Select(kind="cross"), spread)]):
        generate(pipeline, steps=1)
    for bits in spread.result().values():
        assert ((bits > 0) & (bits <= math.log2(16) + 1e-6)).all()


# Edits, on a whole pipeline


def test_hidden_tokens_get_no_attention_and_change_only_their_sample(pipeline):
    prompts = ["a cat", "a cat"]
    before = generate(pipeline, prompts)
    heat = HeatMap([2])
    with Tap(pipeline, observe=[heat], edit=[hide([2], sample=1)]):
        edited = generate(pipeline, prompts)
    for layer in heat.result():
        assert layer.maps[1].abs().max() == 0
        assert layer.maps[0].max() > 0
    torch.testing.assert_close(edited[0], before[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(edited[1], before[1], rtol=1e-4, atol=1e-5)


def test_hidden_tokens_are_as_if_the_text_were_shorter(pipeline):
    unet = pipeline.unet
    text, sample = torch.randn(1, 5, 16), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = unet(sample, 1, text[:, :4]).sample
        with Tap(unet, edit=[hide([4])], conditions=("cond",)):
            torch.testing.assert_close(unet(sample, 1, text).sample, expected, rtol=0, atol=1e-5)


def test_hide_names_what_is_not_there(pipeline):
    with (
        pytest.raises(ArgumentError, match="token 16 is not in the text"),
        Tap(pipeline, edit=[hide([16])]),
    ):
        generate(pipeline)
    with (
        pytest.raises(ArgumentError, match="sample is 1, and the batch has 1 'cond' rows"),
        Tap(pipeline, edit=[hide([1], sample=1)]),
    ):
        generate(pipeline)


@pytest.mark.parametrize("processor", ["AttnProcessor", "AttnProcessor2_0"])
def test_a_silenced_head_is_zeroed_columns_of_the_output_projection(pipeline, processor):
    from diffusers.models import attention_processor

    unet = tiny_pipeline().unet
    unet.set_attn_processor(getattr(attention_processor, processor)())
    text, sample = torch.randn(1, 5, 16), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        plain = unet(sample, 1, text).sample
        with Tap(unet, edit=[lambda call: call.scale_heads({1: 0.0})], conditions=("cond",)):
            edited = unet(sample, 1, text).sample
        for name, module in unet.named_modules():
            if name.endswith("to_out.0"):
                module.weight[:, module.in_features // 2 :] = 0.0
        expected = unet(sample, 1, text).sample
    torch.testing.assert_close(edited, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(edited, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "edit",
    [
        lambda call: call.mask_keys([1]),
        lambda call: call.temperature(2.0),
        lambda call: call.scale_keys([1], 0.5),
        lambda call: call.map_probs(lambda p: p.flip(-1)),
        lambda call: call.add_bias(torch.tensor(0.5)),
    ],
)
def test_edits_of_open_and_fused_attention_agree(edit):
    from diffusers.models.attention_processor import AttnProcessor

    unet = tiny_pipeline().unet
    text, sample = torch.randn(1, 5, 16), torch.randn(1, 4, 8, 8)

    def edited():
        with torch.no_grad(), Tap(unet, edit=[edit], conditions=("cond",)):
            return unet(sample, 1, text).sample

    fused = edited()
    unet.set_attn_processor(AttnProcessor())
    torch.testing.assert_close(edited(), fused, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- outputs


def outputs_call(output, values, **facts):
    """Two patches whose outputs are given, and three text tokens whose values are."""
    output, values = (torch.tensor(each)[None, None] for each in (output, values))
    call = call_with(ONE, **facts)
    call.value, call.output = values, output
    return call


def test_outputs_are_compared_with_values_by_hand():
    dots = OutputMap([0, 2], sharpness=None)
    call = outputs_call([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]])
    dots(call)
    # Patch 0 has dot products 1 and 0, patch 1 has 0 and 2; token 1 is not asked for.
    first, second = math.e / (math.e + 1), 1 / (math.e**2 + 1)
    expected = torch.tensor([[[first, second]], [[1 - first, 1 - second]]])
    torch.testing.assert_close(dots.result()[0].maps[0, 0, 0], expected)
    cosines = OutputMap([0, 2], sharpness=3.0)
    cosines(call)
    # Cosines are 1 and 0 for patch 0, and 0 and 1 for patch 1, however long.
    share = math.exp(3) / (math.exp(3) + 1)
    expected = torch.tensor([[[share, 1 - share]], [[1 - share, share]]])
    torch.testing.assert_close(cosines.result()[0].maps[0, 0, 0], expected)


def test_tokens_that_a_prompt_has_not_get_nothing():
    maps = OutputMap([0, 1, 2], among=[[0, 2]])
    maps(outputs_call([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]]))
    only = OutputMap([0, 2])
    only(outputs_call([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]]))
    found = maps.result()[0].maps[0, 0, 0]
    assert (found[1] == 0).all()
    torch.testing.assert_close(found[[0, 2]], only.result()[0].maps[0, 0, 0])


class Projections:
    """Queries, keys and values of one module as its linear layers make them, and its output."""

    def __init__(self, module, **names):
        self.seen = {}
        for name, path in names.items():
            module.get_submodule(path).register_forward_hook(self._keep(name))

    def _keep(self, name):
        def hook(_, given, made):
            self.seen[name] = (given[0], made)

        return hook


def shares(patches, tokens, sharpness):
    """The rule again, one patch and one token at a time, in float64."""
    patches, tokens = patches.double(), tokens.double()
    alike = torch.empty(len(patches), len(tokens), dtype=torch.float64)
    for i, patch in enumerate(patches):
        for j, token in enumerate(tokens):
            length = 1.0 if sharpness is None else float(patch.norm() * token.norm()) / sharpness
            alike[i, j] = float(patch @ token) / length
    return alike.softmax(-1)


@pytest.mark.parametrize("sharpness", [None, 5.0])
def test_outputs_in_cross_attention_are_those_before_the_projection(sharpness):
    """The input of ``to_out`` is the output of all heads; ``to_v`` makes the values."""
    pipe = tiny_pipeline()
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    kept = Projections(pipe.unet.get_submodule(layer), output="to_out.0", values="to_v")
    maps = OutputMap([0, 1, 2], sharpness=sharpness)
    with (
        torch.no_grad(),
        Tap(pipe.unet, observe=[(Select(layers=layer), maps)], conditions=("cond",)),
    ):
        pipe.unet(noise(1, 4, 8, 8), torch.tensor([500]), noise(1, 16, 16, seed=1))
    expected = shares(kept.seen["output"][0][0], kept.seen["values"][1][0, :3], sharpness)
    found = maps.result()[0].maps[0, 0, 0].flatten(1).T.double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sharpness", [None, 5.0])
@pytest.mark.parametrize(
    ("make", "layer", "image", "text"),
    [
        (sd3_sample, "transformer_blocks.0.attn", "to_out.0", "to_add_out"),
        (flux_sample, "transformer_blocks.0.attn", "to_out.0", "to_add_out"),
    ],
    ids=["sd3", "flux"],
)
def test_outputs_in_joint_attention_are_those_of_image_and_text(
    make, layer, image, text, sharpness
):
    sample = make()
    kept = Projections(sample.model.get_submodule(layer), image=image, text=text)
    maps = OutputMap([1, 3, 4], sharpness=sharpness)
    with (
        torch.no_grad(),
        Tap(sample.model, observe=[(Select(layers=layer), maps)], conditions=("cond",)),
    ):
        sample.model(**sample.inputs)
    (layer_maps,) = maps.result()
    assert (layer_maps.kind, layer_maps.grid) == ("joint", (4, 3))
    patches, tokens = kept.seen["image"][0][0], kept.seen["text"][0][0]
    expected = shares(patches, tokens[[1, 3, 4]], sharpness)
    found = layer_maps.maps[0, 0, 0].flatten(1).T.double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_shares_of_outputs_sum_to_one_and_the_image_stays_bit_for_bit(pipeline):
    bare = generate(pipeline, ["a cat", "a red dog"], steps=2)
    maps = OutputMap([0, 1, 2], keep=())
    with Tap(pipeline, observe=[maps]):
        assert torch.equal(generate(pipeline, ["a cat", "a red dog"], steps=2), bare)
    (mean,) = maps.result()
    assert mean.maps.shape == (2, 1, 1, 3, 8, 8)
    torch.testing.assert_close(mean.maps.sum(3), torch.ones(2, 1, 1, 8, 8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OutputMap([]), r"OutputMap: tokens are \[\] and must be indices >= 0"),
        (lambda: OutputMap([0], sharpness=0.0), r"sharpness is 0.0 and must be above 0"),
        (lambda: OutputMap([0], sharpness=math.nan), r"sharpness is nan and must be above 0"),
        (lambda: OutputMap([0], keep=("head",)), r"keep has 'head', which is not one of step, lay"),
        (lambda: OutputMap([0], among=[[1]]), r"an image is among none of the tokens \[0\]"),
        (
            lambda: OutputMap([0], among=[[0], [0]])(outputs_call([[1.0]] * 2, [[1.0]] * 3)),
            r"among has 2 lists for 1 images",
        ),
        (
            lambda: OutputMap([3])(outputs_call([[1.0]] * 2, [[1.0]] * 3)),
            r"OutputMap: token 3 is not in the text of attn, which has 3 tokens",
        ),
    ],
)
def test_bad_arguments_of_output_maps_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_maps_that_are_taken_are_those_of_the_result_and_are_kept_no_longer(pipeline):
    heat = HeatMap([1, 2])
    with Tap(pipeline, observe=[heat]):
        generate(pipeline, steps=2)
    told, taken = heat.result(), heat.take()
    for one, other in zip(told, taken, strict=True):
        assert torch.equal(one.maps, other.maps)
    with pytest.raises(NothingObserved):
        heat.result()
