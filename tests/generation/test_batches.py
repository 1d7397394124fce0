from dataclasses import replace

import pytest
import torch

from joint import tiny_flux_pipeline
from looks import PROMPT, generated, pipeline
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look import look
from regard.methods import Changes, Extra, Guide, Method, Where, drop, temperature, uniform
from regard.models import TextToImage
from regard.tap import HeatMap, Select, Tap
from tiny import generate, tiny_pipeline

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # in schedulers of diffusers
)


def made(*variants, model=None, guidance=4.0, steps=3, observe=()):
    settings = Request(PROMPT, num_inference_steps=steps, guidance_scale=guidance)
    model = model or pipeline()
    return generated(model, settings, list(variants), observe=observe)


def latents(*variants, **options):
    return [each.latents for each in made(*variants, **options)]


def guiding(guide, name="mine"):
    return {"methods": (Method(name, {}, lambda run: Changes(guide=guide)),)}


def same(one, other, atol=5e-5):
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


def test_a_variant_without_methods_is_the_bare_picture():
    alone = generate(pipeline(), PROMPT, steps=3, guidance=4.0)
    assert torch.equal(latents({})[0], alone)


def test_seeds_of_a_batch_are_those_of_runs_alone():
    together = latents({"seed": 3}, {"methods": (drop("cat"),), "seed": 3}, {"seed": 4})
    same(together[0], latents({"seed": 3})[0])
    same(together[1], latents({"methods": (drop("cat"),), "seed": 3})[0])
    same(together[2], latents({"seed": 4})[0])


def evaluations(*variants, **options):
    """How many rows the denoiser evaluates in each of its calls."""
    rows, model = [], options.pop("model", None) or pipeline()
    hook = model.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    try:
        made(*variants, model=model, **options)
    finally:
        hook.remove()
    return rows


def test_steps_before_anything_differs_are_made_once():
    variants = [
        {"methods": (drop("cat", where=Where(steps=[2, 4])),)},
        {"methods": (drop("grass", where=Where(steps=[3, 4])),)},
    ]
    assert evaluations(*variants, {}, steps=4) == [2, 2, 6, 6]
    assert evaluations(*variants, {}, steps=4, guidance=1.0) == [1, 1, 3, 3]
    assert evaluations(*variants, {"seed": 1}, steps=4) == [6, 6, 6, 6]


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_other_schedulers_share_steps_too(name):
    import diffusers

    model = tiny_pipeline()
    model.scheduler = getattr(diffusers, name).from_config(model.scheduler.config)
    late = {"methods": (temperature(0.3, where=Where(steps=[2, 4])),)}
    together = latents(late, {}, model=model, steps=4)
    same(together[0], latents(late, model=model, steps=4)[0], 1e-4)
    same(together[1], latents({}, model=model, steps=4)[0], 1e-4)


def test_schedulers_that_draw_noise_share_nothing():
    from diffusers import EulerAncestralDiscreteScheduler

    model = tiny_pipeline()
    model.scheduler = EulerAncestralDiscreteScheduler.from_config(model.scheduler.config)
    late = {"methods": (drop("cat", where=Where(steps=[2, 4])),)}
    assert evaluations(late, {}, model=model, steps=4) == [4, 4, 4, 4]


def test_a_guide_that_leaves_latents_alone_gives_the_bare_picture():
    seen = []

    def look_on(moment):
        seen.append(
            (moment.step, moment.steps, float(moment.timestep), tuple(moment.latents.shape))
        )
        return moment.latents

    bare = latents({})[0]
    assert torch.equal(latents(guiding(Guide(latents=look_on)))[0], bare)
    assert [step for step, *_ in seen] == [0, 1, 2]
    assert [time for _, _, time, _ in seen] == [float(t) for t in pipeline().scheduler.timesteps]


def test_what_a_guide_evaluates_is_what_the_pipeline_would():
    """The gradient of the prompt's own output, by the tap and by the guide."""
    outputs, conditional = [], []

    def evaluate(moment):
        with moment.tap.aside(), torch.no_grad():
            outputs.append(moment.evaluate(moment.latents))
        return moment.latents

    model = pipeline()
    hook = model.unet.register_forward_hook(
        lambda _, args, out: conditional.append(out[0].chunk(2)[1]) if len(args) > 1 else None
    )
    try:
        made(guiding(Guide(latents=evaluate)))
    finally:
        hook.remove()
    for one, other in zip(outputs, conditional, strict=True):
        same(one, other)


def test_a_guide_moves_what_the_next_step_starts_from():
    from diffusers import EulerDiscreteScheduler

    model = tiny_pipeline()
    model.scheduler = EulerDiscreteScheduler.from_config(model.scheduler.config)
    start, received = [], []

    def shift(moment):
        start.append(moment.latents + 1.0)
        return start[-1]

    step = model.scheduler.step

    def note(output, timestep, sample, **options):
        received.append(sample)
        return step(output, timestep, sample, **options)

    model.scheduler.step = note
    made(guiding(Guide(latents=shift)), model=model)
    for moved, used in zip(start, received, strict=True):
        same(moved, used, 1e-4)


