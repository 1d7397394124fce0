import math
from dataclasses import replace

import pytest
import torch

from regard.models import load
from regard.zoo import recipe
from regard.zoo.autoencoder import psnr, task
from regard.zoo.job import Job
from small_recipes import small as small_recipe


def test_psnr_by_hand():
    # Pictures span 2. An error of 0.2 everywhere: 10 log10(4 / 0.04) = 20 dB. Half the pixels
    # off by 0.2: the mean square halves, 10 log10(2) = 3.01 dB more.
    pixels = torch.zeros(2, 3, 4, 4)
    restored = torch.zeros(2, 3, 4, 4)
    restored[0] = 0.2
    restored[1, :, :2] = 0.2
    found = psnr(restored, pixels).tolist()
    assert found == pytest.approx([20.0, 20.0 + 10 * math.log10(2)], abs=1e-4)


def test_what_overshoots_white_counts_as_white():
    white = torch.ones(1, 3, 2, 2)
    assert psnr(5 * white, white).item() == float("inf")


def test_the_latent_grid_is_a_quarter_of_the_picture_a_side(small):
    network = load("openmoji-autoencoder")
    latents = network.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
    assert latents.shape == (1, recipe("openmoji-autoencoder").model["latent_channels"], 16, 16)
    assert network.decode(latents).sample.shape == (1, 3, 64, 64)


def test_the_stored_scale_gives_latents_of_unit_variance(small):
    from regard.data.scenes import scene
    from regard.zoo.pixels import to_tensor

    network = load("openmoji-autoencoder")
    pixels = to_tensor(scene(i, seed=1).image for i in range(32))
    latents = network.encode(pixels).latent_dist.mode() * network.config.scaling_factor
    assert latents.std().item() == pytest.approx(1.0, abs=0.15)


def test_the_encoder_rests_from_a_step_on_and_the_decoder_learns_on():
    plan = small_recipe("openmoji-2-autoencoder")
    plan = replace(plan, train={**plan.train, "encoder_until": 1})
    job = Job(task(plan, torch.device("cpu")), plan, 3)
    steps, network = job.run(), job.task.network

    def seen():
        parts = (network.encoder, network.decoder)
        return [torch.cat([w.detach().flatten() for w in part.parameters()]) for part in parts]

    next(steps)
    encoder, decoder = seen()
    next(steps)
    encoder_after, decoder_after = seen()
    assert torch.equal(encoder, encoder_after)
    assert not torch.equal(decoder, decoder_after)


def test_the_corner_counts_more_where_the_recipe_says_so():
    plan = small_recipe("openmoji-2-autoencoder")
    losses = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        made = task(replace(plan, train={**plan.train, "corner": weight}), torch.device("cpu"))
        torch.manual_seed(0)
        with torch.no_grad():
            losses.append(made.loss(made.batch(0), 0).item())
    # Untrained, it is as wrong in the corner as elsewhere: about once more.
    assert losses[1] > 1.5 * losses[0]
