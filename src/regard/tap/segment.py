"""Segments of the query or key axis: neighbouring tokens of one kind, such as the text."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.errors import ArgumentError

Grid = tuple[int, int]


@dataclass(frozen=True)
class Segment:
    """Neighbouring tokens of one kind.

    Attributes:
        name: "image", "text", "image_prompt", "cls", "distillation", "register", "probe",
            "lent" for keys of other images, or "other" for what is not known.
        start: Index of the first token.
        stop: Index after the last token.
        grid: Rows and columns of the tokens, read row by row; None where there is no image plane.

    Raises:
        ArgumentError: it is empty, an index is no whole number from 0 on, or the grid has another
            number of cells than there are tokens.

    Example:
        >>> len(Segment("image", 1, 7, grid=(2, 3)))
        6
    """

    name: str
    start: int
    stop: int
    grid: Grid | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _count("start", self.start, self.name))
        object.__setattr__(self, "stop", _count("stop", self.stop, self.name))
        if self.stop <= self.start:
            raise ArgumentError(
                f"Segment: '{self.name}' goes from {self.start} to {self.stop} and must have at "
                f"least one token."
            )
        if self.grid is not None:
            object.__setattr__(self, "grid", _grid(self.name, len(self), self.grid))

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """The tokens as a slice of the query or key axis."""
        return slice(self.start, self.stop)


def segments(*parts: Any) -> tuple[Segment, ...]:
    """Segments laid end to end; parts of length 0 are left out.

    Args:
        parts: Tuples of name, length and, for an image plane, its (rows, columns).

    Returns:
        The segments with their starts and stops.

    Raises:
        ArgumentError: a length is negative or no whole number, or a grid does not have as many
            cells as the segment has tokens.

    Example:
        >>> segments(("cls", 1), ("register", 0), ("image", 6, (2, 3)))[1]
        Segment(name='image', start=1, stop=7, grid=(2, 3))
    """
    laid: list[Segment] = []
    start = 0
    for name, length, *grid in parts:
        length = _count("length", length, name)
        given = grid[0] if grid else None
        plane = None if given is None else _grid(name, length, given)
        if length:
            laid.append(Segment(name, start, start + length, plane))
        start += length
    return tuple(laid)


def spelled_out(axis: tuple[Segment, ...]) -> str:
    """The segments of an axis for messages.

    Example:
        >>> spelled_out(segments(("cls", 1), ("image", 4)))
        'cls:1 + image:4'
    """
    return " + ".join(f"{segment.name}:{len(segment)}" for segment in axis) or "nothing"


def _count(what: str, value: Any, name: str) -> int:
    """A whole number from 0 on; of NumPy too."""
    try:  # bool is a kind of int, and is none here
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ArgumentError(
            f"segments: the {what} of '{name}' is {value!r} and must be a whole number, 0 or more."
        )
    return number


def _grid(name: str, length: int, grid: Any) -> Grid:
    """Rows and columns as ints, if they have as many cells as there are tokens."""
    sides = [_count("grid", side, name) for side in grid] if _is_pair(grid) else []
    if not sides or sides[0] * sides[1] != length:
        shown = f"{grid[0]} x {grid[1]}" if sides else repr(grid)
        raise ArgumentError(
            f"segments: '{name}' has {length} tokens, but its grid is {shown}. Rows times columns "
            f"must be the number of tokens."
        )
    return sides[0], sides[1]


def _is_pair(grid: Any) -> bool:
    return isinstance(grid, Sequence) and not isinstance(grid, str) and len(grid) == 2
