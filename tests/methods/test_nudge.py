import functools

import pytest
import torch

import joint
import tiny
from looks import generated
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.methods import Where, attend_and_excite, nudge

PROMPT = "a cat and a dog on grass"
WORDS = ["cat", "dog"]


@functools.cache
def pipeline():
    """Cross-attention at 16x16 and 8x8, in three layers each way."""
    return tiny.tiny_pipeline(size=16)


def drawn(*methods, model=None, steps=6, seeds=(0,), prompt=PROMPT):
    """The latents under these methods, of each seed."""
    model, wanted = (
        model or pipeline(),
        Request(prompt, num_inference_steps=steps, guidance_scale=4.0),
    )
    variants = [{"methods": methods, "seed": seed} for seed in seeds]
    return [each.latents for each in generated(model, wanted, variants)]


def test_its_moves_are_those_of_attend_and_excite_without_refinement():
    excite = attend_and_excite(
        WORDS, carriers=True, thresholds={}, scale_factor=7.0, where=Where(steps=[0, 4])
    )
    every = nudge(WORDS, every=1, scale_factor=7.0, where=Where(steps=range(4)))
    assert torch.equal(drawn(every)[0], drawn(excite)[0])


@pytest.mark.parametrize(("every", "steps"), [(2, [0, 2]), (3, [0])])
def test_it_moves_in_every_so_many_steps_of_the_first_half(every, steps):
    moves = [
        attend_and_excite(WORDS, carriers=True, thresholds={}, where=Where(steps=step))
        for step in steps
    ]
    together = nudge(WORDS, every=every, scale_factor=20.0)
    torch.testing.assert_close(drawn(together)[0], drawn(*moves)[0], rtol=0, atol=1e-5)


def test_without_carriers_a_word_counts_alone():
    alone = attend_and_excite(WORDS, thresholds={}, scale_factor=10.0, where=Where(steps=0))
    torch.testing.assert_close(
        drawn(nudge(WORDS, where=Where(steps=0), carriers=False))[0], drawn(alone)[0]
    )
    assert not torch.allclose(
        drawn(nudge(WORDS, where=Where(steps=0)))[0], drawn(alone)[0], atol=1e-4
    )


def test_images_of_a_batch_are_what_they_are_alone():
    together = drawn(nudge(WORDS), seeds=(0, 1, 2))
    for seed, latents in enumerate(together):
        alone = drawn(nudge(WORDS), seeds=(seed,))[0]
        torch.testing.assert_close(alone, latents, rtol=0, atol=1e-4)


def test_models_with_joint_attention_are_nudged_too():
    model = joint.tiny_flux_pipeline()
    moved = drawn(nudge("cat"), model=model)[0]
    assert not torch.allclose(moved, drawn(model=model)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nudge([]), ArgumentError, "nudge: words are empty"),
        (lambda: nudge("cat", every=0), ArgumentError, "nudge: every is 0 and must be 1 or more"),
        (lambda: nudge("cat", scale_factor=-1.0), ArgumentError, "nudge: scale_factor is -1.0"),
        (lambda: nudge("cat", grid=0), ArgumentError, "nudge: grid is 0"),
        (
            lambda: drawn(nudge("cat", where=Where(steps=[4, 9]))),
            ArgumentError,
            "includes step 8, and the",
        ),
        (lambda: drawn(nudge("cow")), UnknownName, "'cow'"),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
