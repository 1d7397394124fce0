"""What scenes lie on: a flat ramp in version 1; gradients, textures and noise in version 2."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

BACKGROUNDS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "grass": ((165, 215, 130), (100, 170, 75)),
    "beach": ((165, 210, 235), (235, 210, 150)),
    "snow": ((200, 215, 235), (235, 242, 250)),
    "night sky": ((35, 40, 95), (70, 75, 140)),
    "lake": ((150, 210, 240), (60, 130, 190)),
    "road": ((150, 145, 140), (95, 92, 92)),
}
"""What a scene may lie on: its colour at the top and at the bottom."""

PLAIN = "plain"
"""A background that no caption names: a gradient of two colours."""


@lru_cache(maxsize=32)
def ramp(name: str, size: int) -> np.ndarray:
    """The flat background of version 1: float32 [h, w, 3] in 0..255."""
    top, bottom = (np.array(colour, np.float32) for colour in BACKGROUNDS[name])
    # A smooth step: the upper third stays near the first colour, the lower third near the second.
    t = np.clip((np.linspace(0, 1, size) - 0.2) / 0.6, 0, 1)
    t = (t * t * (3 - 2 * t))[:, None, None]
    return np.broadcast_to(top * (1 - t) + bottom * t, (size, size, 3)).astype(np.float32)


def textured(rng: np.random.Generator, name: str, size: int) -> np.ndarray:
    """A background of version 2, another one each time.

    Args:
        rng: What decides it; as many numbers are taken from it at every size.
        name: One of `BACKGROUNDS`, or `PLAIN`.
        size: Pixels a side.

    Returns:
        float32 [h, w, 3] in 0..255.
    """
    painted: np.ndarray = np.clip(_PAINTERS[name](rng, size), 0, 255).astype(np.float32, copy=False)
    return painted


def _noise(rng: np.random.Generator, rows: int, columns: int, size: int) -> np.ndarray:
    """Smooth noise of about -1..1 that varies over so many cells, float32 [h, w, 1]."""
    cells = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    return np.asarray(cells.resize((size, size), Image.Resampling.BICUBIC))[..., None]


def _colour(rng: np.random.Generator, rgb: tuple[int, int, int]) -> np.ndarray:
    """A colour near this one."""
    near: np.ndarray = np.array(rgb) * rng.uniform(0.9, 1.1) + rng.uniform(-10, 10, 3)
    return near.astype(np.float32)


def _down(size: int) -> np.ndarray:
    """How far down each row is, 0..1 as [h, 1, 1]."""
    return ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None, None]


def _blend(upper: np.ndarray, lower: np.ndarray, t: np.ndarray) -> np.ndarray:
    blended: np.ndarray = upper + (lower - upper) * np.clip(t, 0, 1)
    return blended


def _slope(rng: np.random.Generator, name: str, size: int) -> np.ndarray:
    """Its two colours, one passing into the other from top to bottom."""
    upper, lower = (_colour(rng, rgb) for rgb in BACKGROUNDS[name])
    return _blend(upper, lower, _down(size) * 1.4 - rng.uniform(0, 0.4))


def _spots(
    rng: np.random.Generator, count: int, radius: float, size: int, below: float = 1.0
) -> np.ndarray:
    """Soft round spots, 0..1 as [h, w, 1]; the radius is a share of the side."""
    places = rng.uniform(0, (1, below), (count, 2)) * size
    reach = rng.uniform(0.6, 1.4, count) * radius * size
    axis = np.arange(size, dtype=np.float32) + 0.5
    out = np.zeros((size, size), np.float32)
    for (x, y), r in zip(places, reach, strict=True):
        left, top = max(0, int(x - 2 * r)), max(0, int(y - 2 * r))
        rows, columns = axis[top : int(y + 2 * r) + 2], axis[left : int(x + 2 * r) + 2]
        far = np.hypot(rows[:, None] - y, columns[None] - x) / r
        window = out[top : top + len(rows), left : left + len(columns)]
        np.maximum(window, np.clip(1.5 - far, 0, 1), out=window)
    return out[..., None]


def _grass(rng: np.random.Generator, size: int) -> np.ndarray:
    blades = 9 * _noise(rng, 10, 40, size) + 8 * _noise(rng, 4, 5, size)
    meadow: np.ndarray = _slope(rng, "grass", size) + blades * np.array([1, 1, 0.7], np.float32)
    return meadow


def _beach(rng: np.random.Generator, size: int) -> np.ndarray:
    sky, sand = (_colour(rng, rgb) for rgb in BACKGROUNDS["beach"])
    sea = _colour(rng, (70, 150, 195))
    horizon, shore = rng.uniform(0.15, 0.35), rng.uniform(0.4, 0.55)
    wave = 0.02 * _noise(rng, 2, 8, size)
    down = _down(size)
    picture = _blend(sky, sea + 6 * _noise(rng, 24, 5, size), (down - horizon) * size / 3)
    grains = sand + 5 * _noise(rng, 26, 26, size) + 7 * _noise(rng, 4, 4, size)
    return _blend(picture, grains, (down + wave - shore) * size / 5)


def _snow(rng: np.random.Generator, size: int) -> np.ndarray:
    drifts = _slope(rng, "snow", size) + 9 * _noise(rng, 5, 3, size)
    return _blend(drifts, np.array([255, 255, 255], np.float32), _spots(rng, 14, 0.012, size))


def _night_sky(rng: np.random.Generator, size: int) -> np.ndarray:
    sky = _slope(rng, "night sky", size) + 9 * _noise(rng, 4, 4, size)
    sky = _blend(sky, np.array([235, 230, 190], np.float32), _spots(rng, 16, 0.011, size))
    moons = int(rng.random() < 0.3)
    return _blend(sky, _colour(rng, (240, 235, 200)), 3 * _spots(rng, moons, 0.07, size, 0.3))


def _lake(rng: np.random.Generator, size: int) -> np.ndarray:
    ripples = 9 * _noise(rng, 26, 5, size) + 7 * _noise(rng, 8, 3, size)
    water: np.ndarray = _slope(rng, "lake", size) + ripples
    return water


def _road(rng: np.random.Generator, size: int) -> np.ndarray:
    asphalt = (
        _slope(rng, "road", size) + 5 * _noise(rng, 32, 32, size) + 6 * _noise(rng, 4, 4, size)
    )
    down, across = _down(size), _down(size).reshape(1, size, 1)
    middle, wide = rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.45)
    edge = np.abs(across - middle) - wide * (0.35 + 0.65 * down)
    line = np.clip(1.5 - np.abs(edge) * size / 2.5, 0, 1)
    return _blend(asphalt, _colour(rng, (225, 220, 205)), 0.8 * line)


def _plain(rng: np.random.Generator, size: int) -> np.ndarray:
    first, second = rng.uniform(60, 240, (2, 3)).astype(np.float32)
    second = first + 0.5 * (second - first)
    turn = rng.uniform(0, 2 * np.pi)
    down, across = _down(size) - 0.5, _down(size).reshape(1, size, 1) - 0.5
    slope = 0.5 + np.cos(turn) * down + np.sin(turn) * across
    rows, columns = (int(each) for each in rng.integers(2, 20, 2))
    return _blend(first, second, slope) + rng.uniform(3, 12) * _noise(rng, rows, columns, size)


_PAINTERS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "grass": _grass,
    "beach": _beach,
    "snow": _snow,
    "night sky": _night_sky,
    "lake": _lake,
    "road": _road,
    PLAIN: _plain,
}
