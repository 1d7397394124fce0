import numpy as np
import pytest
import torch

from explained import NOTHING, classifier, pictures, squares
from regard.errors import ArgumentError
from regard.explain.integrated import integrated, integrated_gradients
from tiny import noise


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_of_a_linear_function_each_part_is_its_weight_times_the_difference(steps):
    weights, start, stop = (noise(5, seed=seed).double() for seed in range(3))
    parts, change = integrated(lambda points: points @ weights, start, stop, steps=steps)
    torch.testing.assert_close(parts, weights * (stop - start), rtol=0, atol=1e-9)
    assert float(parts.sum()) == pytest.approx(change, abs=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_of_squares_each_part_is_its_square(steps):
    pixels = pictures().double()
    found = integrated_gradients(NOTHING, pixels, score=squares, steps=steps, grid=(24, 24))
    np.testing.assert_allclose(found, (pixels**2).sum(1), atol=1e-9)
    assert found.attrs["completeness_error"] < 1e-9


def test_parts_sum_to_the_change_of_the_answer():
    model, pixels, target = classifier(), pictures(), torch.tensor([1, 2])
    found = integrated_gradients(model, pixels, target, steps=64)
    with torch.no_grad():
        ends = [model(pixel_values=at).logits for at in (torch.zeros_like(pixels), pixels)]
    changes = (ends[1] - ends[0]).gather(1, target[:, None])[:, 0]
    np.testing.assert_allclose(found.attrs["answer_change"], changes, atol=1e-5)
    assert found.attrs["completeness_error"] < 0.05 * changes.abs().min()
    off = np.abs(found.sum(("y", "x")) - changes.numpy()).max()
    assert float(off) == pytest.approx(found.attrs["completeness_error"], abs=1e-5)


def test_more_steps_leave_a_smaller_error():
    errors = [
        integrated_gradients(classifier(), pictures(), steps=steps).attrs["completeness_error"]
        for steps in (2, 32)
    ]
    assert errors[1] < errors[0] / 10


def test_a_baseline_of_pixels_and_the_image_itself():
    pixels = pictures()
    black = integrated_gradients(
        NOTHING, pixels, score=squares, baseline=torch.full((1, 3, 1, 1), -1.0), grid=(3, 3)
    )
    np.testing.assert_allclose(black.sum(("y", "x")), squares(pixels) - 3 * 24 * 24, rtol=1e-4)
    same = integrated_gradients(NOTHING, pixels, score=squares, baseline=pixels, grid=(3, 3))
    assert float(np.abs(same).max()) == 0
    assert black.attrs["options"]["baseline"] == "given"


def test_bad_baselines_are_told():
    with pytest.raises(ArgumentError, match=r"the baseline is \(2,\) and must broadcast"):
        integrated_gradients(classifier(), pictures(), baseline=torch.zeros(2))
    with pytest.raises(ArgumentError, match="'black' and must be one of blur, mean, zero"):
        integrated_gradients(classifier(), pictures(), baseline="black")
    with pytest.raises(ArgumentError, match="steps is 0"):
        integrated_gradients(classifier(), pictures(), steps=0)
