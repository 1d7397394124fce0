import numpy as np
import pytest
import torch
import xarray as xr
from diffusers import SD3Transformer2DModel

import tiny
from regard.errors import ArgumentError, NothingObserved
from regard.explain.flow import resized
from regard.explain.word_rollout import WordRollout, word_rollout
from regard.tap import Tap, TokenLayout, segments
from regard.trace.grid import triangle


def dense_calls(sample):
    """Head means in double precision with place and layout, in running order."""
    calls = []

    def keep(call):
        calls.append((call.stage, call.layout, call.probs().double().mean(1).numpy()))

    with Tap(sample.model, observe=[keep], conditions=("cond",)):
        sample.run()
    return calls


def resampling(old, new):
    return np.kron(*(triangle(*sides) for sides in zip(old, new, strict=True)))


def by_hand(calls, residual=0.5):
    """The definition on dense maps: words R_it, and patches R_ii of the first grid."""
    size = len(calls[0][1].queries_of("image"))
    words, patches = np.zeros((2, size, 5)), np.stack([np.eye(size)] * 2)
    grid, before, skips = calls[0][1].queries_of("image").grid, "down", {}
    for place, layout, weights in calls:
        new = layout.queries_of("image").grid
        if before == "down" and (place, new) != ("down", grid):
            skips[grid] = words, patches
        if new != grid:
            moved = resampling(grid, new)
            words, patches, grid = moved @ words, moved @ patches, new
        if place == "up" and grid in skips:
            skip = skips.pop(grid)
            words, patches = (words + skip[0]) / 2, (patches + skip[1]) / 2
        before = place
        if layout.kind == "self":
            words = residual * words + (1 - residual) * weights @ words
            patches = residual * patches + (1 - residual) * weights @ patches
        else:
            words = residual * words + (1 - residual) * weights
    return words, patches


@pytest.mark.parametrize("changes", [{}, {"attention_at": (False, True)}])
@pytest.mark.parametrize("residual", [0.5, 0.2])
def test_rollout_through_a_unet_is_the_definition_on_dense_maps(changes, residual):
    sample = tiny.unet_sample(**changes)
    rollout = WordRollout(residual=residual, image=True)
    with Tap(sample.model, observe=[rollout], conditions=("cond",)):
        sample.run()
    (rolled,) = rollout.result()
    words, patches = by_hand(dense_calls(sample), residual)
    found = rolled.words.flatten(2).mT.numpy()
    np.testing.assert_allclose(found, words, atol=1e-6)
    np.testing.assert_allclose(rolled.image, patches, atol=1e-6)
    assert rolled.words.shape[2:] == ((4, 3) if changes else (8, 6))


def test_patches_keep_a_sum_of_one_and_words_at_most_one():
    sample = tiny.unet_sample()
    rollout = WordRollout(image=True)
    with Tap(sample.model, observe=[rollout], conditions=("cond",)):
        sample.run()
    (rolled,) = rollout.result()
    np.testing.assert_allclose(rolled.image.sum(-1), 1.0, atol=1e-5)
    assert (rolled.words.sum(1) <= 1 + 1e-6).all()
    assert (rolled.words.sum(1) > 0.9).all()


def test_if_all_passes_the_layers_by_nothing_comes_of_the_words():
    sample = tiny.unet_sample()
    rollout = WordRollout(residual=1.0)
    with Tap(sample.model, observe=[rollout], conditions=("cond",)):
        sample.run()
    assert rollout.result()[0].words.abs().max() == 0


def joint_layout(model, inputs, shape):
    """Image first, as Stable Diffusion 3 joins them."""
    both = segments(("image", 16, (4, 4)), ("text", 5))
    return TokenLayout(both, both)


def test_rollout_through_a_joint_transformer_is_a_product_of_matrices():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_layers=3,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=16,
            out_channels=4,
            pos_embed_max_size=8,
        ).eval()
    inputs = {
        "hidden_states": tiny.noise(1, 4, 8, 8),
        "encoder_hidden_states": tiny.noise(1, 5, 16, seed=1),
        "pooled_projections": tiny.noise(1, 16, seed=2),
        "timestep": torch.tensor([5.0]),
    }
    maps, rollout = [], WordRollout()
    observe = [lambda call: maps.append(call.probs().double()), rollout]
    with torch.no_grad(), Tap(model, observe=observe, layout=joint_layout, conditions=("cond",)):
        model(**inputs)
    flow = np.eye(21)
    for weights in maps:
        flow = (0.5 * weights.mean(1)[0].numpy() + 0.5 * np.eye(21)) @ flow
    found = rollout.result()[0].words[0].flatten(1).mT
    np.testing.assert_allclose(found, flow[:16, 16:], atol=1e-6)
    assert len(maps) == 3


def test_patches_are_not_followed_on_too_fine_a_grid():
    model = tiny.tiny_unet(size=40)
    inputs = {
        "sample": tiny.noise(1, 4, 40, 40),
        "timestep": torch.tensor(1),
        "encoder_hidden_states": tiny.noise(1, 5, 16),
    }
    with (
        pytest.raises(ArgumentError, match="a layer has 40 x 40 patches"),
        Tap(model, observe=[WordRollout(image=True)], conditions=("cond",)),
    ):
        model(**inputs)


def test_of_no_attention_to_text_nothing_is_rolled():
    sample, rollout = tiny.unconditional_sample(), WordRollout()
    with Tap(sample.model, observe=[rollout], conditions=("cond",)):
        sample.run()
    with pytest.raises(NothingObserved, match="no attention call had image queries and text"):
        rollout.result()


def test_an_even_plane_stays_even_on_another_grid():
    shares = torch.ones(2, 12, 3)
    torch.testing.assert_close(resized(shares, (4, 3), (7, 5)), torch.ones(2, 35, 3))


def test_a_generation_is_labelled_by_step_and_token():
    found = word_rollout(tiny.tiny_pipeline(), "a cat on grass", num_inference_steps=3)
    assert dict(found.sizes) == {"step": 3, "token": 16, "y": 8, "x": 8}
    assert found["word"].values[1:5].tolist() == ["a", "cat", "on", "grass"]
    assert ((found["rho"] > 0) & (found["rho"] < 1)).all()
    cat = word_rollout(tiny.tiny_pipeline(), "a cat on grass", words=["cat"], num_inference_steps=3)
    xr.testing.assert_equal(cat, found.sel(token=[2]))


def test_two_generations_with_one_observer_keep_the_last():
    pipeline, rollout = tiny.tiny_pipeline(), WordRollout()
    with Tap(pipeline, observe=[rollout]):
        tiny.generate(pipeline, "a dog", steps=3)
        tiny.generate(pipeline, "a cat", steps=2)
    assert [each.step for each in rollout.result()] == [0, 1]


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match=r"residual is 2.0 and must be a finite number in 0..1"):
        WordRollout(residual=2.0)
