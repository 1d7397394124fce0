"""Which layers are meant: one grammar for traces, methods, explanations and the command line.

A layer is wanted by its exact path; else by whole names in its path (``blocks.1`` is not in
``blocks.10``); else by its stage (``down``, ``mid``, ``up``), its kind (``self``, ``cross``,
``joint``, ``pool``) or its grid (``16x16``). A number counts in running order, -1 is the last.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from regard.arguments import listed, shown, whole_or_none
from regard.errors import ArgumentError, unknown

STAGES = ("down", "mid", "up")
KINDS = ("self", "cross", "joint", "pool")

LayerQuery = str | SupportsIndex | slice | Iterable[str | SupportsIndex] | None
"""What users say of layers: a text, a number, a slice of numbers, or several; None for all."""


@dataclass(frozen=True)
class LayerInfo:
    """What an attention layer can be called by.

    Attributes:
        path: Dotted path of its module.
        kind: ``self``, ``cross``, ``joint`` or ``pool``; empty where it is not known.
        stage: ``down``, ``mid`` or ``up``; empty where a model has no such thing.
        grid: Rows and columns of its image tokens, as in ``16x16``; empty where it has none.
        heads: Their number; 0 where it is not known.
    """

    path: str
    kind: str = ""
    stage: str = ""
    grid: str = ""
    heads: int = 0


def has_names(layer: str, part: str) -> bool:
    """Whether a layer's path has these names, whole and in this order: 'blocks.1' is not in 10's.

    Example:
        >>> has_names("up_blocks.1.attn1", "up_blocks.1"), has_names("blocks.10.attn", "blocks.1")
        (True, False)
    """
    return f".{part}." in f".{layer.partition('#')[0]}."


def parts_of(wanted: Any, caller: str) -> list[str | int | slice] | None:
    """What was said of layers, part by part; None for all.

    Raises:
        ArgumentError: a part is neither a text nor a whole number, or there is none.

    Example:
        >>> parts_of("up", "heatmap"), parts_of([0, "mid"], "heatmap"), parts_of(range(2), "x")
        (['up'], [0, 'mid'], [0, 1])
    """
    if wanted is None:
        return None
    if isinstance(wanted, Mapping) and set(wanted) == {"start", "stop", "step"}:
        wanted = slice(wanted["start"], wanted["stop"], wanted["step"])  # as recipes have it
    if isinstance(wanted, slice):
        ends = (wanted.start, wanted.stop, wanted.step)
        if wanted.step != 0 and all(end is None or whole_or_none(end) is not None for end in ends):
            return [wanted]
        raise _no_layers(wanted, caller)
    one = _part(wanted)
    if one is not None:
        return [one]
    several = None if isinstance(wanted, bytes | bytearray) else listed(wanted)
    if several is None:
        raise _no_layers(wanted, caller)
    if not several:
        raise ArgumentError(f"{caller}: layers=[] chooses nothing. Choose at least one, or None.")
    parts = [_part(each) for each in several]
    if None in parts:
        raise _no_layers(wanted, caller)
    return [part for part in parts if part is not None]


def chosen(
    layers: Sequence[LayerInfo], wanted: Any, *, caller: str, noun: str = "layer"
) -> list[LayerInfo]:
    """The wanted layers, in running order.

    Args:
        layers: The layers of the model, in running order.
        wanted: What a user said of them; see `LayerQuery`. None for all.
        caller: The function to name in errors.
        noun: What they are, for messages.

    Returns:
        Each layer at most once.

    Raises:
        UnknownName: no layer is called so.
        ArgumentError: there is no layer with this number, or it is no name and no number at all.

    Example:
        >>> there = [LayerInfo("blocks.1", stage="down"), LayerInfo("blocks.10", stage="up")]
        >>> [layer.path for layer in chosen(there, "blocks.1", caller="doctest")]
        ['blocks.1']
        >>> [layer.path for layer in chosen(there, "up", caller="doctest")]
        ['blocks.10']
        >>> [layer.path for layer in chosen(there, -1, caller="doctest")]
        ['blocks.10']
    """
    parts = parts_of(wanted, caller)
    if parts is None:
        return list(layers)
    places: set[int] = set()
    for part in parts:
        places.update(_places(layers, part, caller, noun))
    return [layers[place] for place in sorted(places)]


def one_layer(
    layers: Sequence[LayerInfo], wanted: Any, *, caller: str, name: str = "layer"
) -> LayerInfo:
    """The only layer that is called so.

    Raises:
        UnknownName: no layer is called so.
        ArgumentError: several are, or there is no layer with this number.

    Example:
        >>> one_layer([LayerInfo("blocks.1.attn")], "blocks.1", caller="doctest").path
        'blocks.1.attn'
    """
    if not isinstance(wanted, str) and whole_or_none(wanted) is None:
        raise ArgumentError(
            f"{caller}: {name} is {shown(wanted)} and must be the path of one layer, names in it, "
            f"or its place in running order, such as -1."
        )
    found = chosen(layers, wanted, caller=caller)
    if len(found) > 1:
        paths = ", ".join(layer.path for layer in found)
        raise ArgumentError(
            f"{caller}: {wanted!r} is a part of {len(found)} layers: {paths}. Name one."
        )
    return found[0]


def is_grid(part: str) -> bool:
    """Whether a text is a grid, as in ``16x16``.

    Example:
        >>> is_grid("16x16"), is_grid("16")
        (True, False)
    """
    return re.fullmatch(r"[0-9]+x[0-9]+", part) is not None


def names_among(layers: Sequence[LayerInfo], part: str) -> list[int]:
    """Where the layers lie whose path is this or, if none is, has these names.

    Example:
        >>> names_among([LayerInfo("a"), LayerInfo("a.b")], "a")
        [0]
        >>> names_among([LayerInfo("c.a"), LayerInfo("a.b")], "a")
        [0, 1]
    """
    exact = [place for place, layer in enumerate(layers) if layer.path == part]
    named = [place for place, layer in enumerate(layers) if has_names(layer.path, part)]
    return exact or named


def _places(
    layers: Sequence[LayerInfo], part: str | int | slice, caller: str, noun: str
) -> list[int]:
    if isinstance(part, slice):
        found = list(range(len(layers)))[part]
        if not found:
            raise ArgumentError(
                f"{caller}: layers={shown(part)} chooses none of {_numbers(layers)}. Choose at "
                f"least one."
            )
        return found
    if isinstance(part, int):
        if not -len(layers) <= part < len(layers):
            raise ArgumentError(
                f"{caller}: {noun} is {part}, and there are {_numbers(layers)}; -1 is the last."
            )
        return [part % len(layers)]
    found = names_among(layers, part)
    found = found or [place for place, layer in enumerate(layers) if _has_trait(layer, part)]
    if not found:
        raise unknown(noun, part, [layer.path for layer in layers], advice=traits_of(layers))
    return found


def traits_of(layers: Sequence[LayerInfo]) -> str:
    """What layers can be called by beside their paths, as a sentence.

    Example:
        >>> traits_of([LayerInfo("mid_block.attn2", "cross", "mid", "4x4")])
        'Whole names in a path, mid, cross or a grid will do: 4x4.'
    """
    stages = [stage for stage in STAGES if any(layer.stage == stage for layer in layers)]
    kinds = [kind for kind in KINDS if any(layer.kind == kind for layer in layers)]
    grids = list(dict.fromkeys(layer.grid for layer in layers if layer.grid))
    said = ["Whole names in a path", *stages, *kinds]
    if grids:
        return f"{', '.join(said)} or a grid will do: {', '.join(grids)}."
    return f"{', '.join(said)} will do." if len(said) > 1 else f"{said[0]} will do."


def _has_trait(layer: LayerInfo, part: str) -> bool:
    return bool(part) and part in (layer.stage, layer.kind, layer.grid)


def _part(value: Any) -> str | int | None:
    return value if isinstance(value, str) else whole_or_none(value)


def _numbers(layers: Sequence[LayerInfo]) -> str:
    return f"layers 0..{len(layers) - 1}" if layers else "no layers"


def _no_layers(wanted: Any, caller: str) -> ArgumentError:
    return ArgumentError(
        f"{caller}: layers is {shown(wanted)} and must be a name, a number, a slice, or several "
        f"names and numbers, such as 'up', 'blocks.1', '16x16', -1 or [0, 'mid']."
    )
