import math

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from encoders import lettered, noise_pictures, save_clip
from regard.data.pictures import pictures
from regard.data.prompts import prompts
from regard.errors import ArgumentError
from regard.models import load
from regard.models.encoder import Encoder
from regard.scores.templates import (
    caption_similarity,
    halves,
    minimum_object_similarity,
    prompt_similarity,
    template_features,
)
from regard.scores.wordings import TEMPLATES, filled

PROMPTS = ["a cat and a red car", "a cat with a bow", "a cat and a red car"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a cat and a red car", ("a cat", "a red car")),
        ("a cat with a bow", ("a cat", "a bow")),
        ("a cat with a bow and a dog", ("a cat with a bow", "a dog")),
        ("a cat and a dog and a car", ("a cat", "a dog", "a car")),
        ("a cat AND a dog", ("a cat", "a dog")),
        ("a panda within sand", ()),
        ("and", ()),
        ("", ()),
    ],
)
def test_a_prompt_falls_into_its_parts(prompt, parts):
    assert halves(prompt) == parts


def test_every_prompt_of_the_benchmark_has_two_halves():
    assert {len(halves(each)) for each in prompts()} == {2}


# ---------------------------------------------------------------- similarities


def library_text(network, tokenizer, texts):
    """Unit rows of texts, by the library alone."""
    tokens = tokenizer(texts, padding=True, return_tensors="pt", truncation=True, max_length=16)
    with torch.no_grad():
        return torch.nn.functional.normalize(network.get_text_features(**tokens).pooler_output)


def test_similarities_are_those_of_the_library_text_by_text(folder):
    network, images = load(folder), noise_pictures(3)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        pixels = processor(images=images, return_tensors="pt").pixel_values
        seen = torch.nn.functional.normalize(network.get_image_features(pixels).pooler_output)

    def mean(prompt):
        texts = [each.replace("{}", prompt) for each in TEMPLATES]
        texts = [each.replace("a a ", "a ").replace("the a ", "a ") for each in texts]
        total = sum(library_text(network, tokenizer, [each])[0] for each in texts)
        return total / total.norm()

    whole = [(row @ mean(prompt)).item() for row, prompt in zip(seen, PROMPTS, strict=True)]
    parts = [("a cat", "a red car"), ("a cat", "a bow"), ("a cat", "a red car")]
    least = [
        min((row @ mean(part)).item() for part in pair)
        for row, pair in zip(seen, parts, strict=True)
    ]
    np.testing.assert_allclose(prompt_similarity(images, PROMPTS, model=folder), whole, atol=1e-5)
    np.testing.assert_allclose(
        minimum_object_similarity(images, PROMPTS, model=folder), least, atol=1e-5
    )
    captions = ["two dogs", "a cat", "two dogs"]
    plain = library_text(network, tokenizer, captions)
    both = [(row @ mean(prompt)).item() for row, prompt in zip(plain, PROMPTS, strict=True)]
    np.testing.assert_allclose(
        caption_similarity(captions, PROMPTS, model=folder, batch=7), both, atol=1e-5
    )


def reader(rows):
    """An encoder by hand: a text has the row of the name that stands first in it."""

    def texts(said):
        names = [sorted((n for n in rows if n in text), key=text.index) for text in said]
        return [rows[first] for first, *_ in names]

    return texts


def test_the_minimum_object_similarity_by_hand():
    stamps, eyes = lettered(np.array([[3.0, 4.0], [0.0, 2.0]]))
    which = Encoder("hand", eyes.features, reader({"cat": [1.0, 0.0], "dog": [0.0, 5.0]}))
    said = ["a cat and a dog", "a dog with a cat"]
    # The first picture points 0.6 to the cat and 0.8 to the dog, the second to the dog alone.
    found = minimum_object_similarity(stamps, said, model=which)
    assert found.values == pytest.approx([0.6, 0.0])
    assert prompt_similarity(stamps, said, model=which).values == pytest.approx([0.6, 1.0])
    assert (found.name, found.attrs["units"], found.attrs["unsplit"]) == (
        "minimum_object_similarity",
        "cosine",
        0,
    )


