"""What is read of attention, beside what the model itself gives when it computes it in the open."""

import numpy as np
import pytest
import scipy.stats
import torch
import xarray as xr

import fashion
from regard.experiments.studies.looking import (
    AnswerRows,
    Dense,
    answer_maps,
    everything,
    reach_and_spread,
    read_all,
)
from regard.experiments.studies.setting import opened
from regard.measures.agreement import head_diversity
from regard.tap import Tap

DATA = fashion.clothes(6)


@pytest.fixture(scope="module")
def weights():
    """The model's own attention, [sample, layer, head, query, key]."""
    model = fashion.network()
    model.set_attn_implementation("eager")
    pixels = fashion.vision(model).pixels(DATA.images)
    with torch.no_grad():
        seen = model(pixel_values=pixels, output_attentions=True).attentions
    return torch.stack(seen, 1).double().numpy()


@pytest.fixture(scope="module")
def setting():
    return opened(fashion.vision(), DATA, fashion.TINY)


def test_the_row_of_the_answer_is_that_of_the_class_token(weights, setting):
    rows = AnswerRows()
    with torch.no_grad(), Tap(setting.vision.model, observe=[rows]):
        setting.vision.forward(setting.pixels(np.arange(6)))
    np.testing.assert_allclose(rows.taken().values, weights[..., 0, :], atol=1e-6)


def test_without_a_class_token_it_is_the_mean_row_of_the_patches():
    model = fashion.network("Dinov2WithRegisters", use_mask_token=False)
    ready = fashion.vision(model)
    pixels = ready.pixels(DATA.images[:2])
    seen = []

    def read(call):
        share = torch.zeros(call.shape[2], 1)
        share[call.known_layout("x").queries_of("image").slice] = 1 / 16
        image = call.known_layout("x").queries_of("image")
        mean = call.probs(image.slice).mean(2)
        seen.append((call.column_sums(share)[..., 0] - mean).abs().max().item())

    with torch.no_grad(), Tap(model, observe=[read]):
        model(pixel_values=pixels)
    assert max(seen) < 1e-6


def test_a_map_is_in_multiples_of_an_even_share():
    row = xr.DataArray([[0.2, 0.2, 0.2, 0.2, 0.2]], dims=["head", "key"])
    np.testing.assert_allclose(answer_maps(row, (2, 2), 1), np.ones((1, 2, 2)))


def test_distance_and_entropy_are_what_numpy_and_scipy_make_of_the_models_own_weights(
    weights, setting
):
    found = read_all(setting, np.arange(6), reach_and_spread)
    patches = weights[..., 1:, 1:]
    rows = patches / patches.sum(-1, keepdims=True)
    places = np.array([(y, x) for y in range(4) for x in range(4)])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    distance = (rows * apart).sum(-1).mean(-1) / np.hypot(3, 3)
    np.testing.assert_allclose(found["distance"].values, distance, atol=1e-6)
    evenness = scipy.stats.entropy(rows, axis=-1).mean(-1) / np.log(16)
    np.testing.assert_allclose(found["evenness"].values, evenness, atol=1e-5)


def test_the_mean_divergence_of_pairs_is_the_diversity_of_heads(weights, setting):
    found = read_all(setting, np.arange(6), everything)
    patches = weights[..., 1:, :]
    rows = xr.DataArray(patches, dims=("sample", "layer", "head", "query", "key"))
    js = head_diversity(rows, prefix=1)
    pair = found["divergence"].isel(head=0, head2=1)
    np.testing.assert_allclose(pair.values, js.values, atol=1e-5)


def test_a_batch_of_six_is_six_batches_of_one(setting):
    def read(size):
        dense = Dense(reach_and_spread)
        for part in np.array_split(np.arange(6), 6 // size):
            with torch.no_grad(), Tap(setting.vision.model, observe=[dense]):
                setting.vision.forward(setting.pixels(part))
            dense.next_batch()
        return dense.result()

    xr.testing.assert_allclose(read(6), read(1), atol=1e-6)


def test_layers_and_heads_are_counted_from_0(setting):
    found = read_all(setting, np.arange(2), reach_and_spread)
    assert found["layer"].values.tolist() == [0, 1, 2]
    assert found["head"].values.tolist() == [0, 1]
