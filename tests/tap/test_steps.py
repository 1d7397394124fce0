"""A user's step is one of the steps asked for, whatever the scheduler does meanwhile."""

from collections import Counter

import diffusers
import pytest
import torch

from looks import PROMPT, generated, told
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look import look
from regard.methods import attend_and_excite, drop, nudge, prompt_to_prompt
from regard.tap import HeatMap, Select, Steps, Tap
from regard.tap.steps import steps_of
from tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings(  # in schedulers of diffusers
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:__array_wrap__ must accept:DeprecationWarning",
)

# By hand, for 4 steps: how often the model is evaluated in each.
EVALUATIONS = {
    "DDIMScheduler": [1, 1, 1, 1],
    "EulerDiscreteScheduler": [1, 1, 1, 1],
    "DPMSolverMultistepScheduler": [1, 1, 1, 1],
    "DPMSolverSinglestepScheduler": [1, 1, 1, 1],
    "UniPCMultistepScheduler": [1, 1, 1, 1],
    "DEISMultistepScheduler": [1, 1, 1, 1],
    "LMSDiscreteScheduler": [1, 1, 1, 1],
    "HeunDiscreteScheduler": [2, 2, 2, 1],
    "KDPM2DiscreteScheduler": [2, 2, 2, 1],
    "KDPM2AncestralDiscreteScheduler": [2, 2, 2, 1],
    "PNDMScheduler": [2, 1, 1, 1],
}


def with_scheduler(name, **changes):
    model = tiny_pipeline()
    if name == "PNDMScheduler":
        changes = {"skip_prk_steps": True, **changes}
    scheduler = getattr(diffusers, name)
    model.scheduler = scheduler.from_config(model.scheduler.config, **changes)
    return model


@pytest.mark.parametrize("name", EVALUATIONS)
def test_each_evaluation_belongs_to_the_step_that_it_is_made_for(name):
    model, seen, told = with_scheduler(name), [], []

    def note(call):
        if not seen or seen[-1][:2] != (call.step, call.pass_):
            seen.append((call.step, call.pass_, call.timestep))

    with Tap(model, observe=[note]) as tap:
        made = generated(
            model, Request(PROMPT, num_inference_steps=4), progress=lambda *each: told.append(each)
        )
        assert tap.step == tap.steps.total == 4
    counts = Counter(step for step, *_ in seen)
    assert [counts[step] for step in range(4)] == EVALUATIONS[name]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    levels = [level for _, turn, level in seen if turn == 0]
    assert list(made[0].timesteps) == levels
    assert sorted(set(levels), reverse=True) == levels
    assert len(levels) == 4


def test_runge_kutta_steps_of_pndm_hold_four_evaluations_each():
    model = with_scheduler("PNDMScheduler", skip_prk_steps=False)
    model.scheduler.set_timesteps(6)
    steps = Steps(model.scheduler)
    steps.begin(6)
    assert steps.plan == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5)


def test_what_is_no_step_is_refused_where_steps_are_asked_for():
    class Odd(diffusers.DDIMScheduler):
        def set_timesteps(self, num_inference_steps, device=None):
            super().set_timesteps(num_inference_steps * 2 + 1, device)

    model = tiny_pipeline()
    model.scheduler = Odd.from_config(model.scheduler.config)
    with pytest.raises(ArgumentError, match="Odd evaluates the model 9 times for 4 steps"):
        generated(model, Request(PROMPT, num_inference_steps=4))
    with (
        pytest.raises(ArgumentError, match="does not decide which evaluations make a step"),
        Tap(model, edit=[(Select(steps=0), lambda call: None)]),
    ):
        model(PROMPT, num_inference_steps=4)
    with Tap(model, observe=[lambda call: None]) as tap:
        model(PROMPT, num_inference_steps=4)
        assert tap.step == 9


def test_a_selected_step_is_edited_in_all_its_evaluations():
    model, seen = with_scheduler("HeunDiscreteScheduler"), set()
    edit = (Select(kind="cross", steps=1), lambda call: seen.add((call.step, call.pass_)))
    with Tap(model, edit=[edit]):
        generated(model, Request(PROMPT, num_inference_steps=4))
    assert seen == {(1, 0), (1, 1)}


def test_evaluations_count_the_same_in_a_step_and_steps_the_same_in_the_mean():
    model, columns = with_scheduler("HeunDiscreteScheduler"), {}

    def note(call):
        if call.layout.kind == "cross" and call.layer.startswith("mid_block"):
            map = call.columns([2], batch=call.rows_of("cond"))[0].mean(0)[:, 0]
            columns.setdefault(call.step, []).append(map)

    kept, mean = HeatMap([2], keep=("step", "layer")), HeatMap([2], keep=("layer",))
    flat = HeatMap([2], keep=())
    with Tap(model, observe=[note, kept, mean, flat]):
        generated(model, Request(PROMPT, num_inference_steps=3))
    assert [len(columns[step]) for step in range(3)] == [2, 2, 1]
    by_hand = torch.stack([torch.stack(columns[step]).mean(0) for step in range(3)])
    [by_step] = [h for h in kept.result() if h.layer.startswith("mid_block")]
    [over_all] = [h for h in mean.result() if h.layer.startswith("mid_block")]
    torch.testing.assert_close(by_step.maps[0, :, 0, 0].flatten(1), by_hand)
    torch.testing.assert_close(over_all.maps[0, 0, 0, 0].flatten(), by_hand.mean(0))
    assert over_all.steps == [0, 1, 2]
    finest = [h for h in mean.result() if h.grid == flat.result()[0].grid]
    assert flat.result()[0].steps == finest[0].steps


