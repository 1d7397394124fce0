"""A word's map beside its image as a small image, made in milliseconds and without a figure."""

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw, ImageFont

from regard.axes import X, Y
from regard.errors import AxisError
from regard.views.engrave import engraved, enlarged, table
from regard.views.scale import Scale, top_given

SIDE = 384  # pixels to which the longer side of a small image is enlarged
MARGIN, LINE, BAR = 10, 20, 10
PAPER, INK = "white", "#333333"


def stamp(
    image: Image.Image,
    heat: xr.DataArray,
    *,
    title: str = "",
    top: float | None = None,
) -> Image.Image:
    """The image, and its map beside it: true patches, coloured by value from 0 to ``top``.

    The image of `overlay` for many words at once: a title, the image, the map with the image
    engraved in it, a colour bar with its ends, the unit, the grid and the sinks.

    Args:
        image: The image; each pixel becomes a square where it is small.
        heat: One map with the dims ``y`` and ``x``, values >= 0; ``attrs["units"]`` names the
            colour bar.
        title: Written above, such as the word.
        top: The value at the end of a colour scale that several images share; left out, the scale
            is the map's own, as in `overlay`.

    Returns:
        An image on white.

    Raises:
        AxisError: the map has other dims than ``y`` and ``x``.
        ArgumentError: ``top`` is not above 0.

    Example:
        >>> heat = xr.DataArray([[0.0, 0.5], [0.0, 1.0]], dims=["y", "x"])
        >>> stamp(Image.new("RGB", (64, 64)), heat, title="cat").size
        (798, 454)
    """
    if set(heat.dims) != {Y, X}:
        raise AxisError(
            f"stamp: the map has the dims {heat.dims} and needs ('{Y}', '{X}'). "
            "Choose or average the others first, as Trace.heatmap does."
        )
    values = np.asarray(heat.transpose(Y, X).values, dtype=np.float64)
    scale = top_given("stamp", top, values)
    picture = enlarged(np.asarray(image.convert("RGB")), SIDE)
    drawn = engraved(picture, np.clip(values / scale.top, 0.0, 1.0))
    label = f"{heat.attrs.get('units', 'attention weight')}, {values.shape[0]}x{values.shape[1]}"
    whose = "" if top is None else ", shared scale"
    return _framed(picture, drawn, title, f"{label} tokens{whose}", scale)


def _framed(
    picture: np.ndarray, drawn: np.ndarray, title: str, label: str, scale: Scale
) -> Image.Image:
    height, width = picture.shape[:2]
    below = LINE + height + MARGIN
    under = LINE if scale.said else 0
    size = (2 * width + 3 * MARGIN, below + BAR + LINE + MARGIN + under)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    left, right = MARGIN, width + 2 * MARGIN
    pen.text((left, 3), title, fill=INK, font=ImageFont.load_default(size=13))
    sheet.paste(Image.fromarray(picture), (left, LINE + 2))
    sheet.paste(Image.fromarray(drawn), (right, LINE + 2))
    ramp = np.rint(table()).astype(np.uint8)[np.arange(width) * 256 // width]
    sheet.paste(Image.fromarray(np.tile(ramp, (BAR, 1, 1))), (right, below))
    small = ImageFont.load_default(size=11)
    line = below + BAR + 3
    pen.text((right, line), "0", fill=INK, font=small)
    pen.text((right + width / 2, line), label, fill=INK, font=small, anchor="ma")
    most = f"{scale.top:.3g}{' (98th percentile)' if scale.said else ''}"
    pen.text((right + width, line), most, fill=INK, font=small, anchor="ra")
    pen.text((left, line + LINE), scale.said, fill=INK, font=small)
    return sheet
