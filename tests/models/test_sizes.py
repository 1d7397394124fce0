import pytest
import torch

import joint
from looks import pipeline
from regard.errors import ArgumentError
from regard.models import TextToImage, sizes
from regard.models.families import FAMILIES
from regard.models.sizes import check_latents, check_size, own_size

UNET = FAMILIES["UNet2DConditionModel"]
FLUX = FAMILIES["FluxTransformer2DModel"]


def test_the_own_size_is_that_of_the_latents_times_the_autoencoder():
    assert own_size(pipeline()) == (16, 16)
    assert own_size(joint.tiny_flux_pipeline()) == (16, 16)


def test_a_side_that_is_no_multiple_is_refused_with_the_nearest():
    check_size(pipeline(), UNET, (24, 16))
    with pytest.raises(ArgumentError, match=r"20 x 16, .* multiples of 8 pixels\. The nearest is"):
        check_size(pipeline(), UNET, (20, 16))


def test_what_this_machine_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(sizes, "_memory", lambda: 2**30)
    with pytest.raises(ArgumentError, match="needs 32 GB of memory at least, .* has 1"):
        check_size(pipeline(), UNET, (32768, 32768))
    monkeypatch.setattr(sizes, "_memory", lambda: None)
    check_size(pipeline(), UNET, (32768, 32768))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (torch.zeros(1, 4, 8, 8), None),
        (torch.zeros(1, 4, 8, 6), r"are \(1, 4, 8, 6\) and must be \(1, 4, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8).long(), "must be a tensor of floats"),
        (torch.full((1, 4, 8, 8), float("nan")), "have NaN or infinity"),
    ],
)
def test_initial_noise_is_checked(noise, message):
    if message is None:
        check_latents(pipeline(), UNET, noise, None)
        return
    with pytest.raises(ArgumentError, match=message):
        check_latents(pipeline(), UNET, noise, None)


def test_noise_is_packed_where_the_family_packs_it():
    model = TextToImage.of(joint.tiny_flux_pipeline())
    check_latents(model.pipeline, FLUX, torch.zeros(1, 16, 16), (16, 16))
    with pytest.raises(ArgumentError, match=r"must be \(1, 16, 16\)"):
        check_latents(model.pipeline, FLUX, torch.zeros(1, 4, 8, 8), (16, 16))
