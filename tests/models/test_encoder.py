import re

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from encoders import noise_pictures, save_clip
from regard.data import scene
from regard.errors import ArgumentError, DataError, UnknownName
from regard.models import detector, load
from regard.models.encoder import Encoder, encoded, encoder
from tiny import VISION


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def by_the_library(folder, pictures, texts):
    network = load(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    pixels = processor(images=pictures, return_tensors="pt").pixel_values
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        return network(pixel_values=pixels, **tokens, output_hidden_states=True)


def test_a_folder_is_encoded_as_its_library_does(folder):
    pictures, texts = noise_pictures(3), ["a cat", "a red car on the beach", "two"]
    which = encoder(folder)
    out = by_the_library(folder, pictures, texts)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(which.features(pictures), dim=-1), out.image_embeds)
    torch.testing.assert_close(unit(which.texts(texts), dim=-1), out.text_embeds)
    layers = which.layers(pictures)
    assert [tuple(each.shape) for each in layers] == [(3, 10, 16)] * 2
    torch.testing.assert_close(layers[-1], out.vision_model_output.last_hidden_state)


def test_the_bundled_model_encodes_as_the_judge_does():
    pictures = [scene(i).image for i in range(2)]
    which = encoder("openmoji-clip")
    unit = torch.nn.functional.normalize
    rows = unit(encoded(which, pictures, batch=1, caller="test"), dim=-1)
    torch.testing.assert_close(rows, detector.image_features(pictures), atol=1e-5, rtol=1e-5)
    said = unit(encoded(which, ["a cat", "a red car"], batch=8, caller="test"), dim=-1)
    torch.testing.assert_close(said, detector.text_features(["a cat", "a red car"]))


def test_texts_that_are_cut_are_counted(folder):
    which = encoder(folder)
    assert which.cut(["a cat", "a cat " * 7, "a cat " * 8]) == 1  # 14 words, start and end fit
    assert which.texts(["a cat " * 8]).shape == (1, 8)


def test_weights_are_told_and_the_same_for_the_same_weights(folder, tmp_path):
    told = encoder(folder).recipe["weights_sha256"]
    assert re.fullmatch("[0-9a-f]{64}", told)
    assert encoder(save_clip(tmp_path / "copy")).recipe["weights_sha256"] == told


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ViTModel", {}, lambda out: out.last_hidden_state[:, 0]),  # its pooler is not trained
        ("Dinov2Model", {}, lambda out: out.last_hidden_state[:, 0]),
        ("CLIPVisionModel", {}, lambda out: out.pooler_output),
        ("SiglipVisionModel", {}, lambda out: out.pooler_output),  # attention pooling, trained
        ("SiglipVisionModel", {"vision_use_head": False}, lambda out: out[0].mean(1)),
        ("ViTForImageClassification", {}, lambda out: out.hidden_states[-1][:, 0]),
    ],
)
def test_a_picture_becomes_one_vector_in_the_way_its_family_is_trained(
    name, options, expected, tmp_path
):
    config_class = getattr(transformers, name).config_class
    torch.manual_seed(0)
    network = getattr(transformers, name)(config_class(**VISION, **options)).eval()
    network.save_pretrained(tmp_path)
    transformers.ViTImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(tmp_path)
    which, pictures = encoder(tmp_path), noise_pictures(2)
    pixels = transformers.ViTImageProcessorPil.from_pretrained(tmp_path)(
        images=pictures, return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        out = network(pixel_values=pixels, output_hidden_states=True)
    found = which.features(pictures)
    if name == "ViTForImageClassification":  # the states before its last norm
        norm = network.vit.layernorm
        torch.testing.assert_close(found, norm(expected(out)))
    else:
        torch.testing.assert_close(found, expected(out))
    assert which.texts is None
    assert len(which.layers(pictures)) == 2


def test_a_convolutional_network_is_an_encoder_too(tmp_path):
    config = transformers.ConvNextConfig(
        num_stages=2, hidden_sizes=[4, 8], depths=[1, 1], image_size=24
    )
    transformers.ConvNextModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(tmp_path)
    which, pictures = encoder(tmp_path), noise_pictures(2)
    assert which.features(pictures).shape == (2, 8)
    assert [each.ndim for each in which.layers(pictures)] == [4, 4]


def test_a_function_is_an_encoder_of_pictures():
    def brightness(pictures):
        return [[float(np.mean(each))] for each in pictures]

    which = encoder(brightness)
    assert (which.name, which.texts, which.layers) == ("brightness", None, None)
    arrays = [np.full((2, 2, 3), 7, np.uint8), np.full((3, 5), 9, np.uint8)]
    assert encoded(which, arrays, batch=1, caller="test").tolist() == [[7.0], [9.0]]
    assert encoder(which) is which


def test_what_is_no_encoder_is_refused(tmp_path, folder):
    with pytest.raises(UnknownName, match="no model is named 'openmoji-clop'. Did you mean"):
        encoder("openmoji-clop")
    with pytest.raises(ArgumentError, match="encoder: got int; give a bundled model"):
        encoder(3)
    with pytest.raises(DataError, match="'openmoji-autoencoder' is a AutoencoderKL"):
        encoder("openmoji-autoencoder")
    with pytest.raises(DataError, match="'openmoji-segmenter' is a SegformerFor"):
        encoder("openmoji-segmenter")
    load(folder).save_pretrained(tmp_path / "bare")
    with pytest.raises(DataError, match=r"bare has no preprocessor_config\.json"):
        encoder(tmp_path / "bare")


def test_a_model_that_reads_texts_needs_its_tokenizer(tmp_path, folder):
    load(folder).save_pretrained(tmp_path)
    transformers.CLIPImageProcessorPil().save_pretrained(tmp_path)
    with pytest.raises(DataError, match="reads texts, and no tokenizer"):
        encoder(tmp_path)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1.0, 2.0], "made (2,) of 2 images"),
        ([[1.0]], "made (1, 1) of 2 images"),
        ([[1.0], [np.nan]], "with NaN or infinite values"),
    ],
)
def test_an_encoder_that_makes_something_else_is_told(found, said):
    pictures = [Image.new("RGB", (1, 1))] * 2
    with pytest.raises(DataError, match=re.escape(said)):
        encoded(Encoder("mine", lambda _: found), pictures, batch=8, caller="test")


def test_texts_for_an_encoder_that_reads_none():
    with pytest.raises(ArgumentError, match="test: the encoder 'mine' reads no texts"):
        encoded(Encoder("mine", lambda _: [[1.0]]), ["a cat"], batch=8, caller="test")
    with pytest.raises(ArgumentError, match="test: there is nothing to encode"):
        encoded(Encoder("mine", lambda _: [[1.0]]), [], batch=8, caller="test")


def test_a_model_of_grey_pictures_is_shown_grey(tmp_path):
    config = transformers.ViTConfig(**VISION, num_channels=1)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessorPil(
        size={"height": 24, "width": 24}, image_mean=[0.5], image_std=[0.5]
    )
    processor.save_pretrained(tmp_path)
    colour = noise_pictures(2)
    grey = [each.convert("L").convert("RGB") for each in colour]
    which = encoder(tmp_path)
    torch.testing.assert_close(which.features(colour), which.features(grey))
