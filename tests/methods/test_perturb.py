import pytest
import torch

from looks import PROMPT, generated, pipeline
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.methods import (
    Where,
    drop,
    from_recipe,
    identity,
    scale,
    scale_heads,
    scale_layers,
    shuffled,
    temperature,
    uniform,
)
from regard.tap import Select
from tiny import tiny_pipeline

CROSS = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
TURTLE = [5, 6, 7, 8, 9, 10]


def probs_under(*methods, kind="cross", rows="cond", guidance=4.0):
    """The weights of the first layer of a kind, in the first step, under some methods."""
    seen = []

    def keep(call):
        half = call.rows_of(rows)
        output = call.output[half]
        seen.append((call.probs()[half], call.value[half], output, call.layer))

    settings = Request(PROMPT, num_inference_steps=1, guidance_scale=guidance)
    observe = [(Select(kind=kind, steps=0), keep)]
    generated(pipeline(), settings, [{"methods": methods}], observe=observe)
    return seen[0]


def test_what_is_dropped_gets_nothing_and_the_rest_grows():
    before, after = probs_under()[0], probs_under(drop("turtle"))[0]
    rest = [k for k in range(before.shape[-1]) if k not in TURTLE]
    assert after[..., TURTLE].max() == 0
    expected = before[..., rest] / before[..., rest].sum(-1, keepdim=True)
    torch.testing.assert_close(after[..., rest], expected, rtol=0, atol=1e-6)


def test_the_other_half_reads_on():
    before, after = probs_under(rows="uncond")[0], probs_under(drop("turtle"), rows="uncond")[0]
    assert torch.equal(before, after)


def test_weights_that_keep_the_sum_are_the_old_ones_times_the_factor():
    before = probs_under()[0]
    after = probs_under(scale({"turtle": 3.0}, renormalise=True))[0]
    factor = torch.ones(before.shape[-1])
    factor[TURTLE] = 3.0
    expected = before * factor / (before * factor).sum(-1, keepdim=True)
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-6)


def test_weights_that_do_not_keep_the_sum_scale_what_comes_out():
    probs, value, output, _ = probs_under(scale({"turtle": -2.0, "cat": 0.0}))
    factor = torch.ones(probs.shape[-1])
    factor[TURTLE], factor[2] = -2.0, 0.0
    bare, bare_value, _, _ = probs_under()
    assert torch.equal(probs, bare)
    torch.testing.assert_close(output, (bare * factor) @ bare_value, rtol=0, atol=1e-5)


def test_a_silenced_head_puts_out_nothing():
    output, bare = (probs_under(*m)[2] for m in ([scale_heads(CROSS, {1: 0.0})], []))
    assert output[:, 1].abs().max() == 0
    assert torch.equal(output[:, 0], bare[:, 0])


def test_a_scaled_layer_puts_out_so_much():
    output, bare = (
        probs_under(*m)[2] for m in ([scale_layers(0.5, where=Where(kind="cross"))], [])
    )
    torch.testing.assert_close(output, bare / 2, rtol=0, atol=1e-6)


def test_temperature_is_that_of_the_softmax():
    before, after = probs_under(kind="self")[0], probs_under(temperature(2.0), kind="self")[0]
    root = before.sqrt()
    torch.testing.assert_close(after, root / root.sum(-1, keepdim=True), rtol=0, atol=1e-6)


def test_uniform_attention_is_even_over_what_was_not_dropped():
    after = probs_under(drop("turtle"), uniform())[0]
    kept = after.shape[-1] - len(TURTLE)
    assert after[..., TURTLE].max() == 0
    torch.testing.assert_close(after.max(), torch.tensor(1 / kept))
    torch.testing.assert_close(after[..., 0].min(), torch.tensor(1 / kept))


def test_identity_puts_out_the_values():
    probs, value, output, _ = probs_under(identity(), kind="self")
    assert torch.equal(output, value)
    assert torch.equal(probs[0, 0], torch.eye(probs.shape[-1]))


