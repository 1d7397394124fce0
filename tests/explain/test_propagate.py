import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

import tiny
from regard.errors import ArgumentError, AxisError, NotAttentionError, NothingObserved
from regard.explain.propagate import Propagation, propagated, propagated_words
from regard.tap import Tap

DRAW = np.random.default_rng(0)


def cross_maps():
    return xr.DataArray(DRAW.random((3, 2, 4)), dims=["token", "y", "x"])


def self_maps(size=8):
    weights = DRAW.random((size, size))
    return xr.DataArray(weights / weights.sum(-1, keepdims=True), dims=["query", "key"])


@pytest.mark.parametrize("power", [1, 2, 4])
@pytest.mark.parametrize("gamma", [1.0, 2.5])
def test_it_is_the_power_of_the_sharpened_map_times_the_maps(power, gamma):
    cross, weights = cross_maps(), self_maps()
    sharp = weights.values**gamma
    sharp /= sharp.sum(-1, keepdims=True)
    expected = cross.values.reshape(3, 8)
    for _ in range(power):
        expected = expected @ sharp.T
    found = propagated(cross, weights, power=power, gamma=gamma)
    np.testing.assert_allclose(found, expected.reshape(3, 2, 4), atol=1e-9)
    turned = propagated(cross.transpose("x", "token", "y"), weights, power=power, gamma=gamma)
    xr.testing.assert_allclose(turned.transpose("token", "y", "x"), found)


def test_no_power_leaves_the_maps_and_blocks_confine_them():
    cross = cross_maps()
    xr.testing.assert_allclose(propagated(cross, self_maps(), power=0), cross)
    blocks = np.zeros((8, 8))
    blocks[:4, :4] = blocks[4:, 4:] = 0.25
    one = xr.zeros_like(cross)
    one[:, 0, 0] = 1.0
    found = propagated(one, xr.DataArray(blocks, dims=["query", "key"]), power=3)
    assert (found[:, 0] > 0).all()
    assert (found[:, 1] == 0).all()


def dense(sample, tokens, grid, power, gamma):
    """The definition on dense maps, averaged over heads and layers."""
    selves, crosses = [], []

    def keep(call):
        mean = call.probs().double().mean(1)
        if call.kind == "cross":
            maps = mean[..., tokens].mT.unflatten(-1, call.layout.queries_of("image").grid)
            crosses.append(functional.interpolate(maps, grid, mode="bilinear", align_corners=False))
        elif call.layout.queries_of("image").grid == grid:
            selves.append(mean)

    with Tap(sample.model, observe=[keep], conditions=("cond",)):
        sample.run()
    flat = torch.stack(crosses).mean(0).flatten(2).mT
    weights = torch.stack(selves).mean(0) ** gamma
    weights = weights / weights.sum(-1, keepdim=True)
    for _ in range(power):
        flat = weights @ flat
    return flat.mT.unflatten(-1, grid)


@pytest.mark.parametrize(
    ("grid", "power", "gamma"), [(None, 1, 1.0), (None, 3, 1.0), (None, 2, 3.0), ((4, 3), 1, 1.0)]
)
def test_streamed_it_is_the_definition_on_dense_maps(grid, power, gamma):
    sample = tiny.unet_sample()
    kept = Propagation([1, 3], power=power, gamma=gamma, grid=grid)
    with Tap(sample.model, observe=[kept], conditions=("cond",)):
        sample.run()
    expected = dense(sample, [1, 3], grid or (8, 6), power, gamma)
    torch.testing.assert_close(kept.result()[0].double(), expected, atol=1e-6, rtol=0)


def test_a_generation_is_labelled_and_its_power_zero_is_the_maps():
    pipeline = tiny.tiny_pipeline()
    found = propagated_words(
        pipeline, "a cat on grass", words=["cat", "grass"], num_inference_steps=2
    )
    assert dict(found.sizes) == {"step": 2, "token": 2, "y": 8, "x": 8}
    assert found["word"].values.tolist() == ["cat", "grass"]
    every = propagated_words(pipeline, "a cat on grass", num_inference_steps=2, power=2)
    # Both maps of words over all tokens and rows of self-attention sum to 1.
    np.testing.assert_allclose(every.sum("token"), 1.0, atol=1e-5)


def test_wrong_arguments_are_told():
    cross, weights = cross_maps(), self_maps()
    with pytest.raises(ArgumentError, match="power is -1 and must be a whole number of 0 or more"):
        propagated(cross, weights, power=-1)
    with pytest.raises(AxisError, match="the maps have 8 patches and the weights 6 x 6"):
        propagated(cross, self_maps(6))
    with pytest.raises(AxisError, match="need 'y' and 'x'"):
        propagated(cross.rename(y="row"), weights)
    with pytest.raises(NotAttentionError):
        propagated(cross, 2 * weights)
    with pytest.raises(ArgumentError, match=r"tokens are \[\]"):
        Propagation([])
    sample, kept = tiny.unet_sample(), Propagation([1], grid=(5, 5))
    with Tap(sample.model, observe=[kept], conditions=("cond",)):
        sample.run()
    with pytest.raises(NothingObserved, match=r"self-attention on \(5, 5\)"):
        kept.result()
