"""From one grid of patches to another."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError


def resize(maps: xr.DataArray, grid: tuple[int, int]) -> xr.DataArray:
    """Maps on another grid, bilinearly; values keep their scale, and an even map stays even.

    A finer grid is interpolated between patch centres. On a coarser grid the triangle widens with
    the ratio, so that no patch is skipped.

    Args:
        maps: Any dims that include ``y`` and ``x``.
        grid: Rows and columns wanted.

    Returns:
        The dims of ``maps``, float64, with ``y`` and ``x`` of the new sizes and their coordinates
        dropped, in the unit of ``maps``.

    Raises:
        AxisError: ``maps`` has no ``y`` or no ``x``.
        ArgumentError: a side of ``grid`` is less than 1.

    Example:
        >>> step = xr.DataArray([[0.0, 1.0]], dims=["y", "x"])
        >>> resize(step, (1, 4)).values
        array([[0.  , 0.25, 0.75, 1.  ]])

    Source:
        Turkowski (1990), "Filters for Common Resampling Tasks", the triangle filter.
    """
    for dim in (Y, X):
        if dim not in maps.dims:
            raise AxisError(
                f"resize: the array has no dim '{dim}'; it has {maps.dims}. "
                f"Give maps over 'y' and 'x'."
            )
    if min(grid) < 1:
        raise ArgumentError(f"resize: the grid is {grid} and needs at least one row and column.")
    bare = maps.drop_vars([name for name in maps.coords if {Y, X} & set(maps[name].dims)])
    moved = bare.transpose(..., Y, X)
    down = triangle(moved.sizes[Y], grid[0])
    across = triangle(moved.sizes[X], grid[1])
    values = np.einsum("ia,...ab,jb->...ij", down, moved.values, across, optimize=True)
    coords = dict(moved.coords)
    return xr.DataArray(values, coords, moved.dims, moved.name, moved.attrs).transpose(*maps.dims)


def triangle(old: int, new: int) -> NDArray[np.float64]:
    """The matrix that takes ``old`` samples to ``new`` ones; each row sums to 1."""
    ratio = old / new
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(old)[None, :] - centres[:, None])
    weights = np.clip(1.0 - distance / max(ratio, 1.0), 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)
