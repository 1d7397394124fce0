"""Where the colour scale of a map ends, and which patches stand above it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.errors import ArgumentError, unknown

# A few patches of a vision transformer may take ten to sixty times what the others do (0.167 where
# the 98th percentile is 0.009, on a photograph and DINOv2-small), and then all else is black.
QUANTILE, FAR, FEWEST = 0.98, 2.0, 16

SCALES = ("each", "shared")
"""``each`` map on a scale of its own, or one scale ``shared`` by all."""


@dataclass(frozen=True)
class Scale:
    """A colour scale from 0 to ``top``, and the patches that take far more than the others.

    Attributes:
        top: The value at the end of the scale.
        sinks: Row, column and value of each patch above twice the 98th percentile, the greatest
            first; none where the scale ends at the greatest value.
    """

    top: float
    sinks: tuple[tuple[int, int, float], ...] = ()

    @property
    def said(self) -> str:
        """The sinks in words; empty where there is none.

        Example:
            >>> Scale(0.1, ((3, 7, 0.5), (0, 0, 0.25))).said
            'sinks: y 3, x 7 takes 0.5; y 0, x 0 takes 0.25'
        """
        if not self.sinks:
            return ""
        named = [f"y {row}, x {column} takes {value:.3g}" for row, column, value in self.sinks[:3]]
        more = len(self.sinks) - len(named)
        return f"sinks: {'; '.join(named)}{f'; {more} more' if more else ''}"


def scale_of(values: Any) -> Scale:
    """The scale of one map: to its greatest value, or where sinks dominate, to a high quantile.

    Sinks dominate where the greatest value is more than twice the 98th percentile. Maps of fewer
    than 16 patches have too few for a percentile, and end at the greatest value.

    Args:
        values: One map [y, x], values >= 0.

    Returns:
        The `Scale`; to 1 for a map of zeros.

    Example:
        >>> heat = np.arange(16.0).reshape(4, 4)
        >>> scale_of(heat).top
        15.0
        >>> heat[0, 0] = 100.0
        >>> scale_of(heat)
        Scale(top=15.0, sinks=((0, 0, 100.0),))
    """
    plane = np.asarray(values, dtype=np.float64)
    most = float(plane.max())
    high = float(np.quantile(plane, QUANTILE, method="lower"))
    if plane.size < FEWEST or not 0 < high < most / FAR:
        return Scale(most if most > 0 else 1.0)
    above = np.argwhere(plane > FAR * high)
    found = [(int(row), int(column), float(plane[row, column])) for row, column in above]
    return Scale(high, tuple(sorted(found, key=lambda sink: -sink[2])))


def shared_top(maps: Iterable[Any]) -> float:
    """The end of one scale for several maps: the greatest of their own ends.

    Args:
        maps: Each as `scale_of` takes it; at least one.

    Example:
        >>> shared_top([np.eye(2), np.eye(2) / 4])
        1.0
    """
    return max(scale_of(each).top for each in maps)


def check_scale(caller: str, scale: str) -> None:
    """Refuse a name that is no scale.

    Raises:
        UnknownName: it is none of `SCALES`.

    Example:
        >>> check_scale("page", "each")
    """
    if scale not in SCALES:
        raise unknown(f"scale for {caller}", scale, SCALES)


def top_given(caller: str, top: float | None, values: Any) -> Scale:
    """The scale of a map, or one that ends where the caller wants it.

    Raises:
        ArgumentError: ``top`` is not above 0.

    Example:
        >>> top_given("overlay", 0.5, np.eye(2)).top
        0.5
    """
    if top is None:
        return scale_of(values)
    if not top > 0:
        raise ArgumentError(
            f"{caller}: top is {top} and must be above 0. Leave it out for the map's own."
        )
    return Scale(float(top))
