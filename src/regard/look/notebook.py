"""What a notebook shows of an image and a table."""

import base64
import html
import io
from collections.abc import Iterable
from typing import Any

import pandas as pd
from PIL import Image

LEAST = 256
"""Pixels that an image is shown wide at least."""


def shown(images: Iterable[tuple[str, Image.Image]], table: pd.DataFrame | None, text: str) -> str:
    """Images side by side under their captions, a table below them, and a line of text, as HTML."""
    figures = "".join(
        f'<figure style="display:inline-block;margin:0 8px 0 0">{_element(image)}'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, image in images
    )
    rows: Any = (
        "" if table is None else table.to_html(index=False, na_rep="", float_format="{:.3g}".format)
    )
    return f"<div>{figures}{rows}<p>{html.escape(text)}</p></div>"


def _element(image: Image.Image) -> str:
    stored = io.BytesIO()
    image.save(stored, "PNG")
    data = base64.b64encode(stored.getvalue()).decode()
    width = max(image.width, LEAST)
    return f'<img width="{width}" src="data:image/png;base64,{data}" style="image-rendering:auto">'
