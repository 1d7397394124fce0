import numpy as np
import pytest
from PIL import Image

from encoders import lettered
from regard.generation import Request
from regard.models.detector import Detection, Detections
from regard.scores.judges import Losses, Pixels, Presence, Shift


def test_what_is_shown_no_more_is_counted(monkeypatch):
    sighting = Detection(np.ones((1, 1), bool), "blue", 0.5)
    seen = [Detections(dict.fromkeys(names, sighting)) for names in (
        ["cat", "car"], ["car"], [], ["car", "cat"], ["car", "cat", "dog"],
    )]  # fmt: skip
    monkeypatch.setattr("regard.models.detector.detect", lambda images: seen)
    image, request = Image.new("RGB", (2, 2)), Request("a cat and a blue car")
    found = Losses()([image] * 4, [request] * 4, image)
    assert found["neglected"] == [0.5, 1.0, 0.0, 0.0]
    assert found["neglected_change"] == [0.5, 1.0, 0.0, 0.0]
    assert found["still_shown"] == [0.5, 0.0, 1.0, 1.0]
    assert found["segmenter"] == [
        "cat, car -> car", "cat, car -> nothing", "same", "cat, car -> car, cat, dog",
    ]  # fmt: skip
    assert Losses()([image] * 4, [Request("a house")] * 4, image) == {}


def test_an_encoder_without_layers_and_texts_says_nothing():
    _, which = lettered(np.eye(3))
    image = Image.new("RGB", (1, 1))
    assert Shift(which)([image], [Request("a cat")], image) == {}


def test_pixels_are_compared_with_the_baseline():
    black, grey = Image.new("RGB", (2, 2)), Image.new("RGB", (2, 2), (51, 51, 51))
    found = Pixels()([black, grey], [Request("a cat")] * 2, black)
    assert found["distance"] == pytest.approx([0.0, 0.2])


def test_a_subject_that_is_missing_is_neglected(monkeypatch):
    sighting = Detection(np.ones((1, 1), bool), "blue", 0.5)
    seen = [Detections({"cat": sighting}), Detections({"cat": sighting, "car": sighting})]
    monkeypatch.setattr("regard.models.detector.detect", lambda images, model: seen)
    image, request = Image.new("RGB", (2, 2)), Request("a cat and a blue car")
    found = Presence()([image] * 2, [request] * 2, image)
    assert found["neglected"] == [1.0, 0.0]
    assert found["neglected_subjects"] == [0.5, 0.0]
