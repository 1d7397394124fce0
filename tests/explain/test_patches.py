import pytest
import torch

from explained import pictures
from regard.errors import ArgumentError
from regard.explain.patches import blurred, substrate_of, without


def test_zero_is_nothing_and_mean_is_one_value_a_channel():
    pixels = pictures()
    assert substrate_of("x", pixels, "zero").abs().max() == 0
    torch.testing.assert_close(
        substrate_of("x", pixels, "mean")[1, 2], pixels[1, 2].mean().expand(24, 24)
    )


def test_an_even_image_stays_even_when_blurred():
    torch.testing.assert_close(blurred(torch.ones(1, 3, 9, 5), 2.0), torch.ones(1, 3, 9, 5))


def test_a_blurred_point_is_a_gaussian():
    point = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    point[0, 0, 10, 10] = 1.0
    found = blurred(point, 2.0)[0, 0]
    expected = torch.exp(torch.tensor(-(3.0**2 + 1.0**2) / (2 * 2.0**2)))
    assert float(found[13, 11] / found[10, 10]) == pytest.approx(float(expected), rel=1e-6)
    assert float(found.sum()) == pytest.approx(1.0)


def test_only_patches_that_are_gone_are_replaced():
    pixels = pictures(1)
    gone = torch.zeros(1, 3, 3, dtype=torch.bool)
    gone[0, 1, 2] = True
    changed = without(pixels, gone, torch.zeros_like(pixels)) != pixels
    assert changed[:, :, 8:16, 16:].all()
    assert changed.sum() == 3 * 8 * 8


def test_an_unknown_substrate_is_told():
    with pytest.raises(ArgumentError, match="who: substrate is 'black' and must be one of blur"):
        substrate_of("who", pictures(), "black")
