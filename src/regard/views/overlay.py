"""A word's map beside the image it was made with, as a matplotlib figure."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.views.engrave import engraved, enlarged, table
from regard.views.scale import top_given

if TYPE_CHECKING:  # pages and stamps need no figures, and importing them takes a third of a second
    import matplotlib.axes
    import matplotlib.figure

SIDE = 512  # pixels: patches of a small image are engraved in more of them


def overlay(
    image: np.ndarray | xr.DataArray,
    heat: xr.DataArray,
    *,
    title: str = "",
    top: float | None = None,
) -> "matplotlib.figure.Figure":
    """The image, and its map beside it: true patches, coloured by value from 0 to ``top``.

    The image is engraved into the map: within a patch it is lighter and darker as the image is, and
    its mean colour is that of its value on the colour bar, so that the map can be read.

    Args:
        image: Height, width and three colours, uint8 or floats in 0..1.
        heat: One map with the dims ``y`` and ``x``, values >= 0; ``attrs["units"]`` names the
            colour bar.
        title: Written above the map, such as the word.
        top: The value at the end of the colour scale; give several figures the same one to
            compare them. Left out, it is the greatest value of ``heat``, or where that is more than
            twice the 98th percentile, that percentile: then sinks are named below the map.

    Returns:
        A figure that belongs to no window: save it with ``figure.savefig(path)``. Its axes are the
        map, the colour bar and the image.

    Raises:
        ArgumentError: the image has no three colours, or ``top`` is not above 0.
        AxisError: the map has other dims than ``y`` and ``x``.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.1], [0.2, 0.4]], dims=["y", "x"])
        >>> overlay(np.zeros((8, 8, 3), np.uint8), heat, title="cat").axes[0].get_xlabel()
        '2x2 tokens'
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.figure import Figure

    picture = enlarged(_checked_image(image), SIDE)
    values = _checked_map(heat)
    scale = top_given("overlay", top, values)
    norm = Normalize(0.0, scale.top)
    wide = 3.6 * min(max(picture.shape[1] / picture.shape[0], 0.5), 2.0)
    figure = Figure(figsize=(2 * wide + 1.4, 4.4), dpi=120, layout="constrained")
    grid = figure.add_gridspec(1, 2)
    axes = figure.add_subplot(grid[1])
    _show(axes, engraved(picture, np.clip(values / scale.top, 0.0, 1.0)))
    said = f"{values.shape[0]}x{values.shape[1]} tokens"
    axes.set_xlabel(f"{said}\n{scale.said}".strip(), fontsize=8, color="0.4")
    # A dollar sign of a prompt is a dollar sign, not the start of a formula.
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    colours = ScalarMappable(norm, ListedColormap(table() / 255))
    end = "max" if values.max() > scale.top else "neither"
    bar = figure.colorbar(colours, ax=axes, fraction=0.045, pad=0.03, extend=end)
    bar.set_label(str(heat.attrs.get("units", "attention weight")), fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    _show(figure.add_subplot(grid[0]), picture)
    return figure


def _show(axes: "matplotlib.axes.Axes", picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _checked_image(image: np.ndarray | xr.DataArray) -> np.ndarray:
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ArgumentError(
            f"overlay: the image has the shape {picture.shape} and needs (height, width, 3). "
            "Convert it with image.convert('RGB')."
        )
    if np.issubdtype(picture.dtype, np.integer):
        return picture.astype(np.uint8)
    whole: np.ndarray = np.rint(255 * np.clip(picture, 0.0, 1.0)).astype(np.uint8)
    return whole


def _checked_map(heat: xr.DataArray) -> np.ndarray:
    if set(heat.dims) != {Y, X}:
        raise AxisError(
            f"overlay: the map has the dims {heat.dims} and needs ('{Y}', '{X}'). "
            "Choose or average the others first, as Trace.heatmap does."
        )
    return np.asarray(heat.transpose(Y, X).values, dtype=float)