def test_shuffled_rows_hold_the_same_weights_in_another_order():
    before, after = probs_under()[0], probs_under(shuffled(seed=5, where=Where(kind="cross")))[0]
    torch.testing.assert_close(before.sort(-1).values, after.sort(-1).values, rtol=0, atol=1e-6)
    assert not torch.allclose(before, after, atol=1e-3)
    order = torch.randperm(before.shape[-1], generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(after, before[..., order], rtol=0, atol=1e-6)


def test_words_that_are_not_in_the_prompt_are_answered_with_those_that_are():
    with pytest.raises(UnknownName, match="no word is named 'dog'.*Known: .*turtle"):
        probs_under(drop(["cat", "dog"]))
    with pytest.raises(UnknownName, match="Did you mean 'turtle'"):
        probs_under(scale({"turtel": 2.0}))


@pytest.mark.parametrize("first", [0, 1])
def test_something_must_be_left_to_attend_to_in_every_step(first):
    """The two leave nothing together, from step 2 on, whichever comes first in the list."""
    some, rest = ["a", "cat", "and", "a#2"], ["turtle", "on", "grass", "[start]", "[end]", "[pad]"]
    both = [drop(some, where=Where(steps=[2, 4])), drop(rest)]
    settings = Request(PROMPT, num_inference_steps=4)
    with pytest.raises(ArgumentError, match="^drop: without .* no token of the prompt is left"):
        generated(pipeline(), settings, [{"methods": (both[first], both[1 - first])}])


def test_something_must_be_left_to_attend_to():
    everything = ["a", "cat", "and", "a#2", "turtle", "on", "grass", "[start]", "[end]", "[pad]"]
    with pytest.raises(ArgumentError, match="^drop: without .* no token of the prompt is left"):
        probs_under(drop(everything))
    with pytest.raises(ArgumentError, match="^drop: without .* no token of the prompt is left"):
        probs_under(drop(everything[:5]), drop(everything[5:]))
    probs_under(drop(everything[:-1]))


def test_heads_and_layers_that_are_not_there():
    with pytest.raises(ArgumentError, match=r"attn2 has heads 0\.\.\d, not 9"):
        probs_under(scale_heads(CROSS, {9: 0.0}))
    with pytest.raises(ArgumentError, match="^scale_heads: 'attn2' is a part of .* Name one"):
        probs_under(scale_heads("attn2", {0: 0.0}))
    with pytest.raises(UnknownName, match="no layer is named 'attn9'"):
        probs_under(scale_heads("attn9", {0: 0.0}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: drop([]), "^drop: words are empty"),
        (lambda: scale({}), "^scale: words are empty"),
        (lambda: scale({"cat": float("nan")}), "^scale: the weight of 'cat' is nan and must be a"),
        (lambda: scale({"cat": -1.0}, renormalise=True), "-1.0 and must be 0 or more with renorm"),
        (lambda: scale_heads(CROSS, {}), "^scale_heads: factors are empty"),
        (lambda: scale_layers(float("inf")), "^scale_layers: factor is inf and must be a finite"),
        (lambda: temperature(0.0), "^temperature: factor is 0.0 and must be above 0"),
        (
            lambda: temperature(1.0, where={"kind": "X"}),
            "^temperature: kind is 'X' and must be one of self, cross, joint",
        ),
        (
            lambda: uniform(where={"stage": "top"}),
            "^uniform: stage is 'top' and must be one of down, mid, up",
        ),
        (
            lambda: identity(where={"steps": [1, 2, 3]}),
            r"^identity: steps are \[1, 2, 3\] and must be",
        ),
        (lambda: from_recipe({"words": "cat"}), "has .'words'. and needs 'method'"),
        (lambda: from_recipe({"method": "drop", "word": "cat"}), "drop cannot be made of"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_weights_too_large_for_the_numbers_are_told():
    with pytest.raises(ArgumentError, match="^regard: latents became NaN or infinite after step 0"):
        probs_under(scale({"cat": 1e38}), scale({"turtle": -1e38}), scale_layers(1e30))


def half_pipeline():
    model = tiny_pipeline()
    for part in (model.unet, model.vae, model.text_encoder):
        part.half()
    return model


@pytest.mark.parametrize(
    ("half", "method", "message"),
    [
        (True, scale({"cat": 1e30}), "^scale_keys: the factor is 1e.30, and float16 holds numbers"),
        (False, scale({"cat": 1e39}), "^scale_keys: the factor is 1e.39, and float32 holds"),
        (True, scale_layers(-1e5), "^scale_heads: the factor is -100000, and float16 holds"),
        (
            True,
            scale({"cat": 6e4}),
            "became NaN or infinite after step 0 .overflow in float16",
        ),
        (False, scale({"cat": 1e30}), "latents became NaN or infinite after step 0"),
        (True, temperature(1e-30), "latents became NaN or infinite after step 0"),
    ],
)
def test_what_grows_past_all_numbers_is_one_clear_line(half, method, message):
    model = half_pipeline() if half else pipeline()
    settings = Request(PROMPT, num_inference_steps=2)
    with pytest.raises(ArgumentError, match=message):
        generated(model, settings, [{"methods": (method,)}])


@pytest.mark.parametrize("factor", [1e30, 1e300])
def test_a_huge_share_is_all_there_is(factor):
    """The logarithm is added to the scores, which holds any factor."""
    probs = probs_under(scale({"cat": factor}, renormalise=True))[0]
    torch.testing.assert_close(probs[..., 2], torch.ones_like(probs[..., 2]))
