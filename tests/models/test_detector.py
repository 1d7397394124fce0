from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.scenes import scene
from regard.models import detector
from regard.models.detector import LEAST_AREA, Detections, detect, similarity

CAT, CAR = 1 + SUBJECTS.index("cat"), 1 + SUBJECTS.index("car")
BLUE, RED = (25 + list(COLOURS).index(name) for name in ("blue", "red"))
NOTHING = [np.zeros((64, 64, 3), np.uint8)]


def network_that_sees(**areas):
    """A segmenter whose logits are 9 in the given rows of a channel, and 1 for the background."""

    def forward(pixel_values):
        logits = torch.zeros(len(pixel_values), 36, 64, 64)
        logits[:, 0] = 1.0
        for channel, rows in areas.items():
            logits[:, int(channel[1:]), rows] = 9.0
        return SimpleNamespace(logits=logits)

    return lambda name: forward


def test_a_segmenters_logits_read_by_hand(monkeypatch):
    # The cat fills the upper quarter, the car the lower half, which is mostly blue.
    areas = {f"_{CAT}": slice(0, 16), f"_{CAR}": slice(32, 64)}
    areas |= {f"_{BLUE}": slice(32, 60), f"_{RED}": slice(60, 64)}
    monkeypatch.setattr(detector, "opened_once", network_that_sees(**areas))
    (seen,) = detect(NOTHING)
    assert list(seen.subjects) == ["car", "cat"]  # the largest first
    assert seen.subjects["car"].colour == "blue"
    assert seen.subjects["car"].area == 0.5
    assert seen.subjects["cat"].area == 0.25
    assert seen.subjects["cat"].mask[:16].all()
    assert not seen.subjects["cat"].mask[16:].any()


def test_stray_pixels_do_not_count_as_a_subject(monkeypatch):
    # Two rows of 64 are 3.1 % of the picture and count; one counts not.
    assert 1 / 64 < LEAST_AREA < 2 / 64
    monkeypatch.setattr(detector, "opened_once", network_that_sees(**{f"_{CAT}": slice(0, 2)}))
    assert list(detect(NOTHING)[0].subjects) == ["cat"]
    monkeypatch.setattr(detector, "opened_once", network_that_sees(**{f"_{CAT}": slice(0, 1)}))
    assert str(detect(NOTHING)[0]) == "nothing"


def test_a_verdict_reads_like_a_caption(monkeypatch):
    areas = {f"_{CAR}": slice(0, 32), f"_{BLUE}": slice(0, 32)}
    monkeypatch.setattr(detector, "opened_once", network_that_sees(**areas))
    assert str(detect(NOTHING)[0]) == "blue car"
    assert str(Detections({})) == "nothing"


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_pictures_are_judged_alike_in_batches_of_any_size(small, batch):
    pictures = [scene(i).image for i in range(3)]
    once = [str(each) for each in detect(pictures)]
    assert [str(each) for each in detect(pictures, batch=batch)] == once


def test_larger_pictures_are_reduced_to_what_the_judges_know(small):
    (seen,) = detect([Image.new("RGB", (128, 128))])
    assert all(each.mask.shape == (64, 64) for each in seen.subjects.values())


def test_a_picture_is_most_similar_to_itself(small):
    pictures = [scene(i).image for i in range(3)]
    table = similarity(pictures, pictures)
    np.testing.assert_allclose(np.diagonal(table), 1.0, atol=1e-5)
    np.testing.assert_allclose(table, table.T, atol=1e-6)
    assert similarity(pictures, ["a cat", "a dog"]).shape == (3, 2)
    assert np.abs(similarity(pictures, ["a cat"])).max() <= 1.0
