import numpy as np
import pytest
import torch
import xarray as xr

from regard.errors import ArgumentError
from regard.explain.maps import cells, checked_heat, over_pixels, pooled


def test_pixels_left_over_belong_to_the_last_patch():
    assert cells(7, 3).tolist() == [0, 0, 1, 1, 2, 2, 2]


def test_pooling_keeps_the_sum():
    pixels = torch.arange(35.0).reshape(5, 7)
    assert float(pooled(pixels, (2, 3)).sum()) == float(pixels.sum())


def test_over_pixels_and_back_multiplies_by_the_pixels_of_a_patch():
    patches = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(pooled(over_pixels(patches, (4, 6)), (2, 2)), 6 * patches)


def test_wrong_maps_are_told():
    heat = xr.DataArray(np.zeros((2, 3, 3)), dims=["sample", "y", "x"])
    assert checked_heat("who", heat.transpose("x", "sample", "y"), 2).shape == (2, 3, 3)
    with pytest.raises(ArgumentError, match=r"one map for each of the 1 images"):
        checked_heat("who", heat, 1)
    with pytest.raises(ArgumentError, match=r"must have 'sample', 'y' and 'x'"):
        checked_heat("who", heat[0], 2)
    with pytest.raises(ArgumentError, match=r"NaN or infinity, so patches have no order"):
        checked_heat("who", heat.where(heat > 1), 2)
