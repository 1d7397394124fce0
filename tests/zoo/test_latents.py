import numpy as np
import torch

from regard.data.scenes import scene
from regard.models import load
from regard.zoo.latents import Latents, cache_folder, latents, spread
from regard.zoo.pixels import to_tensor

CPU = torch.device("cpu")
SETTINGS = {"seed": 3, "scenes": 6, "batch": 4}


def test_latents_are_those_of_the_scenes_in_the_scale_of_the_autoencoder(small):
    network = load("openmoji-autoencoder")
    found = latents(network, SETTINGS, CPU)
    with torch.no_grad():
        alone = network.encode(to_tensor([scene(5, seed=3).image])).latent_dist.mode()
    expected = alone[0] * network.config.scaling_factor
    torch.testing.assert_close(found.values[5].float(), expected, atol=2e-3, rtol=2e-3)
    assert found.captions[5] == [scene(5, seed=3).caption(), scene(5, seed=3).caption("literal")]


def test_they_are_encoded_once_and_anew_for_other_scenes(small):
    network = load("openmoji-autoencoder")
    first = latents(network, SETTINGS, CPU)
    before = set(cache_folder().iterdir())
    again = latents(network, SETTINGS, CPU)
    assert torch.equal(first.values, again.values)
    assert set(cache_folder().iterdir()) == before
    latents(network, {**SETTINGS, "seed": 4}, CPU)
    assert len(set(cache_folder().iterdir()) - before) == 1


def test_one_text_in_ten_is_empty_and_a_step_is_always_the_same():
    data = Latents(torch.arange(8.0).half(), [["a cat", "a cat"]] * 8)
    settings = {"seed": 1, "batch": 4}
    values, texts = data.picked(7, settings)
    again, said = data.picked(7, settings)
    assert torch.equal(values, again)
    assert texts == said
    empty = [text == "" for step in range(500) for text in data.picked(step, settings)[1]]
    assert 0.07 < np.mean(empty) < 0.13


def test_one_number_lies_in_each_part():
    found = spread(10)
    assert (found * 10).long().tolist() == list(range(10))
