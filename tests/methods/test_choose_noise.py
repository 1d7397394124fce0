import functools

import pytest
import torch
from torch.nn import functional

import joint
import tiny
from looks import generated
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.methods import choose_noise
from regard.methods.choose_noise import coarse, reordered
from regard.tap import HeatMap

PROMPT = "a cat and a dog on grass"
CAT, AND, DOG = 2, 3, 5
CHANNELS = (1, 4, 16, 16)


@functools.cache
def pipeline():
    """Cross-attention at 16x16 and 8x8, in three layers each way."""
    return tiny.tiny_pipeline(size=16)


def drawn(*variants, model=None, steps=3, guidance=4.0, start=None, **options):
    """The latents of each variant."""
    wanted = Request(PROMPT, num_inference_steps=steps, guidance_scale=guidance, latents=start)
    made = generated(model or pipeline(), wanted, variants, **options)
    return [each.latents for each in made]


def noise_of(seed):
    return torch.randn(CHANNELS, generator=torch.Generator().manual_seed(seed))


def weakest_peak(noise, words):
    """From a whole run of five steps without guidance: the maps of its third."""
    heat = HeatMap(range(16), keep=("step", "layer"))
    drawn({}, start=noise, steps=5, guidance=1.0, observe=[heat])
    maps = [each.maps[0, 2].float() for each in heat.result() if each.maps.shape[-1] == 16]
    mean = torch.stack(maps).mean(0).reshape(16, 16, 16)
    border = functional.pad(mean[:, None], (1, 1, 1, 1), value=float("nan"))
    means = functional.unfold(border, 3).nanmean(1)  # [token, place]
    own = [sum(means[token] for token in tokens) for tokens in words]
    return min(float(each.max()) for each in own)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("carriers", [True, False])
def test_the_noise_with_the_highest_weakest_peak_is_where_it_begins(seed, carriers):
    words = [[CAT, AND] if carriers else [CAT], [DOG, DOG + 1] if carriers else [DOG]]
    noises = [reordered(noise_of(seed), number) for number in range(4)]
    best = max(noises, key=lambda noise: weakest_peak(noise, words))
    method = choose_noise(["cat", "dog"], candidates=4, carriers=carriers)
    [chosen] = drawn({"methods": (method,), "seed": seed})
    [wanted] = drawn({"seed": seed}, start=best)
    torch.testing.assert_close(chosen, wanted, rtol=0, atol=5e-5)


def test_not_every_image_keeps_its_own_noise():
    method = choose_noise(["cat", "dog"], candidates=4)
    bare = drawn(*({"seed": seed} for seed in range(4)))
    chosen = drawn(*({"methods": (method,), "seed": seed} for seed in range(4)))
    pairs = zip(bare, chosen, strict=True)
    assert not all(torch.allclose(one, other, atol=1e-4) for one, other in pairs)


def test_each_image_of_a_batch_chooses_for_itself():
    """More images than previews that are made at a time in rounds of one candidate."""
    method = choose_noise(["cat", "dog"], candidates=3)
    together = drawn(*({"methods": (method,), "seed": seed} for seed in range(9)))
    for seed in (0, 8):
        [alone] = drawn({"methods": (method,), "seed": seed})
        torch.testing.assert_close(together[seed], alone, rtol=0, atol=5e-5)


def test_of_equals_the_noise_of_the_seed_is_taken():
    from regard.methods import Where, uniform

    even = uniform(where=Where(kind="cross"))
    [chosen] = drawn({"methods": (choose_noise("cat"), even)})
    torch.testing.assert_close(chosen, drawn({"methods": (even,)})[0], rtol=0, atol=5e-5)


@pytest.mark.parametrize("model", [joint.tiny_sd3_pipeline, joint.tiny_flux_pipeline])
def test_joint_attention_chooses_too(model):
    model, seeds = model(), range(3)
    bare = drawn(*({"seed": seed} for seed in seeds), model=model)
    for many in (1, 8):
        method = choose_noise("cat", candidates=many)
        chosen = drawn(*({"methods": (method,), "seed": seed} for seed in seeds), model=model)
        pairs = list(zip(chosen, bare, strict=True))
        assert all(one.shape == other.shape for one, other in pairs)
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs) == (many == 1)


SCHEDULERS = [
    ("DDIMScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True}),  # as Stable Diffusion has it
    ("EulerDiscreteScheduler", {}),
    ("DPMSolverMultistepScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {}),
]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers'
@pytest.mark.parametrize(("name", "settings"), SCHEDULERS)
def test_a_preview_has_a_scheduler_of_its_own(name, settings):
    import diffusers

    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(30)
    before = scheduler.timesteps.clone()
    few = coarse(scheduler)
    assert len(few.timesteps) in (5, 6)  # PNDM has one more than it has steps
    few.step(torch.zeros(CHANNELS), few.timesteps[0], torch.ones(CHANNELS))
    assert torch.equal(scheduler.timesteps, before)


def test_levels_that_depend_on_the_size_of_the_picture_are_some_of_its_own():
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(30, mu=0.8)
    few = coarse(scheduler)
    assert torch.equal(few.timesteps, scheduler.timesteps[::6])
    one, level = torch.ones(CHANNELS), few.timesteps[0]
    moved = few.step(one, level, one, return_dict=False)[0]
    expected = 1 + scheduler.sigmas[6] - scheduler.sigmas[0]
    torch.testing.assert_close(moved, expected * one)


@pytest.mark.parametrize("wrong", [{"candidates": 0}, {"evaluations": 0}, {"evaluations": 6}])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(ArgumentError, match=r"^choose_noise: \w+ is \d and must be"):
        choose_noise("cat", **wrong)


def test_words_that_the_prompt_has_not_are_refused():
    with pytest.raises(UnknownName, match="horse"):
        drawn({"methods": (choose_noise("horse"),)})
    with pytest.raises(ArgumentError, match="choose_noise"):
        choose_noise([])
