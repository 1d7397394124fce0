"""A word's map before and after a change, and what became of it, on common scales."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from regard.axes import X, Y
from regard.errors import ArgumentError
from regard.trace import resize
from regard.views.colour import ATTENTION, CHANGE

if TYPE_CHECKING:
    import matplotlib.figure

INCH = 1.9  # a panel
COLUMNS = ("before", "after", "after less before")


def differences(
    maps: Mapping[str, tuple[xr.DataArray, xr.DataArray]],
    *,
    images: tuple[np.ndarray, np.ndarray] | None = None,
) -> "matplotlib.figure.Figure":
    """Rows of maps before, after, and their difference; all rows on one scale, from 0.

    Args:
        maps: For each word its maps before and after, with the dims ``y`` and ``x``;
            ``attrs["units"]`` of the first names the colour bar.
        images: The images before and after, uint8 [y, x, 3], as a row on top with their mean
            absolute difference.

    Returns:
        A figure that belongs to no window: save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: there is no map.

    Example:
        >>> heat = xr.DataArray([[0.0, 1.0]], dims=["y", "x"], attrs={"units": "share"})
        >>> figure = differences({"cat": (heat, heat / 2)})
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['before', 'after', 'after less before']
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, TwoSlopeNorm
    from matplotlib.figure import Figure

    if not maps:
        raise ArgumentError("differences: there is no map. Give at least one word's.")
    rows = {word: _planes(*pair) for word, pair in maps.items()}
    top = max(float(plane.max()) for planes in rows.values() for plane in planes[:2]) or 1.0
    most = max(float(np.abs(planes[2]).max()) for planes in rows.values()) or 1.0
    scales = [Normalize(0, top), Normalize(0, top), TwoSlopeNorm(0.0, -most, most)]
    above = 0 if images is None else 1
    down = len(rows) + above
    figure = Figure(figsize=(3 * INCH + 1.4, down * INCH + 0.3), dpi=120, layout="constrained")
    grid = np.atleast_2d(figure.subplots(down, 3, squeeze=False))
    if images is not None:
        apart = np.abs(images[0].astype(float) - images[1]).mean(-1) / 255
        for axes, image in zip(grid[0], (*images, apart), strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        grid[0, 0].set_ylabel("image", fontsize=9)
    for line, (word, planes) in zip(grid[above:], rows.items(), strict=True):
        for axes, plane, scale in zip(line, planes, scales, strict=True):
            cmap = CHANGE if scale is scales[2] else ATTENTION
            axes.imshow(plane, cmap=cmap, norm=scale, interpolation="nearest")
        # A dollar sign of a prompt is a dollar sign, not the start of a formula.
        line[0].set_ylabel(word, fontsize=9, parse_math=False)
    for axes, name in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(name, fontsize=9)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    unit = str(next(iter(maps.values()))[0].attrs.get("units", "attention weight"))
    bars = ((scales[0], ATTENTION, unit), (scales[2], CHANGE, f"change, {unit}"))
    for scale, cmap, name in bars:
        _add_bar(figure, grid, ScalarMappable(scale, cmap), name)
    return figure


def _add_bar(figure: "matplotlib.figure.Figure", grid: np.ndarray, colours: Any, name: str) -> None:
    bar = figure.colorbar(colours, ax=grid, fraction=0.03, pad=0.02)
    bar.set_label(name, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)


def _planes(before: xr.DataArray, after: xr.DataArray) -> list[np.ndarray]:
    """Both maps and their difference on the grid of the first."""
    same = resize(after, (before.sizes[Y], before.sizes[X]))
    pair = [np.asarray(each.transpose(Y, X).values, dtype=float) for each in (before, same)]
    return [*pair, pair[1] - pair[0]]
