import re

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from encoders import lettered, noise_pictures, save_clip
from regard.data.pictures import pictures
from regard.errors import ArgumentError, DataError
from regard.models import load
from regard.models.encoder import Encoder
from regard.scores.clip import clip_score, image_similarity, text_similarity
from regard.scores.perceptual import perceptual_distance

TEXTS = ["a cat", "a red car on the beach", "two dogs"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def logits(folder, images, texts):
    """The cosines that the library computes itself, [image, text]."""
    network = load(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)(
        texts, padding=True, return_tensors="pt"
    )
    pixels = processor(images=images, return_tensors="pt").pixel_values
    with torch.no_grad():
        out = network(pixel_values=pixels, **tokens)
        return (out.logits_per_image / network.logit_scale.exp()).numpy()


def test_the_score_is_the_cosine_that_the_library_computes(folder):
    images = noise_pictures(3)
    score = clip_score(images, TEXTS, model=folder)
    np.testing.assert_allclose(score, np.diagonal(logits(folder, images, TEXTS)), atol=1e-6)
    assert (score.attrs["units"], score.attrs["cut"], score.name) == ("cosine", 0, "clip_score")
    assert score.attrs["encoder"] == str(folder)
    assert len(score.attrs["weights_sha256"]) == 64


def test_batches_do_not_matter(folder):
    images = noise_pictures(3)
    whole = clip_score(images, TEXTS, model=folder)
    np.testing.assert_allclose(clip_score(images, TEXTS, model=folder, batch=2), whole, atol=1e-6)


def test_published_scales_by_hand():
    def texts(said):
        return [[1.0, 0.0] if text == "right" else [-1.0, 0.0] for text in said]

    which = Encoder("mine", lambda ps: [[0.6, 0.8]] * len(ps), texts)
    two = [Image.new("RGB", (1, 1))] * 2
    said = ["right", "wrong"]
    assert clip_score(two, said, model=which).values == pytest.approx([0.6, -0.6])
    assert clip_score(two, said, model=which, scale="2.5").values == pytest.approx([1.5, 0.0])
    hundred = clip_score(two, said, model=which, scale="100")
    assert hundred.values == pytest.approx([60.0, 0.0])
    assert hundred.attrs["units"] == "100 x cosine, at least 0"


def test_a_prefix_is_read_and_told(folder):
    images = noise_pictures(3)
    score = clip_score(images, TEXTS, model=folder, prefix="a photo of ")
    longer = ["a photo of " + text for text in TEXTS]
    np.testing.assert_array_equal(score, clip_score(images, longer, model=folder))
    assert score.attrs["prefix"] == "a photo of "


def test_texts_that_are_cut_are_told(folder):
    assert clip_score(noise_pictures(1), ["a cat " * 9], model=folder).attrs["cut"] == 1
    assert text_similarity(["a cat " * 9], ["a cat " * 8], model=folder).attrs["cut"] == 2


def test_samples_are_named_after_their_files(folder, tmp_path):
    for name, each in zip("ba", noise_pictures(2), strict=True):
        each.save(tmp_path / f"{name}.png")
    score = image_similarity(pictures(tmp_path), pictures(tmp_path), model=folder)
    assert score["sample"].values.tolist() == ["a.png", "b.png"]
    np.testing.assert_allclose(score, 1.0, atol=1e-6)


def test_pictures_are_alike_as_their_features_are():
    stamps, which = lettered(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 0.0]]))
    found = image_similarity(stamps[:1] * 3, stamps[1:], model=which)
    assert found.values == pytest.approx([0.0, 0.5**0.5, -1.0])


def test_a_vector_without_direction_is_undefined_and_counted():
    stamps, which = lettered(np.array([[0.0, 0.0], [1.0, 0.0]]))
    found = image_similarity(stamps, stamps, model=which)
    assert np.isnan(found.values[0])
    assert found.attrs["undefined"] == 1


def test_texts_are_compared_as_the_model_reads_them(folder):
    found = text_similarity(TEXTS, TEXTS[::-1], model=folder)
    network = load(folder)
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        rows = network.get_text_features(**tokens).pooler_output
    expected = torch.nn.functional.cosine_similarity(rows, rows.flip(0))
    np.testing.assert_allclose(found, expected, atol=1e-6)


# ---------------------------------------------------------------- perceptual distance


# ---------------------------------------------------------------- what cannot be


ONE = [Image.new("RGB", (2, 2))]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: clip_score(ONE, []), "clip_score: got 1 and 0; give one for each"),
        (lambda: clip_score([], []), "clip_score: got 0 and 0"),
        (lambda: clip_score(ONE, "a"), "clip_score: got one text; give lists"),
        (lambda: clip_score(ONE, ["a"], scale="1"), "scale is '1' and must be one of 100, 2.5"),
        (lambda: image_similarity(ONE, ONE * 2), "image_similarity: got 1 and 2"),
        (lambda: text_similarity(["a"], []), "text_similarity: got 1 and 0"),
        (lambda: perceptual_distance(ONE, []), "perceptual_distance: got 1 and 0"),
        (
            lambda: perceptual_distance(ONE, ONE, model=lambda ps: [[1.0]]),
            "the encoder '<lambda>' shows no layers",
        ),
        (
            lambda: clip_score(ONE, ["a"], model=lambda ps: [[1.0]]),
            "clip_score: the encoder '<lambda>' reads no texts",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(call, said):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        call()


def test_a_layer_that_there_is_not(folder):
    with pytest.raises(ArgumentError, match=r"layers is \[2\] and the encoder has the layers 0 to"):
        perceptual_distance(ONE, ONE, model=folder, layers=[2])


def test_an_array_that_is_no_picture_is_named_by_its_number(folder):
    wrong = [*ONE, *ONE, np.zeros((2, 2, 3))]
    with pytest.raises(DataError, match="image 2 is an array of float64"):
        image_similarity(wrong, wrong, model=folder, batch=2)
