import pytest
import torch
from PIL import Image

import joint
import tiny
from looks import pipeline
from regard.errors import ArgumentError
from regard.models import TextToImage
from regard.models.embedding import TextStates, latents_of

TEXT = "a cat on grass"


def ids_of(text):
    given = pipeline().tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")
    return given.input_ids


def test_states_of_a_texts_own_embeddings_are_those_of_the_encoder():
    encode = TextStates.of(TextToImage.of(pipeline()))
    start = encode.embedded(TEXT)
    assert start.shape == (tiny.TEXT_LENGTH, 16)
    with torch.no_grad():
        made = encode(start[None])
        expected = pipeline().text_encoder(ids_of(TEXT))[0]
    torch.testing.assert_close(made, expected)
    encode.check(start, expected[0])
    assert not encode.table._forward_hooks


def test_states_that_are_made_in_another_way_are_refused():
    encode = TextStates.of(TextToImage.of(pipeline()))
    start = encode.embedded(TEXT)
    with pytest.raises(ArgumentError, match="not just what its text encoder returns"):
        encode.check(start, torch.zeros(tiny.TEXT_LENGTH, 16))


def test_a_model_of_several_text_encoders_is_refused():
    with pytest.raises(ArgumentError, match="StableDiffusion3Pipeline needs exactly one"):
        TextStates.of(TextToImage.of(joint.tiny_sd3_pipeline()))


def test_latents_are_the_mode_of_the_autoencoder_scaled():
    image = Image.new("RGB", (16, 16), (255, 0, 0))
    latents = latents_of(TextToImage.of(pipeline()), image)
    pixels = torch.full((1, 3, 16, 16), -1.0)
    pixels[:, 0] = 1.0
    vae = pipeline().vae
    with torch.no_grad():
        mode = vae.encode(pixels).latent_dist.mode()
    torch.testing.assert_close(latents, mode * vae.config.scaling_factor)


def test_latents_that_are_no_numbers_are_refused():
    broken = tiny.tiny_pipeline()
    broken.vae.quant_conv.bias.data.fill_(float("nan"))
    with pytest.raises(ArgumentError, match=r"NaN or infinite latents in float32\. Load"):
        latents_of(TextToImage.of(broken), Image.new("RGB", (16, 16)))