def test_the_mean_is_over_directions_not_over_lengths():
    # Every second template is read as a long vector to the right; the others as short ones up.
    def texts(said):
        return [[9.0, 0.0] if " the " in f" {text}" else [0.0, 1.0] for text in said]

    right = sum(" the " in f" {each}" for each in TEMPLATES)
    row = template_features(["cat"], model=Encoder("hand", lambda ps: [], texts))
    length = math.hypot(right, 80 - right)
    assert row[0].tolist() == pytest.approx([right / length, (80 - right) / length])


def test_a_prompt_without_two_halves_is_undefined_and_counted(folder):
    images, said = noise_pictures(3), ["a cat", "a cat and a dog", "grass"]
    found = minimum_object_similarity(images, said, model=folder)
    assert np.isnan(found).values.tolist() == [True, False, True]
    assert (found.attrs["unsplit"], found.attrs["undefined"]) == (2, 2)
    none = minimum_object_similarity(images[:1], ["a cat"], model=folder)
    assert np.isnan(none).all()
    assert none.attrs["unsplit"] == 1


def test_a_text_is_encoded_once_however_many_pictures_it_has():
    asked = []

    def texts(said):
        asked.extend(said)
        return [[1.0, 0.0]] * len(said)

    which = Encoder("counting", lambda ps: [[1.0, 0.0]] * len(ps), texts)
    images = [Image.new("RGB", (1, 1))] * 4
    prompt_similarity(images, ["a cat and a dog"] * 4, model=which)
    assert len(asked) == len(set(asked)) == len(set(filled("a cat and a dog")))


def test_who_judged_and_what_was_cut_is_told(folder, tmp_path):
    for name, each in zip("ba", noise_pictures(2), strict=True):
        each.save(tmp_path / f"{name}.png")
    found = prompt_similarity(pictures(tmp_path), ["a cat " * 9] * 2, model=folder, legacy=True)
    assert found["sample"].values.tolist() == ["a.png", "b.png"]
    assert found.attrs["cut"] == 80
    assert found.attrs["legacy"]
    assert found.attrs["encoder"] == str(folder)
    assert len(found.attrs["weights_sha256"]) == 64
    assert caption_similarity(["a cat " * 9], ["a cat"], model=folder).attrs["cut"] >= 1


def test_batches_do_not_matter(folder):
    images = noise_pictures(3)
    whole = minimum_object_similarity(images, PROMPTS, model=folder, batch=500)
    np.testing.assert_allclose(
        minimum_object_similarity(images, PROMPTS, model=folder, batch=2), whole, atol=1e-6
    )


def test_a_picture_without_direction_is_undefined():
    stamps, eyes = lettered(np.array([[0.0, 0.0]]))
    which = Encoder("hand", eyes.features, lambda said: [[1.0, 0.0]] * len(said))
    for measure in (prompt_similarity, minimum_object_similarity):
        found = measure(stamps, ["a cat and a dog"], model=which)
        assert np.isnan(found).all()
        assert found.attrs["undefined"] == 1


ONE = [Image.new("RGB", (2, 2))]
BLIND = Encoder("eyes", lambda ps: [[1.0]] * len(ps))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: prompt_similarity(ONE, []), "prompt_similarity: got 1 and 0; give one for each"),
        (lambda: prompt_similarity([], []), "prompt_similarity: got 0 and 0"),
        (
            lambda: minimum_object_similarity(ONE, ["a"] * 2),
            "minimum_object_similarity: got 1 and 2",
        ),
        (lambda: minimum_object_similarity([], []), "minimum_object_similarity: got 0 and 0"),
        (
            lambda: minimum_object_similarity(ONE, "a"),
            "minimum_object_similarity: got one text; give lists",
        ),
        (lambda: caption_similarity(["a"], []), "caption_similarity: got 1 and 0"),
        (lambda: prompt_similarity(ONE, ["a"], model=BLIND), "'eyes' reads no texts"),
        (lambda: template_features([], model=BLIND), "template_features: there is nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, said):
    with pytest.raises(ArgumentError, match=said):
        call()
