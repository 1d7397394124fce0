"""What holds for methods and guides of models with joint attention, as it does for UNets."""

import functools
import itertools

import pytest
import torch

import joint
from looks import PROMPT, generated, tokenized
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look import look
from regard.methods import Changes, Extra, Guide, Method, drop, from_recipe
from regard.steering.steer import steer
from regard.tap import Select, Tap, layer_infos
from tiny import tiny_pipeline

STEPS = 2
LAYER = "transformer_blocks.0.attn"


@functools.cache
def sd3():
    return joint.tiny_sd3_pipeline(**joint.SD35)


@functools.cache
def flux():
    return joint.tiny_flux_pipeline()


BOTH = pytest.mark.parametrize("which", [sd3, flux])
GUIDED = pytest.mark.parametrize(("which", "guided"), [(sd3, 4.0), (sd3, 1.0), (flux, 4.0)])
STRONG = {
    "drop": {"words": "turtle"},
    "identity": {},
    "scale": {"weights": {"turtle": 9.0}},
    "scale-heads": {"layer": LAYER, "factors": {"0": 0.0}},
    "scale-layers": {"factor": 0.0, "where": {"kind": "joint"}},
    "shuffled": {"seed": 3},
    "temperature": {"factor": 0.1},
    "uniform": {"where": {"kind": "joint"}},
}
NEUTRAL = {
    "scale": {"weights": {"turtle": 1.0}},
    "scale-heads": {"layer": LAYER, "factors": {"0": 1.0}},
    "scale-layers": {"factor": 1.0},
    "temperature": {"factor": 1.0},
}
STRENGTHS = pytest.mark.parametrize("name", STRONG)


def made(model, *variants, steps=STEPS, guidance=None, **settings):
    wanted = Request(PROMPT, num_inference_steps=steps, guidance_scale=guidance, **settings)
    listed = [each if isinstance(each, dict) else {"methods": tuple(each)} for each in variants]
    return [each.latents for each in generated(model, wanted, listed)]


@functools.cache
def bare(which):
    return made(which(), [])[0]


def strong(name, **where):
    settings = {**STRONG[name], **({"where": where} if where else {})}
    return from_recipe({"method": name, **settings})


def same(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, rtol=atol, atol=atol)


# Methods


@BOTH
def test_neutral_settings_give_the_bare_picture_bit_for_bit(which):
    neutral = [from_recipe({"method": name, **settings}) for name, settings in NEUTRAL.items()]
    assert torch.equal(made(which(), neutral)[0], bare(which))
    (made_alone,) = generated(which(), Request(PROMPT, num_inference_steps=STEPS))
    assert torch.equal(made_alone.latents, bare(which))


@BOTH
def test_each_image_of_a_batch_has_its_own_method_and_all_differ(which):
    each = [[], *([strong(name)] for name in STRONG), []]
    together = made(which(), *each)
    for methods_of_one, latents in zip(each, together, strict=True):
        same(latents, made(which(), methods_of_one)[0])
    for changed in together[1:-1]:
        assert not torch.allclose(changed, bare(which), atol=1e-5)


@BOTH
def test_steps_before_a_method_begins_are_made_once(which):
    rows = []
    late = [strong("temperature", steps=1)]
    hook = which().transformer.register_forward_hook(
        lambda module, args, kwargs, out: rows.append(len(kwargs["hidden_states"])),
        with_kwargs=True,
    )
    try:
        together = made(which(), [], late)
    finally:
        hook.remove()
    assert rows == ([2, 4] if which is sd3 else [1, 2])
    same(together[0], bare(which))
    same(together[1], made(which(), late)[0])


def test_with_two_evaluations_a_step_each_image_is_drawn_from_the_start():
    late, away = [strong("temperature", steps=1)], {"negative_prompt": "a dog"}
    together = made(flux(), [], late, **away)
    same(together[0], made(flux(), [], **away)[0])
    same(together[1], made(flux(), late, **away)[0])
    assert not torch.allclose(together[0], together[1], atol=1e-5)


