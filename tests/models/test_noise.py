"""The seed decides the image, or comparing images is refused."""

import diffusers
import pytest
import torch

from joint import tiny_flux_pipeline
from looks import PROMPT, generated
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look import look, verify
from regard.methods import drop, prompt_to_prompt
from regard.models.noise import noise_of, seeded
from regard.steering import steer
from tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings(  # in schedulers of diffusers
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:__array_wrap__ must accept:DeprecationWarning",
)


def base(scheduler, **changes):
    model = tiny_pipeline()
    model.scheduler = scheduler.from_config(model.scheduler.config, **changes)
    return model


class FromTheWorld(diffusers.DDIMScheduler):
    """Draws from the global generator, as a noise sampler without a seed does."""

    def step(self, *args, **kwargs):
        latents, *_ = super().step(*args, **{**kwargs, "return_dict": False})
        return (latents + 0.1 * torch.randn_like(latents),)


class FromNumpy(diffusers.DDIMScheduler):
    """The same with NumPy."""

    def step(self, *args, **kwargs):
        import numpy as np

        latents, *_ = super().step(*args, **{**kwargs, "return_dict": False})
        noise = np.random.standard_normal(latents.shape)  # noqa: NPY002
        return (latents + 0.1 * torch.from_numpy(noise).to(latents),)


class OneTree(diffusers.DDIMScheduler):
    """One noise for a whole batch, the same in each generation: a noise tree with a seed."""

    def set_timesteps(self, *args, **kwargs):
        super().set_timesteps(*args, **kwargs)
        self.tree = None

    def step(self, *args, **kwargs):
        latents, *_ = super().step(*args, **{**kwargs, "return_dict": False})
        if self.tree is None:
            self.tree = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        return (latents + 0.1 * self.tree[: len(latents)],)


class OfItsOwn(diffusers.DDIMScheduler):
    """A generator of its own, which goes on from one generation to the next."""

    def step(self, *args, **kwargs):
        if not hasattr(self, "draw"):
            self.draw = torch.Generator().manual_seed(0)
        latents, *_ = super().step(*args, **{**kwargs, "return_dict": False})
        return (latents + 0.1 * torch.randn(latents.shape, generator=self.draw),)


class AnyOther(diffusers.DDIMScheduler):
    """A step that cannot be tried without its pipeline."""

    def step(self, output, timestep, sample, **kwargs):
        if sample.shape[-1] != 8:
            raise ValueError("not of this size")
        return super().step(output, timestep, sample, **kwargs)


# drawn, apart, repeats
KINDS = {
    "DDIMScheduler": (False, True, True),
    "DDPMScheduler": (True, True, True),
    "DEISMultistepScheduler": (False, True, True),
    "DPMSolverMultistepScheduler": (False, True, True),
    "EulerAncestralDiscreteScheduler": (True, True, True),
    "EulerDiscreteScheduler": (False, True, True),
    "HeunDiscreteScheduler": (False, True, True),
    "KDPM2AncestralDiscreteScheduler": (True, True, True),
    "LCMScheduler": (True, True, True),
    "LMSDiscreteScheduler": (False, True, True),
    "PNDMScheduler": (False, True, True),
    "TCDScheduler": (False, True, True),  # the pipeline's eta is 0
    "UniPCMultistepScheduler": (False, True, True),
}


@pytest.mark.parametrize("name", KINDS)
def test_schedulers_of_diffusers_are_told_apart(name):
    model = base(getattr(diffusers, name))
    found = noise_of(model, 4)
    assert (found.random, found.apart, found.repeats) == KINDS[name]


def test_a_solver_with_noise_is_told_by_what_it_does_not_by_its_name():
    model = base(diffusers.DPMSolverMultistepScheduler, algorithm_type="sde-dpmsolver++")
    assert noise_of(model, 4).random
    model = tiny_flux_pipeline()
    assert not noise_of(model, 4).random
    scheduler = model.scheduler
    model.scheduler = type(scheduler).from_config(scheduler.config, stochastic_sampling=True)
    found = noise_of(model, 4)  # its pipeline hands on no generator
    assert (found.random, found.apart, found.repeats) == (True, False, True)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (FromTheWorld, (True, False, True)),
        (FromNumpy, (True, False, True)),
        (OneTree, (False, False, True)),
        (OfItsOwn, (None, None, False)),
        (AnyOther, (True, False, False)),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_other_sources_of_noise_are_found(scheduler, expected):
    found = noise_of(base(scheduler), 3)
    told = (found.random, found.apart, found.repeats)
    assert [one for one, other in zip(told, expected, strict=True) if other is not None] == [
        each for each in expected if each is not None
    ]


