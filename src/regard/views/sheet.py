"""Many images on one sheet, each with a short caption."""

from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from regard.data.pictures import as_rgb
from regard.errors import ArgumentError

MARGIN = 8  # pixels between images and around the sheet
LINE = 13  # pixels that a line of a caption takes
MOST_LINES = 3
PAPER, INK = "white", "#333333"


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int = 8,
    scale: int = 2,
) -> Image.Image:
    """Lay images out in rows, in reading order, each above its caption.

    Args:
        images: Images, or arrays (height, width, 3) of uint8. Sizes may differ: each sits in
            the upper left of a cell as large as the largest.
        captions: One for each image; it takes up to three lines, and ends in "…" if that is
            not enough.
        columns: Images in a row.
        scale: Whole number by which images are enlarged, each pixel to a square.

    Returns:
        One image, on white.

    Raises:
        ArgumentError: no images, not as many captions as images, or fewer than one column.

    Example:
        >>> contact_sheet([np.zeros((10, 20, 3), np.uint8)] * 3, columns=2).size
        (104, 64)
    """
    _check(images, captions, columns, scale)
    pictures = [_enlarged(image, scale) for image in images]
    widest = max(picture.width for picture in pictures)
    lines = [_wrapped(caption, widest) for caption in captions or []]
    below = LINE * max((len(each) for each in lines), default=0)
    width = widest + MARGIN
    height = max(picture.height for picture in pictures) + MARGIN + below
    across = min(columns, len(pictures))
    down = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (across * width + MARGIN, down * height + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        left, top = MARGIN + index % columns * width, MARGIN + index // columns * height
        sheet.paste(picture, (left, top))
        for number, line in enumerate(lines[index] if lines else []):
            pen.text((left, top + picture.height + 2 + number * LINE), line, fill=INK, font=_font())
    return sheet


def _enlarged(image: Image.Image | np.ndarray, scale: int) -> Image.Image:
    picture = as_rgb(image)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)


def _wrapped(caption: str, width: int) -> list[str]:
    """The caption in at most `MOST_LINES` lines of this many pixels."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if _length(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        kept[-1] += "…"
    return [_cut(line, width) for line in kept]


def _cut(line: str, width: int) -> str:
    while line and _length(line) > width:
        line = line.removesuffix("…")[:-1] + "…" if line != "…" else ""
    return line


def _length(text: str) -> float:
    return _font().getlength(text)


@cache
def _font() -> ImageFont.FreeTypeFont:
    # Present wherever Pillow was built with FreeType, as its wheels are.
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size=11))


def _check(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None,
    columns: int,
    scale: int,
) -> None:
    if not len(images):
        raise ArgumentError("contact_sheet: there are no images. Give at least one.")
    if captions is not None and len(captions) != len(images):
        raise ArgumentError(
            f"contact_sheet: {len(captions)} captions for {len(images)} images. "
            "Give one caption for each image, or none at all."
        )
    if columns < 1 or scale < 1:
        raise ArgumentError(
            f"contact_sheet: columns is {columns} and scale is {scale}; both must be at least 1."
        )