def test_gradients_go_through_the_scaling_of_the_scheduler():
    """Against finite differences, with a scheduler that scales its latents."""
    from diffusers import EulerDiscreteScheduler

    model = tiny_pipeline()
    model.scheduler = EulerDiscreteScheduler.from_config(model.scheduler.config)
    slopes = []

    def check(moment):
        if moment.step == 1:
            draw = torch.Generator().manual_seed(0)
            direction = torch.randn(moment.latents.shape, generator=draw)
            with moment.tap.aside():
                with torch.enable_grad():
                    point = moment.latents.clone().requires_grad_()
                    gradient = torch.autograd.grad(moment.evaluate(point).sum(), point)[0]
                with torch.no_grad():
                    ahead = moment.evaluate(moment.latents + 0.01 * direction).double().sum()
                    behind = moment.evaluate(moment.latents - 0.01 * direction).double().sum()
            slopes.append((float((gradient * direction).sum()), float(ahead - behind) / 0.02))
        return moment.latents

    made(guiding(Guide(latents=check)), model=model)
    (analytic, numeric) = slopes[0]
    assert analytic == pytest.approx(numeric, rel=0.02)


def pushing(scale, edits, steps=None):
    return guiding(Guide(extra=Extra(lambda step, time: scale, edits, steps)))


FLAT = [(Select(kind="self"), lambda call: call.identity())]


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_a_push_of_no_strength_or_away_from_itself_changes_nothing(guidance):
    bare = latents({}, guidance=guidance)[0]
    same(latents(pushing(0.0, FLAT), guidance=guidance)[0], bare)
    same(latents(pushing(3.0, []), guidance=guidance)[0], bare)
    same(latents(pushing(3.0, FLAT, steps=range(9, 10)), guidance=guidance)[0], bare)
    assert not torch.allclose(latents(pushing(3.0, FLAT), guidance=guidance)[0], bare, atol=1e-3)


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_the_push_is_that_of_the_formula(guidance):
    """u + w (c - u) + s (c - p), by hand on the denoiser, in one step."""
    model, scale = pipeline(), 3.0
    inputs, outputs = [], []

    def note(_, args, kwargs, out):
        inputs.append((args, kwargs))
        outputs.append(out[0])

    hook = model.unet.register_forward_hook(note, with_kwargs=True)
    try:
        made({}, guidance=guidance, steps=1)
    finally:
        hook.remove()
    (args, kwargs), whole = inputs[0], outputs[0]
    halves = 2 if guidance > 1 else 1
    own = kwargs | {"encoder_hidden_states": kwargs["encoder_hidden_states"].chunk(halves)[-1]}
    with Tap(model.unet, edit=FLAT), torch.no_grad():
        other = model.unet(args[0].chunk(halves)[-1], args[1], **own)[0]
    if guidance > 1:
        uncond, cond = whole.chunk(2)
        expected = uncond + guidance * (cond - uncond) + scale * (cond - other)
    else:
        expected = whole + scale * (whole - other)
    received, step = [], model.scheduler.step
    model.scheduler.step = lambda output, *a, **k: received.append(output) or step(output, *a, **k)
    try:
        made(pushing(scale, FLAT), guidance=guidance, steps=1)
    finally:
        del model.scheduler.step
    same(received[0], expected)


def test_what_is_observed_is_the_generation_alone():
    """Neither what a guide evaluates, nor the run that only shows how the pipeline begins."""
    heats = []
    for guide in (None, Guide(latents=lambda moment: evaluated(moment))):
        heat = HeatMap([2], keep=("step",))
        made({} if guide is None else guiding(guide), observe=[heat])
        heats.append(heat.result()[0])
    assert heats[0].steps == heats[1].steps
    same(heats[0].maps, heats[1].maps)


def evaluated(moment):
    with moment.tap.aside(), torch.no_grad():
        moment.evaluate(moment.latents)
    return moment.latents


def test_variants_of_one_guide_share_a_batch_and_others_do_not():
    guide = Guide(latents=lambda moment: moment.latents)
    variant = guiding(guide)
    both = [{"methods": variant["methods"], "seed": 0}, {"methods": variant["methods"], "seed": 1}]
    rows = evaluations(*both, {}, steps=2)
    assert rows == [4, 4, 2, 2]  # the run that shows how the pipeline begins ends within its call


def test_a_first_noise_of_ones_own():
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mine = look(pipeline(), PROMPT, num_inference_steps=2, latents=noise)
    assert torch.equal(mine.latents, look(pipeline(), PROMPT, num_inference_steps=2).latents)
    assert not torch.equal(
        look(pipeline(), PROMPT, num_inference_steps=2, latents=-noise).latents, mine.latents
    )


def test_a_look_under_methods_says_so_in_its_recipe():
    seen = look(
        pipeline(),
        PROMPT,
        num_inference_steps=2,
        methods=[drop("cat"), uniform(where=Where(kind="self"))],
    )
    assert seen.trace.recipe["edits"] == [
        {"method": "drop", "words": "cat"},
        {"method": "uniform", "where": {"kind": "self"}},
    ]
    assert seen.trace.heatmap("cat").max() == 0


def test_a_pipeline_that_prepares_no_latents_takes_no_guide():
    class Bare:
        def __init__(self, inner):
            self.components, self.unet = inner.components, inner.unet

    from regard.models.capture import capture

    bare = replace(TextToImage.of(pipeline()), pipeline=Bare(pipeline()))
    with pytest.raises(ArgumentError, match="Bare has no prepare_latents, so its initial latents"):
        capture(bare, lambda: None)


def test_a_kind_of_attention_that_is_not_there_is_refused():
    cross = {"methods": (temperature(0.7, where=Where(kind="cross")),)}
    with pytest.raises(
        ArgumentError, match="kind is 'cross', and the attention of Flux.* is joint"
    ):
        made(cross, model=tiny_flux_pipeline())