def test_a_look_has_the_steps_that_were_asked_for():
    seen = look(with_scheduler("HeunDiscreteScheduler"), PROMPT, num_inference_steps=3)
    layer = next(iter(seen.trace.word_maps.values()))
    assert layer["step"].values.tolist() == [0, 1, 2]
    assert layer["timestep"].values.tolist() == sorted(set(layer["timestep"].values))[::-1]


def test_guides_move_latents_once_a_step():
    from regard.methods import Changes, Guide, Method

    model, before, after = with_scheduler("HeunDiscreteScheduler"), [], []

    def move(moment):
        before.append((moment.step, moment.steps, float(moment.timestep)))
        return moment.latents

    def end(step, latents):
        after.append(step)
        return latents

    guide = Guide(latents=move, after=end)
    settings = Request(PROMPT, num_inference_steps=3)
    mine = {"methods": (Method("mine", {}, lambda run: Changes(guide=guide)),)}
    (moved,) = generated(model, settings, [mine])
    (bare,) = generated(model, settings, [{}])
    assert torch.equal(moved.latents, bare.latents)
    levels = [float(model.scheduler.timesteps[place]) for place in (0, 1, 3)]
    assert before == [(step, 3, level) for step, level in enumerate(levels)]
    assert after == [0, 1, 2]


def acting(method, steps=10):
    """The steps in which a method changes attention, or latents."""
    model = with_scheduler("HeunDiscreteScheduler")
    settings = Request(PROMPT, num_inference_steps=steps)
    return method.plan(told(model, settings))


def test_halves_and_shares_are_of_the_steps_asked_for():
    assert acting(attend_and_excite(["cat"])).guide.latents.steps == range(5)
    assert acting(nudge(["cat"])).guide.latents.steps == range(0, 5, 2)
    assert acting(drop("cat", where={"steps": [5, 10]})).edits[0][0].steps == range(5, 10)


def test_prompt_to_prompt_covers_its_share_of_the_evaluations():
    """Under Heun, the first half of 10 steps is 10 of 19 evaluations, not 5."""
    import numpy as np

    from regard.tap.call import AttentionCall

    model, injected = with_scheduler("HeunDiscreteScheduler"), []
    own = AttentionCall.inject_from

    def noting(call, *args, **kwargs):
        injected.append((call.step, call.pass_))
        return own(call, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AttentionCall, "inject_from", noting)
        edit = prompt_to_prompt("a dog on grass", cross=0.5, self=0.0)
        look(model, "a cat on grass", num_inference_steps=10, methods=[edit])
    assert sorted(set(injected)) == [(step, turn) for step in range(5) for turn in (0, 1)]
    assert np.unique([step for step, _ in injected]).tolist() == list(range(5))


def test_shared_first_steps_are_whole_steps():

    model = with_scheduler("HeunDiscreteScheduler")
    settings = Request(PROMPT, num_inference_steps=4)
    late = [{"methods": (drop(word, where={"steps": [2, 4]}),)} for word in ("cat", "grass")]
    together = generated(model, settings, late)
    for each, alone in zip(together, late, strict=True):
        (single,) = generated(model, settings, [alone])
        torch.testing.assert_close(each.latents, single.latents, rtol=0, atol=1e-4)


class Redrawn(diffusers.StableDiffusionImg2ImgPipeline):
    """Image to image, with the image at hand."""

    def __call__(
        self,
        prompt,
        num_inference_steps=50,
        guidance_scale=4.0,
        generator=None,
        callback_on_step_end=None,
        callback_on_step_end_tensor_inputs=("latents",),
        **more,
    ):
        image = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
        return super().__call__(
            prompt,
            image,
            strength=0.5,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generator,
            callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
            **more,
        )


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"]
)
def test_times_of_image_to_image_are_those_that_the_model_is_given(name):
    parts = with_scheduler(name).components
    model = Redrawn(**parts, requires_safety_checker=False)
    model.set_progress_bar_config(disable=True)
    given, told = {}, []

    def note(module, args, kwargs):
        given.setdefault(len(told), float(kwargs.get("timestep", args[1] if args[1:] else 0)))

    hook = model.unet.register_forward_pre_hook(note, with_kwargs=True)
    try:
        seen = look(model, PROMPT, num_inference_steps=6, progress=lambda *each: told.append(each))
    finally:
        hook.remove()
    assert told == [(1, 3), (2, 3), (3, 3)]
    layer = next(iter(seen.trace.word_maps.values()))
    assert layer["step"].values.tolist() == [0, 1, 2]
    assert layer["timestep"].values.tolist() == list(given.values())


@pytest.mark.parametrize(
    ("levels", "asked", "order", "expected"),
    [
        ([5.0], 1, 2, (0,)),
        ([9.0, 5.0], 3, 1, (0, 1)),
        ([9.0, 7.0, 5.0, 3.0, 1.0], 3, 2, (0, 0, 1, 1, 2)),
        ([9.0, 7.0, 5.0, 3.0], 2, 2, (0, 0, 1, 1)),
        ([9.0, 5.0, 5.0, 1.0], 3, 1, (0, 0, 1, 2)),
        ([9.0, 7.0, 5.0, 3.0], 3, 1, None),
    ],
)
def test_evaluations_are_grouped_by_order_and_levels(levels, asked, order, expected):
    assert steps_of(levels, asked, order=order) == expected
