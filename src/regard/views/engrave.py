"""An image engraved into a map: its edges are seen, and each patch keeps the colour of its value.

Blended with an image, a map can no longer be read against its colour bar: a bright patch of low
value has the colour of a dark one of high value. So only what an image does *within* a patch is
added, lighter and darker alike: the mean colour of a patch is that of its value on the bar.
"""

import numpy as np

from regard.views.colour import colours

RELIEF = 36
"""How much lighter or darker an engraved pixel may be than its patch, of 255."""


def table() -> np.ndarray:
    """The 256 colours of an engraved map, as its bar shows them: floats [256, 3] in 0..255.

    They leave a margin above and below for the relief, so that nothing is cut off.
    """
    full = np.frombuffer(colours(), np.uint8).reshape(256, 3).astype(np.float64)
    return RELIEF + full * (255 - 2 * RELIEF) / 255


def engraved(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """A map in its colours, with the relief of an image.

    Args:
        image: uint8 [y, x, 3].
        shares: Shares of the colour scale in 0..1, [row, column] of patches.

    Returns:
        uint8 [y, x, 3]; the mean of each patch is its colour in `table`, up to rounding.

    Example:
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> picture[::2] = 255
        >>> engraved(picture, np.zeros((1, 1)))[:2, 0].tolist()
        [[72, 72, 74], [0, 0, 2]]
    """
    down, across = (
        np.arange(length) * patches // length
        for length, patches in zip(image.shape[:2], shares.shape, strict=True)
    )
    lightness = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    place = down[:, None] * shares.shape[1] + across
    relief = (lightness - means_of(lightness, place)[place]) * (RELIEF / 128)
    most = np.zeros(shares.size)
    np.maximum.at(most, place.ravel(), np.abs(relief).ravel())
    relief *= (RELIEF / np.maximum(most, RELIEF))[place]
    flat = table()[np.rint(np.clip(shares, 0, 1) * 255).astype(int)]
    drawn: np.ndarray = np.rint(flat[down][:, across] + relief[..., None]).astype(np.uint8)
    return drawn


def means_of(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The mean of the pixels of each patch; 0 for one that is smaller than a pixel.

    Args:
        values: [y, x].
        place: The number of the patch of each pixel, [y, x].
    """
    counts = np.bincount(place.ravel())
    sums = np.bincount(place.ravel(), weights=values.ravel())
    means: np.ndarray = sums / np.maximum(counts, 1)
    return means


def enlarged(image: np.ndarray, most: int) -> np.ndarray:
    """An image enlarged by a whole number, each pixel a square.

    Args:
        image: [y, x, 3].
        most: Pixels that its longer side may reach; an image that has them stays as it is.

    Example:
        >>> enlarged(np.zeros((4, 8, 3), np.uint8), 20).shape
        (8, 16, 3)
    """
    times = max(1, most // max(image.shape[:2]))
    return image.repeat(times, axis=0).repeat(times, axis=1)
