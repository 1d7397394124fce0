"""A map and a mask that several tests measure."""

import numpy as np
import pytest
import xarray as xr

from planes import plane


@pytest.fixture
def heat() -> xr.DataArray:
    return plane(np.random.default_rng(0).random((6, 5)))


@pytest.fixture
def mask() -> xr.DataArray:
    return plane(np.random.default_rng(1).random((6, 5)) > 0.6)
