"""ConsiStory: masks, mixed queries, matched features and mixed outputs, part by part and whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from joint import tiny_flux_pipeline, tiny_sd3_pipeline
from looks import pipeline
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request, generate
from regard.methods import consistory, share
from regard.methods.consistory import _share
from regard.methods.correspondence import matches, smoothed
from regard.methods.subject_masks import SubjectMasks, dropped
from regard.models import TextToImage
from regard.tap import AttentionCall, Select, segments
from regard.tap.layout import TokenLayout
from regard.tap.weights import Fused

FIRST, SECOND, THIRD = "a cat on grass", "a cat on the beach", "a red cat"
STEPS = 20


def latents(*requests, model=None, observe=()):
    made = generate(TextToImage.of(model or pipeline()), requests, observe=observe)
    return [each.latents for each in made]


def request(prompt, *methods, seed=0, guidance=4.0, steps=STEPS):
    return Request(
        prompt, seed=seed, methods=methods, num_inference_steps=steps, guidance_scale=guidance
    )


def scenes(**settings):
    how = consistory("cat", [FIRST, SECOND], seeds=[1, 2], **settings)
    return [request(FIRST, how, seed=1), request(SECOND, how, seed=2), request(THIRD, how, seed=3)]


def same(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, rtol=atol, atol=atol)


def differ(one, other, atol=1e-3):
    assert not torch.allclose(one, other, rtol=0, atol=atol)


def plain(each):
    return replace(each, methods=())


# Whole


def test_it_is_the_same_again_and_each_part_changes_it():
    whole = latents(*scenes())
    for one, other in zip(whole, latents(*scenes()), strict=True):
        assert torch.equal(one, other)
    for part in ({"inject": 0.0}, {"share_queries": False}, {"mask_dropout": 0.0}, {"window": 1}):
        differ(whole[2], latents(*scenes(**part))[2], 1e-5)


def test_who_else_is_in_the_batch_changes_no_image():
    first, second, third = scenes()
    alone, few = latents(first, second), latents(third)
    many = latents(third, replace(third, seed=9), first, second)
    same(many[0], few[0], atol=1e-4)
    same(many[2], alone[0], atol=1e-4)
    same(many[3], alone[1], atol=1e-4)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    latents(*scenes())
    assert torch.equal(torch.rand(3), expected)


def test_nothing_shared_nothing_mixed_are_the_independent_images():
    # All patches are left out, so that nobody lends anything.
    wanted = scenes(mask_dropout=1.0, share_queries=False, inject=0.0)
    for one, each in zip(latents(*wanted), wanted, strict=True):
        same(one, latents(plain(each))[0], atol=1e-4)


def test_queries_of_images_that_share_nothing_are_their_own():
    wanted = scenes(mask_dropout=1.0, inject=0.0)
    for one, each in zip(latents(*wanted), wanted, strict=True):
        same(one, latents(plain(each))[0], atol=1e-4)


def test_a_scene_without_the_subject_lends_nothing_and_is_generated():
    how = consistory("cat", [FIRST, "a dog"], seeds=[1, 2])
    one, other = latents(request("a bird", how, seed=3), request(FIRST, how, seed=1))
    differ(one, latents(request("a bird", seed=3))[0], 1e-5)  # it attends to the cat all the same
    same(other, latents(request(FIRST, how, seed=1))[0])


def test_a_subject_that_no_anchor_has_is_refused():
    with pytest.raises(UnknownName, match="none of the anchors 'a dog' has 'cat' in its prompt"):
        latents(request(FIRST, consistory("cat", ["a dog"])))


@pytest.mark.parametrize("build", [tiny_sd3_pipeline, tiny_flux_pipeline])
def test_joint_transformers(build):
    model, lent = build(), []

    def see(call):
        layout = call.known_layout("test")
        lent.append(layout.has(key="lent"))

    how = consistory("cat", [FIRST], seeds=[1])
    wanted = replace(request(THIRD, how, steps=12), guidance_scale=None)
    found = latents(wanted, model=model, observe=[(Select(query="image", key="image"), see)])
    assert any(lent)
    differ(found[0], latents(plain(wanted), model=model)[0], 1e-6)


def test_several_subjects():
    how = consistory(["cat", "dog"], ["a cat and a dog on grass"], seeds=[1])
    differ(latents(request("a dog", how))[0], latents(request("a dog"))[0], 1e-5)


def test_few_steps_are_enough():
    assert latents(request(THIRD, consistory("cat", [FIRST]), steps=1))


# Masks

HIGH = [5, 9, 10]


def call_of(step=0, run=0, high=HIGH, grid=(4, 4)):
    """Two images that attend to token 2 in some patches of a 4 x 4 grid, with no text else."""
    patches = grid[0] * grid[1]
    scores = torch.zeros(2, 1, patches, 3)
    scores[:, :, high, 2] = 4.0
    query = torch.cat([scores, torch.zeros(2, 1, patches, 1)], -1)
    layout = TokenLayout(segments(("image", patches, grid)), segments(("text", 3)))
    key = torch.eye(4)[:3].expand(2, 1, 3, 4)
    return AttentionCall(
        Fused(query, key), torch.zeros(2, 1, 3, 4), layout=layout, step=step, run=run,
        conditions=("cond",) * 2, layer="attn",
    )  # fmt: skip


def test_a_mask_is_where_an_image_attends_to_its_subject():
    masks = SubjectMasks([[[2]], [[]]], 20, all_grids=False)
    assert masks.of((4, 4)) is None
    masks.see(call_of(step=0))
    assert masks.of((4, 4), before=0) is None
    found = masks.of((4, 4), before=1)
    assert found[0].nonzero()[:, 0].tolist() == HIGH
    assert not found[1].any()  # its prompt has no such word
    assert masks.of((8, 8)).shape == (2, 64)


def test_the_last_steps_count_and_another_generation_begins_anew():
    masks = SubjectMasks([[[2]], [[2]]], 1, all_grids=False)
    masks.see(call_of(step=0))
    masks.see(call_of(step=1, high=[0]))
    assert masks.of((4, 4))[0].nonzero()[:, 0].tolist() == [0]
    masks.see(call_of(step=0, run=1, high=[3]))
    assert masks.of((4, 4))[0].nonzero()[:, 0].tolist() == [3]


def test_of_several_grids_the_finest_is_read_up_to_32():
    masks = SubjectMasks([[[2]], [[2]]], 20, all_grids=False)
    masks.see(call_of())
    masks.see(call_of(grid=(2, 2), high=[0]))
    masks.see(call_of(grid=(64, 64), high=[0]))
    assert masks.of((4, 4))[0].nonzero()[:, 0].tolist() == HIGH


def test_a_share_of_a_mask_is_left_out_by_a_generator_of_its_own():
    masks = torch.zeros(2, 10_000, dtype=torch.bool)
    masks[0] = True
    kept = dropped(masks, 0.3, [0, 1])
    assert kept[0].float().mean().item() == pytest.approx(0.7, abs=0.02)
    assert not kept[1].any()
    assert torch.equal(kept, dropped(masks, 0.3, [0, 1]))
    assert not torch.equal(kept, dropped(masks, 0.3, [0, 2]))
    assert torch.equal(dropped(masks, 0.0, [0]), masks)
    assert not dropped(masks, 1.0, [0]).any()


# Correspondence


def test_a_shifted_copy_is_matched_with_what_it_shows():
    features = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    both = torch.cat([features, features.roll((1, 2), (2, 3))])
    everywhere = torch.ones(2, 36, dtype=torch.bool)
    found = matches(both, everywhere, 1, [0])
    numbers = torch.arange(36).view(6, 6).roll((1, 2), (0, 1)).flatten()
    assert torch.equal(found.patch, numbers)
    assert not found.image.any()


def test_only_the_subject_of_other_images_is_matched():
    features = torch.randn(3, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    masks = torch.zeros(3, 16, dtype=torch.bool)
    masks[1, [2, 7]] = masks[2, 5] = True
    found = matches(features, masks, 0, [0, 1, 2])
    assert {*zip(found.image.tolist(), found.patch.tolist(), strict=True)} <= {
        (1, 2),
        (1, 7),
        (2, 5),
    }
    directions = torch.nn.functional.normalize(features.flatten(2), dim=1)
    own = directions[0].mT
    cosines = torch.stack([own @ directions[i][:, p] for i, p in ((1, 2), (1, 7), (2, 5))])
    best = cosines.argmax(0)
    assert found.image.tolist() == [[1, 1, 2][each] for each in best]
    assert matches(features, masks, 1, [1]) is None
    assert matches(features, torch.zeros_like(masks), 0, [1, 2]) is None


def test_what_counts_as_close_is_split_by_otsu():
    features = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    found = matches(features, torch.ones(2, 64, dtype=torch.bool), 0, [1])
    own, other = (torch.nn.functional.normalize(f.flatten(1), dim=0) for f in features)
    distance = 1 - (own.mT @ other).max(1).values.numpy()

    def between(level):
        low, high = distance[distance < level], distance[distance >= level]
        return len(low) * len(high) * (high.mean() - low.mean()) ** 2

    level = max(np.sort(distance)[1:], key=between)
    assert np.array_equal(found.close.numpy(), distance < level)


def test_smoothing_is_a_gaussian_of_standard_deviation_one():
    point = torch.zeros(1, 2, 5, 5)
    point[0, 1, 2, 2] = 1.0
    weights = np.exp(-(np.array([-1, 0, 1.0]) ** 2) / 2)
    expected = np.outer(weights, weights) / weights.sum() ** 2
    np.testing.assert_allclose(smoothed(point)[0, 1, 1:4, 1:4], expected, rtol=1e-6)
    assert not smoothed(point)[0, 0].any()


# Refusals


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mask_dropout": 1.5}, "mask_dropout is 1.5 and must lie in 0..1"),
        ({"inject": -0.1}, "inject is -0.1 and must lie in 0..1"),
        ({"window": 0}, "window is 0 and must be a whole number"),
        ({"branches": "all"}, "branches is 'all' and must be one of"),
    ],
)
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        scenes(**wrong)


def test_shares_are_numbers():
    with pytest.raises(ArgumentError, match="inject is 'much'"):
        _share("inject", "much")


def test_it_composes_with_what_acts_on_single_images():
    from regard.methods import temperature

    how = consistory("cat", [FIRST], seeds=[1])
    both = latents(request(THIRD, temperature(0.5), how))[0]
    differ(both, latents(request(THIRD, how))[0])
    differ(both, latents(request(THIRD, temperature(0.5), share([FIRST], seeds=[1])))[0])