def latents(model, *variants, steps=4):
    settings = Request(PROMPT, num_inference_steps=steps, guidance_scale=4.0)
    return [each.latents for each in generated(model, settings, list(variants))]


STOCHASTIC = (
    "EulerAncestralDiscreteScheduler",
    "DDPMScheduler",
    "LCMScheduler",
    "KDPM2AncestralDiscreteScheduler",
)


@pytest.mark.parametrize(
    "scheduler",
    [*(getattr(diffusers, name) for name in STOCHASTIC), FromTheWorld, FromNumpy, OneTree],
    ids=lambda each: each.__name__,
)
def test_rows_of_a_batch_are_what_they_are_alone(scheduler):
    model = base(scheduler)
    late = {"methods": (drop("cat", where={"steps": [2, 4]}),)}
    several = [late, {}, {"seed": 3}]
    together = latents(model, *several)
    alone = [latents(model, each)[0] for each in several]
    torch.manual_seed(7)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    again = latents(model, *several)
    for one, other in zip(together, again, strict=True):
        assert torch.equal(one, other)
    assert not torch.allclose(together[1], together[2], atol=1e-2)


def test_a_run_leaves_what_draws_elsewhere_as_it_was():
    import numpy as np

    model, before = base(FromTheWorld), (torch.get_rng_state(), np.random.get_state()[1])  # noqa: NPY002
    generated(model, Request(PROMPT, num_inference_steps=2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_what_no_seed_decides_is_said_and_not_compared():
    model = base(OfItsOwn)
    seen = look(model, PROMPT, num_inference_steps=2)
    assert seen.trace.recipe["not_repeatable"] == (
        "OfItsOwn draws noise that the seed does not decide, so one seed gives another image each "
        "time"
    )
    with pytest.raises(ArgumentError, match="steer: OfItsOwn draws noise that the seed does not"):
        steer(model, PROMPT, [drop("cat")], num_inference_steps=2)
    with pytest.raises(ArgumentError, match="images cannot be compared"):
        verify(model, seen)
    with pytest.raises(ArgumentError, match="images cannot be compared"):
        look(model, PROMPT, num_inference_steps=2, verify=True)
    with pytest.raises(ArgumentError, match="images cannot be compared"):
        latents(model, {}, {"methods": (drop("cat"),)})


def test_of_what_cannot_be_tried_nothing_is_believed():
    seen = look(base(AnyOther), PROMPT, num_inference_steps=2)
    assert seen.trace.recipe["not_repeatable"] == (
        "AnyOther cannot be tried outside its pipeline (ValueError: not of this size), so whether "
        "the seed decides the image is not known"
    )
    with pytest.raises(ArgumentError, match="steer: AnyOther cannot be tried.*cannot be compared"):
        steer(base(AnyOther), PROMPT, [drop("cat")], num_inference_steps=2)


def test_a_method_that_needs_two_images_together_is_refused_where_they_share_noise():
    with pytest.raises(ArgumentError, match="FromTheWorld draws noise for a whole batch at once"):
        look(
            base(FromTheWorld),
            PROMPT,
            num_inference_steps=2,
            methods=[prompt_to_prompt("a dog on grass")],
        )


def test_a_recipe_says_nothing_of_noise_where_the_seed_decides():
    assert (
        "not_repeatable" not in look(base(FromTheWorld), PROMPT, num_inference_steps=2).trace.recipe
    )


def test_a_neutral_change_moves_nothing_under_noise():
    steered = steer(
        base(FromTheWorld), PROMPT, [drop("cat", where={"steps": [1, 2]})], num_inference_steps=2
    )
    again = steer(
        base(FromTheWorld), PROMPT, [drop("cat", where={"steps": [1, 2]})], num_inference_steps=2
    )
    assert torch.equal(steered.before.latents, again.before.latents)
    assert torch.equal(steered.after.latents, again.after.latents)


def test_noise_that_only_a_run_shows_is_not_compared():
    """A model in training mode has dropout, which no generator of a row decides."""
    model = tiny_pipeline()
    step = model.scheduler.step

    def noisy(*args, **kwargs):
        latents, *_ = step(*args, **{**kwargs, "return_dict": False})
        return (latents + torch.randn_like(latents),)

    model.scheduler.step = noisy
    with pytest.raises(ArgumentError, match="samples noise past the generators"):
        latents(model, {}, {"methods": (drop("cat"),)}, steps=2)
    one, other = (latents(model, {}, steps=2)[0] for _ in range(2))
    assert torch.equal(one, other)


def test_what_was_seeded_is_put_back():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(5) as drew:
        assert not drew()
        torch.rand(3)
        assert drew()
    with pytest.raises(ZeroDivisionError), seeded(5):
        1 // int(torch.rand(1))
    assert torch.equal(torch.rand(2), expected)
