"""A word's map over its image as a small picture, drawn in milliseconds and without a figure."""

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw, ImageFont

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.views.colour import colours

SIDE = 384  # pixels to which the longer side of a small image is enlarged
MARGIN, LINE, BAR = 10, 20, 10
OPACITY = 0.85  # as `overlay` has it: at the top of the scale a patch is nearly opaque
PAPER, INK = "white", "#333333"


def stamp(
    image: Image.Image,
    heat: xr.DataArray,
    *,
    title: str = "",
    top: float | None = None,
) -> Image.Image:
    """Draw a map over an image: true patches, colour and opacity by value, from 0 to ``top``.

    The picture of `overlay` for many words at once: a title, the image, a colour bar with its
    ends, the unit and the grid.

    Args:
        image: The picture; each pixel becomes a square where it is small.
        heat: One map with the dims ``y`` and ``x``, values >= 0; ``attrs["units"]`` names the
            colour bar.
        title: Written above, such as the word.
        top: The value at the end of the colour scale; the greatest of ``heat`` when left out.

    Returns:
        A picture on white.

    Raises:
        AxisError: the map has other dims than ``y`` and ``x``.
        ArgumentError: ``top`` is not above 0.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.5], [0.0, 1.0]], dims=["y", "x"])
        >>> stamp(Image.new("RGB", (64, 64)), heat, title="cat").size
        (404, 454)
    """
    if set(heat.dims) != {Y, X}:
        raise AxisError(
            f"stamp: the map has the dims {heat.dims} and needs ('{Y}', '{X}'). "
            "Choose or average the others first, as Trace.heatmap does."
        )
    values = np.asarray(heat.transpose(Y, X).values, dtype=np.float64)
    most = float(values.max()) or 1.0 if top is None else top
    if not most > 0:
        raise ArgumentError(f"stamp: top is {top} and must be above 0. Leave it out for the map's.")
    picture = _blended(_enlarged(image), np.clip(values / most, 0.0, 1.0))
    label = f"{heat.attrs.get('units', 'attention weight')}, {values.shape[0]}x{values.shape[1]}"
    return _framed(picture, title, f"{label} tokens", f"{most:.3g}")


def _enlarged(image: Image.Image) -> np.ndarray:
    times = max(1, SIDE // max(image.size))
    size = (image.width * times, image.height * times)
    enlarged = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    return np.asarray(enlarged, dtype=np.float64)


def _blended(picture: np.ndarray, shares: np.ndarray) -> Image.Image:
    """Patches are as large as they are in the model: no value is smoothed into another."""
    rows, columns = (
        np.arange(length) * patches // length
        for length, patches in zip(picture.shape[:2], shares.shape, strict=True)
    )
    under = shares[rows][:, columns]
    table = np.frombuffer(colours(), np.uint8).reshape(256, 3)
    alpha = OPACITY * np.sqrt(under)[..., None]
    mixed = alpha * table[np.rint(under * 255).astype(int)] + (1 - alpha) * picture
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _framed(picture: Image.Image, title: str, label: str, most: str) -> Image.Image:
    width, height = picture.size
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + 2 * LINE + BAR + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 3), title, fill=INK, font=ImageFont.load_default(size=13))
    sheet.paste(picture, (MARGIN, LINE + 2))
    below = LINE + height + MARGIN
    ramp = np.arange(width) * 256 // width
    table = np.frombuffer(colours(), np.uint8).reshape(256, 3)
    sheet.paste(Image.fromarray(np.tile(table[ramp], (BAR, 1, 1))), (MARGIN, below))
    small = ImageFont.load_default(size=11)
    line = below + BAR + 3
    pen.text((MARGIN, line), "0", fill=INK, font=small)
    pen.text((MARGIN + width / 2, line), label, fill=INK, font=small, anchor="ma")
    pen.text((MARGIN + width, line), most, fill=INK, font=small, anchor="ra")
    return sheet
