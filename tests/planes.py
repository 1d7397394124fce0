"""Planes of numbers over y and x."""

from typing import Any

import numpy as np
import xarray as xr


def plane(values: Any) -> xr.DataArray:
    """Values over y and x."""
    return xr.DataArray(np.asarray(values), dims=["y", "x"])