@STRENGTHS
def test_the_half_that_is_asked_for_is_changed(name):
    halves = ["cond", "uncond", "both"]
    changed = made(sd3(), *([strong(name, condition=half)] for half in halves))
    for one, other in itertools.combinations(changed, 2):
        assert not torch.allclose(one, other, atol=1e-6)
    with pytest.raises(ArgumentError, match="so nothing changed"):  # FLUX has no such branch here
        made(flux(), [strong(name, condition="uncond")])


@BOTH
def test_a_word_that_is_dropped_gets_nothing_from_any_patch_or_token(which):
    most = []

    def note(call):
        if call.layout.kind == "joint":
            start = call.layout.keys_of("text").start
            keys = [start + token for token in text.spelled(["turtle"])]
            most.append(float(call.columns(keys, batch=call.rows_of("cond")).max()))

    settings = Request(PROMPT, num_inference_steps=1)
    text = tokenized(which(), settings.prompt)
    variant = {"methods": (drop("turtle"),)}
    generated(which(), settings, [variant], observe=[note])
    assert most
    assert max(most) == 0


@BOTH
def test_a_place_that_there_is_not_is_refused_before_anything_is_drawn(which):
    assert {layer.stage for layer in layer_infos(which())} == {""}
    assert {layer.stage for layer in layer_infos(tiny_pipeline())} == {"down", "mid", "up"}
    with pytest.raises(ArgumentError, match="^drop: stage is 'mid', and .* no stages"):
        made(which(), [drop("turtle", where={"stage": "mid"})])


@BOTH
def test_steering_tells_what_changed_and_verification_what_words_did(which):
    steered = steer(which(), PROMPT, [drop("turtle")], num_inference_steps=1)
    table = steered.table.query("measure == 'mass'").set_index("word")
    assert table.loc["turtle", "after"] == 0 < table.loc["turtle", "before"]
    verified = look(which(), "a cat", num_inference_steps=1, verify=True).verification
    assert verified.query("kind == 'word'")["word"].tolist() == ["a", "cat"]
    assert "padding token" in verified.attrs["note"]


# Guides


def guiding(guide):
    return {"methods": (Method("mine", {}, lambda run: Changes(guide=guide)),)}


@GUIDED
def test_what_a_guide_evaluates_is_what_the_pipeline_would(which, guided):
    ours, theirs = [], []

    def evaluate(moment):
        with moment.tap.aside(), torch.no_grad():
            ours.append(moment.evaluate(moment.latents))
        return moment.latents

    hook = which().transformer.register_forward_hook(lambda _, args, out: theirs.append(out[0]))
    try:
        made(which(), [], guidance=guided)
    finally:
        hook.remove()
    made(which(), guiding(Guide(latents=evaluate)), guidance=guided)
    for one, whole in zip(ours, theirs, strict=True):
        same(one, whole[-1:])  # the prompt's half is the second of two


def attention_to(moment, tokens, latents):
    """How much the patches attend to tokens, over all joint layers; differentiable."""
    shares = []

    def note(call):
        start = call.layout.keys_of("text").start
        image = call.layout.queries_of("image").slice
        keys = [start + token for token in tokens]
        shares.append(call.columns(keys)[..., image, :].mean())

    with moment.tap.aside(observe=[(Select(kind="joint"), note)]):
        moment.evaluate(latents)
    assert len(shares) == 2
    return torch.stack(shares).sum()


@GUIDED
def test_a_guide_moves_latents_by_the_gradient_of_attention(which, guided):
    """The gradient against finite differences, and the move as the scheduler receives it."""
    tokens = tokenized(which(), PROMPT).spelled(["turtle"])
    slopes, moved, received = [], [], []

    def excite(moment):
        with torch.enable_grad():
            leaf = moment.latents.clone().requires_grad_()
            slope = torch.autograd.grad(attention_to(moment, tokens, leaf), leaf)[0]
        if moment.step == 1:
            draw = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1)).sign()
            direction = slope.sign() + 0.5 * draw
            with torch.no_grad():
                ahead, behind = (
                    attention_to(moment, tokens, moment.latents + 0.02 * side * direction).double()
                    for side in (1, -1)
                )
            slopes.append((float((slope * direction).sum()), float(ahead - behind) / 0.04))
        moved.append(moment.latents + 50 * slope)
        return moved[-1]

    step = which().scheduler.step

    def note(output, timestep, sample, **options):
        received.append(sample)
        return step(output, timestep, sample, **options)

    which().scheduler.step = note
    try:
        latents = made(which(), guiding(Guide(latents=excite)), guidance=guided)[0]
    finally:
        del which().scheduler.step
    [(analytic, numeric)] = slopes
    assert analytic == pytest.approx(numeric, rel=0.05)
    for one, other in zip(moved, received, strict=True):
        same(one, other)
    assert not torch.allclose(latents, made(which(), [], guidance=guided)[0], atol=1e-4)


