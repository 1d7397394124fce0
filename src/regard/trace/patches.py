"""Naming a patch of an image: by its row and column, or by a point of the image."""

from collections.abc import Mapping
from typing import Any

from regard.arguments import listed, number_or_none, shown, whole_or_none
from regard.errors import ArgumentError

Patch = tuple[int, int] | tuple[float, float]
"""Two whole numbers are the row and column of a patch, -1 is the last; two numbers of which one has
a decimal point are a point: shares of the image from its top and left edges, 0.0 to 1.0."""


def patch_or_none(value: Any) -> Patch | None:
    """A patch as row and column or as a point; None of what is neither.

    Example:
        >>> patch_or_none([0, -1]), patch_or_none((0, 0.5)), patch_or_none((0.0, 1.5))
        ((0, -1), (0.0, 0.5), None)
    """
    several = None if isinstance(value, str | bytes | bytearray) else listed(value)
    if several is None or len(several) != 2:
        return None
    row, column = map(whole_or_none, several)
    if row is not None and column is not None:
        return row, column
    down, right = map(number_or_none, several)
    if down is None or right is None or not (0 <= down <= 1 and 0 <= right <= 1):
        return None
    return down, right


def cell_of(
    patch: Patch, grid: tuple[int, int], *, caller: str, layer: str = ""
) -> tuple[int, int]:
    """The row and column of a patch on a grid, both from 0 on.

    Args:
        patch: As `patch_or_none` returns it.
        grid: Rows and columns.
        caller: The name of the calling function, for messages.
        layer: Whose grid it is, for messages.

    Raises:
        ArgumentError: the grid has no such row or column.

    Example:
        >>> cell_of((-1, 0), (4, 8), caller="doctest"), cell_of((0.5, 1.0), (4, 8), caller="x")
        ((3, 0), (2, 7))
    """
    (row, column), (rows, columns) = patch, grid
    if isinstance(row, float) or isinstance(column, float):
        return min(int(row * rows), rows - 1), min(int(column * columns), columns - 1)
    if not (-rows <= row < rows and -columns <= column < columns):
        where = f" in '{layer}'" if layer else ""
        raise ArgumentError(
            f"{caller}: there is no patch {patch}{where}; rows are 0..{rows - 1} and columns "
            f"0..{columns - 1}. Choose among these, or count from the end with -1; a point such as "
            f"(0.5, 0.5) is in every grid."
        )
    return row % rows, column % columns


def checked_patches(value: Any, *, name: str, caller: str) -> tuple[Patch, ...] | None:
    """Several patches, also if there is one; None for every patch.

    Raises:
        ArgumentError: there is none, or one is neither a row and column nor a point.

    Example:
        >>> checked_patches((0.5, 0.5), name="patches", caller="look")
        ((0.5, 0.5),)
    """
    if value is None:
        return None
    one = patch_or_none(value)
    if one is not None:
        return (one,)
    several = None if isinstance(value, str | bytes | bytearray) else listed(value)
    found = [patch_or_none(each) for each in several or ()]
    if not found or None in found:
        wrong = value if not found else (several or [])[found.index(None)]
        raise ArgumentError(
            f"{caller}: {name} has {shown(wrong)} and must be a list of patches: each a row and "
            f"column, such as (0, 3), or a point of the image, such as (0.5, 0.25) for half of the "
            f"way down and a quarter to the right."
        )
    return tuple(dict.fromkeys(each for each in found if each is not None))


def patches_of(recipe: Mapping[str, Any]) -> dict[str, Patch]:
    """The patches that were named when an image was generated, by what they are called.

    Example:
        >>> patches_of({"self_attention": {"patches": [[0.5, 0.25]]}}), patches_of({})
        ({'patch 0.5, 0.25': (0.5, 0.25)}, {})
    """
    told = (recipe.get("self_attention") or {}).get("patches") or []
    named = [] if told == "all" else [(each[0], each[1]) for each in told]
    return {f"patch {row}, {column}": (row, column) for row, column in named}
