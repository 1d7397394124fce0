"""A word's map over the image it was made with, as a matplotlib figure."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.views.colour import ATTENTION

if TYPE_CHECKING:  # pages and stamps need no figures, and importing them takes a third of a second
    import matplotlib.axes
    import matplotlib.colors
    import matplotlib.figure

# At the top of the scale a patch is nearly opaque; below it the square root keeps low values
# visible over a bright image.
OPACITY = 0.85


def overlay(
    image: np.ndarray | xr.DataArray,
    heat: xr.DataArray,
    *,
    title: str = "",
    top: float | None = None,
) -> "matplotlib.figure.Figure":
    """Draw a map over an image: true patches, colour and opacity by value, from 0 to ``top``.

    Args:
        image: Height, width and three colours, uint8 or floats in 0..1.
        heat: One map with the dims ``y`` and ``x``, values >= 0; ``attrs["units"]`` names the
            colour bar.
        title: Written above the picture, such as the word.
        top: The value at the end of the colour scale; give several figures the same one to
            compare them. The greatest value of ``heat`` when left out.

    Returns:
        A figure that belongs to no window: save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: the image has no three colours, or ``top`` is not above 0.
        AxisError: the map has other dims than ``y`` and ``x``.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.1], [0.2, 0.4]], dims=["y", "x"])
        >>> overlay(np.zeros((8, 8, 3), np.uint8), heat, title="cat").axes[0].get_xlabel()
        '2x2 tokens'
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    picture = _checked_image(image)
    values = _checked_map(heat)
    norm = Normalize(0.0, _top_of(values, top))
    figure = Figure(figsize=(4.8, 4.4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, picture, values, norm)
    axes.set_xlabel(f"{values.shape[0]}x{values.shape[1]} tokens", fontsize=8, color="0.4")
    # A dollar sign of a prompt is a dollar sign, not the start of a formula.
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    bar = figure.colorbar(ScalarMappable(norm, ATTENTION), ax=axes, fraction=0.045, pad=0.03)
    bar.set_label(str(heat.attrs.get("units", "attention weight")), fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _draw(
    axes: "matplotlib.axes.Axes",
    picture: np.ndarray,
    values: np.ndarray,
    norm: "matplotlib.colors.Normalize",
) -> None:
    height, width = picture.shape[:2]
    frame = (0, width, height, 0)
    shares = np.clip(np.asarray(norm(values)), 0.0, 1.0)
    axes.imshow(picture, extent=frame, interpolation="nearest")
    axes.imshow(
        values,
        extent=frame,
        cmap=ATTENTION,
        norm=norm,
        alpha=OPACITY * np.sqrt(shares),
        interpolation="nearest",
    )
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
    return picture


def _checked_map(heat: xr.DataArray) -> np.ndarray:
    if set(heat.dims) != {Y, X}:
        raise AxisError(
            f"overlay: the map has the dims {heat.dims} and needs ('{Y}', '{X}'). "
            "Choose or average the others first, as Trace.heatmap does."
        )
    return np.asarray(heat.transpose(Y, X).values, dtype=float)


def _top_of(values: np.ndarray, top: float | None) -> float:
    if top is None:
        return float(values.max()) or 1.0  # a map of zeros still needs a scale
    if not top > 0:
        raise ArgumentError(
            f"overlay: top is {top} and must be above 0. "
            "Leave it out for the greatest value of the map."
        )
    return float(top)
