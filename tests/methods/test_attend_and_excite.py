import functools
import warnings

import pytest
import torch

import tiny
from looks import generated
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.methods import Where, attend_and_excite, drop
from regard.methods.excite import Competition, smoothed
from regard.tap import HeatMap, Select

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # in schedulers of diffusers
)

PROMPT = "a cat and a dog on grass"
CAT, DOG = 2, 5
STEPS = 3
STRONG = {"where": Where(steps=range(2)), "thresholds": {}, "padding": True}


@functools.cache
def pipeline():
    """Cross-attention at 16x16 and 8x8, in three layers each way."""
    return tiny.tiny_pipeline(size=16)


def made(*variants, prompt=PROMPT, steps=STEPS, model=None, guidance=4.0):
    """The latents of each variant."""
    model, wanted = (
        model or pipeline(),
        Request(prompt, num_inference_steps=steps, guidance_scale=guidance),
    )
    listed = [each if isinstance(each, dict) else {"methods": tuple(each)} for each in variants]
    return [each.latents for each in generated(model, wanted, listed)]


def theirs(model, tokens, **options):
    """The latents of diffusers' own pipeline, on the same modules."""
    from diffusers import StableDiffusionAttendAndExcitePipeline as Other

    parts = {name: getattr(model, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    processors = dict(model.unet.attn_processors)
    scheduler = type(model.scheduler).from_config(model.scheduler.config)
    optional = {"safety_checker": None, "feature_extractor": None}
    # It says that it is deprecated; it runs, and is the one reference there is.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = Other(**parts, **optional, scheduler=scheduler, requires_safety_checker=False)
        other.set_progress_bar_config(disable=True)
        latents = other(
            PROMPT,
            token_indices=tokens,
            num_inference_steps=10,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            attn_res=(16, 16),
            **options,
        ).images
    model.unet.set_attn_processor(processors)
    return latents


def openmoji():
    import regard.zoo

    return regard.models.load("openmoji").pipeline


@pytest.mark.parametrize(
    ("model", "thresholds"),
    [(pipeline, {0: 0.5, 3: 0.9}), (openmoji, {0: 0.05, 2: 0.5, 4: 0.8})],
)
def test_latents_are_those_of_diffusers(model, thresholds):
    """Ten steps. Long refinements of a trained model multiply rounding beyond any comparison."""
    model = model()
    excite = attend_and_excite(
        ["cat", "dog"], where=Where(steps=range(5)), thresholds=thresholds, padding=True
    )
    ours, bare = (made(each, model=model, steps=10)[0] for each in ([excite], []))
    expected = theirs(model, [CAT, DOG], thresholds=thresholds, max_iter_to_alter=5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-3)
    assert (ours - bare).abs().max() > 0.1


def test_the_words_of_the_prompt_alone_may_compete_and_then_the_result_is_another():
    both = [[attend_and_excite("dog", **{**STRONG, "padding": here})] for here in (True, False)]
    with_padding, without = made(*both)
    assert (with_padding - without).abs().max() > 1e-3


def test_no_move_is_the_bare_picture():
    still = attend_and_excite("cat", scale_factor=0.0)
    torch.testing.assert_close(made([still])[0], made([])[0], rtol=0, atol=1e-5)


def test_images_of_a_batch_are_what_they_are_alone():
    excite = attend_and_excite(
        ["cat", "dog"], where=Where(steps=range(2)), thresholds={0: 0.35}, max_refinements=3
    )
    seeds = [{"methods": (excite,), "seed": seed} for seed in (0, 1, 2)]
    together = made(*seeds, steps=3)
    for variant, latents in zip(seeds, together, strict=True):
        torch.testing.assert_close(made(variant, steps=3)[0], latents, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "PNDMScheduler"])
def test_peaks_rise_with_any_scheduler(name):
    import diffusers

    model = tiny.tiny_pipeline(size=16)
    model.scheduler = getattr(diffusers, name).from_config(model.scheduler.config)
    how = {"thresholds": {0: 1.0}, "max_refinements": 3, "padding": False, "smoothing": 0.0}
    excite = attend_and_excite("cat", where=Where(steps=range(1)), scale_factor=1.0, **how)
    before, after = (_peak_in_the_first_step(model, each) for each in ((), (excite,)))
    assert after > before


def test_a_word_of_several_tokens_has_the_sum_of_their_maps():
    maps = torch.randn(1, 2, 2, 4)
    by_hand = (100 * maps).softmax(-1)[..., 1:3].sum(-1)
    competition = Competition(words=[[6, 7]], rivals=[5, 6, 7, 9])
    torch.testing.assert_close(competition.shares(maps)[:, 0], by_hand)


def test_smoothing_is_the_published_kernel():
    weights = torch.tensor([[0.0449, 0.1221, 0.0449], [0.1221, 0.3319, 0.1221]])
    point = torch.zeros(1, 1, 5, 5)
    point[..., 2, 2] = 1.0
    torch.testing.assert_close(smoothed(point, 0.5)[0, 0, 1:3, 1:4], weights, atol=1e-4, rtol=0)
    flat = torch.full((1, 2, 4, 3), 0.25)
    torch.testing.assert_close(smoothed(flat, 0.5), flat)  # as reflection keeps the mean


def test_it_goes_with_edits_which_its_own_evaluation_sees_too():
    excite = attend_and_excite("cat", where=Where(steps=range(1)), thresholds={})
    alone, beside = made([excite], [drop("dog"), excite])
    assert (alone - beside).abs().max() > 1e-3


def test_without_guidance_and_at_another_grid():
    coarse = attend_and_excite("cat", where=Where(steps=range(2)), thresholds={}, grid=8)
    first, second = made([coarse], [], guidance=1.0)
    assert (first - second).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"words": []}, "words are empty"),
        ({"words": "cat", "thresholds": {0: 1.5}}, "the threshold of step 0 is 1.5"),
        ({"words": "cat", "thresholds": {-1: 0.5}}, "Steps count from 0"),
        ({"words": "cat", "scale_factor": -1.0}, "scale_factor is -1.0"),
        ({"words": "cat", "scale_factor": float("nan")}, "scale_factor is nan"),
        ({"words": "cat", "scale_range": (1.0,)}, "must be 0 or more, two numbers"),
        ({"words": "cat", "max_refinements": -1}, "max_refinements is -1"),
        ({"words": "cat", "smoothing": -0.5}, "smoothing is -0.5"),
        ({"words": "cat", "grid": 0}, "grid is 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ArgumentError, match=message):
        attend_and_excite(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"words": "lion"}, UnknownName, "no word is named 'lion'"),
        ({"words": "cat", "thresholds": {3: 0.5}}, ArgumentError, "for step 3, and the run has 3"),
        ({"words": "cat", "where": {"steps": [0, 4]}}, ArgumentError, "includes step 3, and"),
        ({"words": "cat", "grid": (5, 7)}, ArgumentError, "There are: 8 x 8, 16 x 16"),
    ],
)
def test_a_run_that_cannot_be_so_changed(settings, error, message):
    with pytest.raises(error, match=message):
        made([attend_and_excite(**settings)])


def _peak_in_the_first_step(model, methods):
    """Of the map of "cat", as the generation itself sees it, not the guide."""
    words = range(1, 8)
    heat = HeatMap(words, keep=("step",))
    wanted = Request(PROMPT, num_inference_steps=4, guidance_scale=4.0)
    observe = [(Select(when=lambda call: call.shape[2] == 256), heat)]
    generated(model, wanted, [{"methods": methods}], observe=observe)
    shares = (100 * heat.result()[0].maps[0, 0, 0]).softmax(0)
    return float(shares[words.index(CAT)].max())


def test_a_word_may_count_with_the_token_after_it():
    """Unless that is another of the words, or the end."""
    plain = [
        made([attend_and_excite(["cat", "dog"], **STRONG)], prompt=it) for it in (PROMPT, "cat dog")
    ]
    with_next = [
        made([attend_and_excite(["cat", "dog"], carriers=True, **STRONG)], prompt=it)
        for it in (PROMPT, "cat dog")
    ]
    assert not torch.allclose(plain[0][0], with_next[0][0], atol=1e-4)
    assert torch.equal(plain[1][0], with_next[1][0])
