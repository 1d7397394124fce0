import numpy as np
import pytest
import torch

from explained import NOTHING, classifier, pictures, total
from regard.errors import ArgumentError
from regard.explain.occlusion import occlusion, squares


def test_each_patch_is_worth_what_the_answer_loses_without_it():
    model, pixels, target = classifier(), pictures(), torch.tensor([0, 3])
    found = occlusion(model, pixels, target, substrate="zero")
    hidden = pixels.clone()
    hidden[:, :, 8:16, 16:24] = 0.0
    with torch.no_grad():
        before, after = (model(pixel_values=at).logits for at in (pixels, hidden))
    lost = (before - after).gather(1, target[:, None])[:, 0]
    np.testing.assert_allclose(found[:, 1, 2], lost, atol=1e-5)


def test_of_a_sum_each_patch_is_worth_its_sum():
    pixels = pictures()
    found = occlusion(NOTHING, pixels, score=total, substrate="zero", grid=(3, 3))
    expected = pixels.reshape(2, 3, 3, 8, 3, 8).sum((1, 3, 5))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_window_of_three_hides_the_neighbours_too():
    pixels = torch.ones(1, 1, 3, 3)
    found = occlusion(NOTHING, pixels, score=total, substrate="zero", window=3, grid=(3, 3))
    assert found.values.tolist() == [[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]


def test_a_square_is_cut_at_the_border():
    assert squares((2, 2), 1).int().flatten(1).tolist() == torch.eye(4).int().tolist()


def test_an_even_window_is_refused():
    with pytest.raises(ArgumentError, match="window is 2 and must be odd"):
        occlusion(classifier(), pictures(), window=2)
