"""Choosing steps, heads and layers of a trace by what users call them."""

from collections.abc import Iterable, Mapping, Sequence

import xarray as xr

from regard.axes import LAYER, X, Y
from regard.errors import ArgumentError, unknown

Pick = int | slice | Iterable[int] | None

PLACES = ("down", "mid", "up")


def positions(
    maps: xr.DataArray, wanted: Pick, *, axis: str, layer: str, caller: str = "heatmap"
) -> list[int]:
    """Where the wanted labels of ``axis`` lie; a slice counts along the labels that there are.

    Raises:
        ArgumentError: the axis was averaged, or no label is like this.

    Example:
        >>> maps = xr.DataArray([5, 6, 7], coords={"step": [0, 1, 2]})
        >>> positions(maps, [0, -1], axis="step", layer="mid")
        [0, 2]
    """
    labels = [int(label) for label in maps[axis].values]
    if wanted is None:
        return list(range(len(labels)))
    if axis in maps.attrs.get("averaged", ()):
        raise ArgumentError(
            f"{caller}: {axis}s were averaged while the model ran, so none can be chosen. "
            f"Look again with '{axis}' in keep=."
        )
    if isinstance(wanted, slice):
        found = list(range(len(labels)))[wanted]
    else:
        asked = [wanted] if isinstance(wanted, int) else [int(label) for label in wanted]
        found = [_position(label, labels, axis=axis, layer=layer, caller=caller) for label in asked]
    if not found:
        raise ArgumentError(
            f"{caller}: {axis}s={wanted!r} chooses nothing of layer '{layer}', which has "
            f"{_span(labels)}. Choose at least one."
        )
    return found


def _position(label: int, labels: list[int], *, axis: str, layer: str, caller: str) -> int:
    if label in labels:
        return labels.index(label)
    if -len(labels) <= label < 0:
        return len(labels) + label
    raise ArgumentError(
        f"{caller}: layer '{layer}' has no {axis} {label}; it has {_span(labels)}. "
        f"Choose among these, or count from the end with -1."
    )


def _span(labels: list[int]) -> str:
    whole = labels == list(range(labels[0], labels[0] + len(labels)))
    if whole and len(labels) > 2:
        return f"{labels[0]}..{labels[-1]}"
    return ", ".join(map(str, labels))


def layers(
    known: Mapping[str, xr.DataArray],
    wanted: str | Sequence[str] | None,
    *,
    caller: str = "heatmap",
) -> list[str]:
    """The names of the wanted layers in running order: a place, a grid, a name or a part of names.

    Raises:
        UnknownName: nothing is like one of the wanted.
        ArgumentError: layers were averaged, or none is wanted.

    Example:
        >>> one = xr.DataArray(0, attrs={"place": "up"})
        >>> layers({"up_blocks.0": one, "up_blocks.1": one}, "blocks.1")
        ['up_blocks.1']
        >>> maps = {"coarse": xr.DataArray([[0]], dims=["y", "x"]), "fine": one}
        >>> layers(maps, "1x1")
        ['coarse']
    """
    if wanted is None:
        return list(known)
    if any(LAYER in maps.attrs.get("averaged", ()) for maps in known.values()):
        raise ArgumentError(
            f"{caller}: layers were averaged while the model ran, so none can be chosen. "
            f"Look again with 'layer' in keep=."
        )
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    found = {name for one in asked for name in _matching(one, known)}
    if not found:
        raise ArgumentError(f"{caller}: layers=[] chooses nothing. Choose at least one, or None.")
    return [name for name in known if name in found]


def _matching(wanted: str, known: Mapping[str, xr.DataArray]) -> list[str]:
    if wanted in known:
        return [wanted]
    placed = [name for name, maps in known.items() if maps.attrs.get("place") == wanted]
    placed = placed or [name for name, maps in known.items() if _grid(maps) == wanted]
    if placed or (wanted in PLACES and any(maps.attrs.get("place") for maps in known.values())):
        parts = placed
    else:
        parts = [name for name in known if wanted and wanted in name]
    if not parts:
        grids = dict.fromkeys(grid for maps in known.values() if (grid := _grid(maps)))
        places = {maps.attrs.get("place") for maps in known.values()}
        there = [place for place in PLACES if place in places]
        choices = ", ".join(["A part of a name", *there])
        advice = f"{choices} or a grid will do: {', '.join(grids)}."
        raise unknown("layer", wanted, known, advice=advice)
    return parts


def _grid(maps: xr.DataArray) -> str:
    """Rows and columns of a layer's image tokens, as in '16x16'; empty where it has none."""
    if Y in maps.dims and X in maps.dims:
        return f"{maps.sizes[Y]}x{maps.sizes[X]}"
    return "x".join(str(side) for side in maps.attrs.get("grid", ()))
