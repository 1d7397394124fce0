"""Matching what users say of layers with the layers of a model, and with the calls they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.errors import ArgumentError, UnknownName, unknown
from regard.layers import KINDS, LayerInfo, chosen, has_names, is_grid, names_among, parts_of
from regard.tap.call import AttentionCall


@dataclass(frozen=True)
class LayerPart:
    """A part of what was said of layers, once it is known what it is.

    Attributes:
        text: The path, or the names in it.
        whole: Whether it is a path.
    """

    text: str
    whole: bool


def as_parts(layers: Any) -> tuple[Any, ...]:
    """What a user says of layers, part by part; parts that are known already stay so.

    Raises:
        ArgumentError: a part is neither a text nor a whole number, or there is none.
    """
    if isinstance(layers, tuple) and layers and all(isinstance(part, LayerPart) for part in layers):
        return layers
    return tuple(parts_of(layers, "Select") or ())


def known_parts(
    part: Any, layers: Sequence[LayerInfo], left: Sequence[LayerInfo], caller: str
) -> list[Any]:
    """A number as paths, and a text as a path or as names if layers have it; else as it is.

    Args:
        part: A text, a number or a slice, or what is known already.
        layers: Those of the model, in running order.
        left: Those that the rest of the choice leaves, which numbers count.
        caller: The name of the calling function, for messages.

    Raises:
        ArgumentError: there is no layer with such a number.
    """
    if isinstance(part, LayerPart):
        return [part]
    if not isinstance(part, str):
        return [LayerPart(layer.path, whole=True) for layer in chosen(left, part, caller=caller)]
    found = names_among(layers, part)
    if not found:
        return [part]
    return [LayerPart(part, whole=any(layers[place].path == part for place in found))]


def is_meant(call: AttentionCall, part: Any) -> bool:
    """Whether a part of a choice of layers means the layer of this call.

    Raises:
        ArgumentError: it counts layers, and was not given a model.
    """
    if isinstance(part, LayerPart):
        return part.text == call.layer if part.whole else has_names(call.layer, part.text)
    if not isinstance(part, str):
        raise ArgumentError(
            f"Select: layers={part} counts layers in running order, which takes a model. Give "
            f"this choice to a Tap, or name the layer."
        )
    if part == call.layer or has_names(call.layer, part) or part == call.stage:
        return True
    if part in KINDS:
        pools = call.known_layout("Select").has(query="probe")
        return part == ("pool" if pools else call.kind)
    return is_grid(part) and part == _grid(call)


def can_be(part: str, layers: Sequence[LayerInfo]) -> bool:
    """Whether a text may be a stage, a kind or a grid of layers, of which not all is known yet."""
    stages = {layer.stage for layer in layers}
    kinds = {layer.kind for layer in layers}
    unknown_kind = "" in kinds and part in KINDS
    return bool(part) and (part in stages | kinds or unknown_kind or is_grid(part))


def no_such_layer(part: str, layers: Sequence[LayerInfo], advice: str) -> UnknownName:
    """The error for a name that no layer has."""
    return unknown("layer", part, [each.path for each in layers], advice=advice)


def _grid(call: AttentionCall) -> str:
    """Rows and columns of a layer's image tokens, as in '16x16'; empty where it has none."""
    layout = call.known_layout("Select")
    grids = [each.grid for each in (*layout.queries, *layout.keys) if each.name == "image"]
    return next((f"{grid[0]}x{grid[1]}" for grid in grids if grid is not None), "")
