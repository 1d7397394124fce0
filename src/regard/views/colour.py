"""The colour maps: magma for attention, even to the eye; purple to green for a change of it."""

import numpy as np
from matplotlib import colormaps

ATTENTION = "magma"

CHANGE = "PRGn"
"""From purple, less, over white to green, more; safe for the colour-blind."""


def colours() -> bytes:
    """The 256 colours of attention, least first, three bytes (red, green, blue) each.

    Example:
        >>> len(colours()), list(colours()[:3])
        (768, [0, 0, 3])
    """
    table = colormaps[ATTENTION](np.arange(256), bytes=True)[:, :3]
    return bytes(np.ascontiguousarray(table).tobytes())
