"""Choosing steps, heads and layers of a trace by what users call them."""

from collections.abc import Mapping

import xarray as xr

from regard.arguments import Indices, indices
from regard.axes import HEAD, LAYER, X, Y
from regard.errors import ArgumentError
from regard.layers import LayerInfo, LayerQuery, chosen

Pick = Indices
"""Which steps or heads: one by its number, several, or a slice; None for all."""


def positions(
    maps: xr.DataArray, wanted: Pick, *, axis: str, layer: str, caller: str = "heatmap"
) -> list[int]:
    """Where the wanted labels of ``axis`` lie; a slice counts along the existing labels.

    Raises:
        ArgumentError: what is wanted is no number, the axis was averaged, or no label is like
            this.

    Example:
        >>> maps = xr.DataArray([5, 6, 7], coords={"step": [0, 1, 2]})
        >>> positions(maps, [0, -1], axis="step", layer="mid")
        [0, 2]
    """
    labels = [int(label) for label in maps[axis].values]
    asked = indices(wanted, f"{axis}s", caller)
    if asked is None:
        return list(range(len(labels)))
    if axis in maps.attrs.get("averaged", ()):
        raise ArgumentError(
            f"{caller}: {axis}s were averaged while the model ran, so none can be chosen. "
            f"Look again with '{axis}' in keep=."
        )
    if isinstance(asked, slice):
        found = list(range(len(labels)))[asked]
    else:
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
    known: Mapping[str, xr.DataArray], wanted: LayerQuery, *, caller: str = "heatmap"
) -> list[str]:
    """The names of the wanted layers in running order, as `regard.layers` has them called.

    Raises:
        UnknownName: nothing is like one of the wanted.
        ArgumentError: layers were averaged, or none is wanted.

    Example:
        >>> one = xr.DataArray(0, attrs={"stage": "up"})
        >>> layers({"up_blocks.1": one, "up_blocks.10": one}, "up_blocks.1")
        ['up_blocks.1']
        >>> maps = {"coarse": xr.DataArray([[0]], dims=["y", "x"]), "fine": one}
        >>> layers(maps, "1x1"), layers(maps, -1)
        (['coarse'], ['fine'])
    """
    if wanted is None:
        return list(known)
    if any(LAYER in maps.attrs.get("averaged", ()) for maps in known.values()):
        raise ArgumentError(
            f"{caller}: layers were averaged while the model ran, so none can be chosen. "
            f"Look again with 'layer' in keep=."
        )
    there = [_told(name, maps) for name, maps in known.items()]
    return [layer.path for layer in chosen(there, wanted, caller=caller)]


def _told(name: str, maps: xr.DataArray) -> LayerInfo:
    return LayerInfo(
        name,
        kind=maps.attrs.get("kind") or "",
        stage=maps.attrs.get("stage") or "",
        grid=_grid(maps),
        heads=maps.sizes.get(HEAD, 0),
    )


def _grid(maps: xr.DataArray) -> str:
    """Rows and columns of a layer's image tokens, as in '16x16'; empty where it has none."""
    if Y in maps.dims and X in maps.dims:
        return f"{maps.sizes[Y]}x{maps.sizes[X]}"
    return "x".join(str(side) for side in maps.attrs.get("grid", ()))
