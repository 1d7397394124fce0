import numpy as np
import pytest
from PIL import Image

import tiny
from regard.models import TextToImage, detector
from regard.scores.change import (
    Likeness,
    Seen,
    before_after,
    bundled_objects,
    compared,
    judges_for,
    makes_scenes,
)

BLACK, GREY = (Image.new("RGB", (2, 2), (level,) * 3) for level in (0, 51))


def test_likeness_is_told_as_cosine_as_distance_and_in_pixels():
    found = Likeness(lambda image, others: [1.25, 0.5])([BLACK, GREY], [None] * 2, BLACK)
    # Rounding may take a cosine past 1, and no distance is below 0.
    assert found == {
        "similarity": [1.25, 0.5],
        "distance": [0.0, 0.5],
        "pixel_distance": pytest.approx([0.0, 0.2]),
    }


def test_without_an_encoder_likeness_is_in_pixels_alone():
    assert list(Likeness()([GREY], [None], BLACK)) == ["pixel_distance"]
    assert Likeness().recipe() == {"judge": "likeness", "space": None}


def test_objects_are_those_of_the_baseline_in_whatever_order():
    shown = iter([[("cat", "blue car"), ("blue car", "cat"), ("cat",), ()]])
    found = Seen(lambda images: next(shown))([GREY] * 3, [None] * 3, BLACK)
    assert found["seen"] == ["same", "cat, blue car -> cat", "cat, blue car -> nothing"]
    assert found["shown"] == ["blue car, cat", "cat", "nothing"]
    assert before_after([], []) == "same"


def test_only_objects_are_named_with_their_colour(monkeypatch):
    mask = np.ones((2, 2), bool)
    shown = {
        "cat": detector.Detection(mask, "gray", 0.5),
        "car": detector.Detection(mask, "blue", 0.4),
    }
    monkeypatch.setattr(
        detector, "detect", lambda images: [detector.Detections(shown)] * len(images)
    )
    assert bundled_objects([BLACK]) == [("cat", "blue car")]


def test_what_no_judge_says_is_left_open():
    found = compared(BLACK, [GREY], [None], [Likeness()]).iloc[0]
    assert np.isnan(found["distance"])
    assert (found["pixel_distance"], found["seen"]) == (pytest.approx(0.2), "")


def test_a_model_without_an_autoencoder_is_compared_in_pixels():
    model = TextToImage.of(tiny.tiny_pipeline())
    assert not makes_scenes(model)
    (judge,) = judges_for(model)
    assert judge.space == "the latents of the model's own autoencoder"
    model.pipeline.vae = None
    (judge,) = judges_for(model)
    assert judge.cosine is None
