"""The one colour map of attention: magma, even to the eye and safe for the colour-blind."""

import numpy as np
from matplotlib import colormaps

ATTENTION = "magma"


def colours() -> bytes:
    """The 256 colours of attention, least first, three bytes (red, green, blue) each.

    Example:
        >>> len(colours()), list(colours()[:3])
        (768, [0, 0, 3])
    """
    table = colormaps[ATTENTION](np.arange(256), bytes=True)[:, :3]
    return bytes(np.ascontiguousarray(table).tobytes())
