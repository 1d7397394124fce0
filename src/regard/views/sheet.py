"""Many images on one sheet, each with a short caption."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from regard.errors import ArgumentError

MARGIN = 8  # pixels between images and around the sheet
LINE = 16  # pixels that a caption takes
PAPER, INK = "white", "#333333"


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int = 8,
    scale: int = 2,
) -> Image.Image:
    """Lay images out in rows, in reading order, each above its caption.

    Args:
        images: Pictures, or arrays (height, width, 3) of uint8. Sizes may differ: each sits in
            the upper left of a cell as large as the largest.
        captions: One line each; a line too long for its image ends in "…".
        columns: Images in a row.
        scale: Whole number by which images are enlarged, each pixel to a square.

    Returns:
        One picture, on white.

    Raises:
        ArgumentError: no images, not as many captions as images, or fewer than one column.

    Example:
        >>> contact_sheet([np.zeros((10, 20, 3), np.uint8)] * 3, columns=2).size
        (104, 64)
    """
    _check(images, captions, columns, scale)
    pictures = [_enlarged(image, scale) for image in images]
    width = max(picture.width for picture in pictures) + MARGIN
    height = max(picture.height for picture in pictures) + MARGIN + (LINE if captions else 0)
    across = min(columns, len(pictures))
    down = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (across * width + MARGIN, down * height + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        corner = (MARGIN + index % columns * width, MARGIN + index // columns * height)
        sheet.paste(picture, corner)
        if captions:
            _write(pen, captions[index], corner, picture.height, width - MARGIN)
    return sheet


def _enlarged(image: Image.Image | np.ndarray, scale: int) -> Image.Image:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    size = (picture.width * scale, picture.height * scale)
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST)


def _write(
    pen: ImageDraw.ImageDraw, caption: str, corner: tuple[int, int], below: int, width: int
) -> None:
    font = ImageFont.load_default(size=11)
    text = caption
    while text and pen.textlength(text, font=font) > width:
        text = text.removesuffix("…")[:-1] + "…" if text != "…" else ""
    pen.text((corner[0], corner[1] + below + 2), text, fill=INK, font=font)


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