FLAT = [(Select(kind="joint"), lambda call: call.identity())]


def pushing(scale, edits):
    return guiding(Guide(extra=Extra(lambda step, time: scale, edits)))


def outputs(which, variant, **settings):
    """What the scheduler receives in the only step, and how the denoiser is called."""
    received, calls = [], []
    model = which()
    step = model.scheduler.step
    model.scheduler.step = lambda output, *a, **k: received.append(output) or step(output, *a, **k)
    hook = model.transformer.register_forward_hook(
        lambda _, args, kwargs, out: calls.append((kwargs, out[0])), with_kwargs=True
    )
    try:
        made(model, variant, steps=1, guidance=4.0, **settings)
    finally:
        hook.remove()
        del model.scheduler.step
    return received[0], calls


def flattened(model, kwargs):
    with Tap(model.transformer, edit=FLAT), torch.no_grad():
        return model.transformer(**kwargs)[0]


def test_the_push_in_one_batch_is_that_of_the_formula():
    """u + w (c - u) + s (c - p)."""
    _, [(kwargs, whole)] = outputs(sd3, [])
    uncond, cond = whole.chunk(2)
    halves = ("hidden_states", "timestep", "encoder_hidden_states", "pooled_projections")
    other = flattened(sd3(), kwargs | {name: kwargs[name].chunk(2)[1] for name in halves})
    expected = uncond + 4 * (cond - uncond) + 3 * (cond - other)
    same(outputs(sd3, pushing(3.0, FLAT))[0], expected)
    assert not torch.allclose(cond, other, atol=1e-4)


def test_the_push_without_guidance_is_that_of_the_formula():
    """c + s (c - p), where guidance is only told to the model."""
    _, [(kwargs, cond)] = outputs(flux, [])
    expected = cond + 3 * (cond - flattened(flux(), kwargs))
    same(outputs(flux, pushing(3.0, FLAT))[0], expected)


def test_the_push_in_two_evaluations_is_that_of_the_formula():
    """u + w (c - u) + s (c - p), with c first and u after it."""
    _, [(kwargs, cond), (_, uncond)] = outputs(flux, [], negative_prompt="a dog")
    expected = uncond + 4 * (cond - uncond) + 3 * (cond - flattened(flux(), kwargs))
    same(outputs(flux, pushing(3.0, FLAT), negative_prompt="a dog")[0], expected)


@BOTH
def test_a_push_is_told_the_time_of_the_scheduler(which):
    told = []

    def scale(step, time):
        told.append((step, time))
        return 0.0

    made(which(), guiding(Guide(extra=Extra(scale, FLAT))))
    assert told == [(step, float(time)) for step, time in enumerate(which().scheduler.timesteps)]


@BOTH
def test_a_batch_under_a_guide_is_its_images_one_by_one(which):
    guide = Guide(latents=lambda moment: moment.latents * 1.01)
    seeds = [{"methods": guiding(guide)["methods"], "seed": seed} for seed in (0, 5)]
    together = made(which(), *seeds)
    for one, latents in zip(seeds, together, strict=True):
        same(latents, made(which(), one)[0])


def test_a_first_noise_of_ones_own_is_packed_for_flux():
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    packed = flux()._pack_latents(noise, 1, 4, 8, 8)
    assert torch.equal(
        look(flux(), PROMPT, num_inference_steps=STEPS, latents=packed).latents, bare(flux)
    )
    assert torch.equal(
        look(sd3(), PROMPT, num_inference_steps=STEPS, latents=noise).latents, bare(sd3)
    )
