"""Likeness of subjects, of backgrounds and of layouts, on images whose answer is known."""

import numpy as np
import pytest
import torch
from PIL import Image

from regard.errors import ArgumentError
from regard.models.encoder import Encoder
from regard.scores.consistency import consistency, cut_out, erased

SIDE = 32


def colours(pictures):
    """The mean colour of an image, about grey: what is grey counts for nothing."""
    rows = [(np.asarray(p, float).reshape(-1, 3) - 128).sum(0) for p in pictures]
    return torch.tensor(np.array(rows) + [1e-6, 0, 0])


ENCODER = Encoder("colours", colours, lambda texts: torch.eye(3)[: len(texts)])


def scene(subject, ground, place):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:] = ground
    mask = np.zeros((SIDE, SIDE), bool)
    y, x = place
    mask[y : y + 8, x : x + 8] = True
    image[mask] = subject
    return Image.fromarray(image), mask


RED, GREEN, BLUE, YELLOW = (255, 128, 128), (128, 255, 128), (128, 128, 255), (255, 255, 128)


def of(*scenes, **how):
    images, masks = zip(*scenes, strict=True)
    return consistency(images, masks, model=ENCODER, **how)


def test_one_subject_on_several_grounds():
    found = of(scene(RED, GREEN, (0, 0)), scene(RED, BLUE, (0, 8)), scene(RED, YELLOW, (8, 0)))
    np.testing.assert_allclose(found["subject_likeness"], 1.0, atol=1e-6)
    # Green, blue and yellow: yellow has half of green in it, at 45 degrees.
    np.testing.assert_allclose(
        found["background_likeness"], np.array([0.5, 0.0, 0.5]) / np.sqrt(2), atol=1e-3
    )


def test_two_subjects_on_one_ground():
    found = of(scene(RED, GREEN, (0, 0)), scene(BLUE, GREEN, (0, 0)))
    np.testing.assert_allclose(found["subject_likeness"], 0.0, atol=1e-6)
    np.testing.assert_allclose(found["background_likeness"], 1.0, atol=1e-6)
    assert not found["layout_distance"].any()


def test_the_same_image_again_is_the_most_that_can_be():
    found = of(scene(RED, GREEN, (3, 4)), scene(RED, GREEN, (3, 4)))
    assert found.round(6).values.tolist() == [[1.0, 1.0, 0.0]] * 2


def test_where_subjects_stand_counts_for_layout_alone():
    found = of(scene(RED, GREEN, (0, 0)), scene(RED, GREEN, (12, 16)))
    expected = np.hypot(12, 16) / np.hypot(SIDE, SIDE)
    np.testing.assert_allclose(found["layout_distance"], expected)
    np.testing.assert_allclose(found["subject_likeness"], 1.0, atol=1e-6)


def test_an_image_without_the_subject_has_no_likeness_and_takes_part_in_none():
    image, mask = scene(RED, GREEN, (0, 0))
    found = of((image, mask), (image, mask), (image, np.zeros_like(mask)))
    assert np.isnan(found.iloc[2]).all()
    np.testing.assert_allclose(found["subject_likeness"][:2], 1.0, atol=1e-6)


def test_agreement_with_the_prompt():
    found = of(scene(RED, RED, (0, 0)), scene(GREEN, GREEN, (0, 0)), prompts=["red", "green"])
    np.testing.assert_allclose(found["text_agreement"], 1.0, atol=1e-6)


def test_a_mask_of_another_size_is_fitted():
    image, mask = scene(RED, GREEN, (8, 8))
    small = mask[::4, ::4]
    np.testing.assert_allclose(of((image, small), (image, mask))["subject_likeness"], 1.0)


def test_what_is_cut_out_and_what_is_left():
    image, mask = scene(RED, GREEN, (4, 10))
    mask[4:6, 10:18] = False  # a subject of 6 rows and 8 columns
    part = np.asarray(cut_out(image, mask))
    assert part.shape == (8, 8, 3)
    assert (part[1:7] == RED).all()
    assert (part[[0, 7]] == 128).all()
    left = np.asarray(erased(image, mask))
    assert (left[mask] == 128).all()
    assert (left[0] == GREEN).all()


def test_refusals():
    one = scene(RED, GREEN, (0, 0))
    with pytest.raises(ArgumentError, match="there are 1 images, 1 masks"):
        of(one)
    with pytest.raises(ArgumentError, match="there are 2 images, 2 masks and 1 prompts"):
        of(one, one, prompts=["red"])
    with pytest.raises(ArgumentError, match="the encoder 'blind' reads no texts"):
        consistency([one[0]] * 2, [one[1]] * 2, ["a", "b"], model=Encoder("blind", colours))
