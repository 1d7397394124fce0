"""What every query and key of an attention layer stands for: image, text, class token, register.

Shapes cannot tell: an image may have as many tokens as the text. Each model family therefore says
it once, in ``tap/families/<family>.py``, and a test perturbs inputs to check that it is true.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from regard.errors import ArgumentError, unknown
from regard.tap.families import FAMILIES

Grid = tuple[int, int]


@dataclass(frozen=True)
class Segment:
    """Neighbouring tokens of one kind.

    Attributes:
        name: "image", "text", "image_prompt", "cls", "distillation", "register", "probe" or
            "other".
        start: Index of the first token.
        stop: Index after the last token.
        grid: Rows and columns of the tokens, read row by row; None where there is no picture plane.

    Example:
        >>> len(Segment("image", 1, 7, grid=(2, 3)))
        6
    """

    name: str
    start: int
    stop: int
    grid: Grid | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """The tokens as a slice of the query or key axis."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class TokenLayout:
    """The segments that the queries and the keys of one attention layer consist of.

    Attributes:
        queries: Segments of the query axis, in order.
        keys: Segments of the key axis, in order.

    Example:
        >>> image, text = segments(("image", 6, (2, 3))), segments(("text", 4))
        >>> TokenLayout(image, text).kind
        'cross'
        >>> TokenLayout(image, text).keys_of("text")
        Segment(name='text', start=0, stop=4, grid=None)
    """

    queries: tuple[Segment, ...]
    keys: tuple[Segment, ...]

    @cached_property
    def kind(self) -> str:
        """'cross' if none attends to its kind, 'joint' if keys are image and text, or 'self'."""
        asked = {segment.name for segment in self.keys}
        if asked.isdisjoint(segment.name for segment in self.queries):
            return "cross"
        return "joint" if {"image", "text"} <= asked else "self"

    def queries_of(self, name: str) -> Segment:
        """The query segment of this name.

        Raises:
            UnknownName: the queries have no such segment; the message lists those there are.
        """
        return _named("query segment", name, self.queries)

    def keys_of(self, name: str) -> Segment:
        """The key segment of this name.

        Raises:
            UnknownName: the keys have no such segment; the message lists those there are.
        """
        return _named("key segment", name, self.keys)

    def has(self, *, query: str | None = None, key: str | None = None) -> bool:
        """Whether some queries are of kind ``query`` and some keys of kind ``key``; None for any.

        Example:
            >>> image, text = segments(("image", 6)), segments(("text", 4))
            >>> TokenLayout(image, text).has(query="image", key="text")
            True
        """
        asked = query is None or any(segment.name == query for segment in self.queries)
        return asked and (key is None or any(segment.name == key for segment in self.keys))


@dataclass(frozen=True)
class LayerShape:
    """What a family is told about one attention call.

    Attributes:
        layer: Dotted path of the module.
        index: 0 for the first attention inside one forward of that module, 1 for the second.
        queries: Number of queries.
        keys: Number of keys.
    """

    layer: str
    index: int
    queries: int
    keys: int


Layout = Callable[[nn.Module, Mapping[str, Any], LayerShape], TokenLayout]
"""``layout(model, inputs, shape)``; inputs are the arguments of the model's forward by name."""


@dataclass(frozen=True)
class Family:
    """Models whose attention layers are laid out alike.

    Attributes:
        layout: Says what queries and keys are.
        place: 'down', 'mid' or 'up' for a layer's path; None where a family has no such thing.
    """

    layout: Layout
    place: Callable[[str], str | None] = lambda layer: None


_added: dict[str, Family] = {}


def layout_for(
    *classes: str, place: Callable[[str], str | None] | None = None
) -> Callable[[Layout], Layout]:
    """Register a layout for model classes of your own, by class name.

    Args:
        classes: Names of ``nn.Module`` classes; subclasses are covered too.
        place: Says which part of the model a layer's path lies in; may be left out.

    Returns:
        A decorator for a function ``layout(model, inputs, shape) -> TokenLayout``.

    Raises:
        ArgumentError: one of the classes already has a layout.

    Example:
        >>> @layout_for("PixelTransformer")
        ... def pixels(model, inputs, shape):
        ...     image = segments(("image", shape.queries, inputs["x"].shape[-2:]))
        ...     return TokenLayout(image, image)
        >>> forget_layout("PixelTransformer")
    """
    taken = [name for name in classes if name in FAMILIES or name in _added]
    if taken:
        raise ArgumentError(
            f"layout_for: {', '.join(taken)} has a layout already. Subclass it or pass layout= "
            f"to Tap."
        )

    def register(layout: Layout) -> Layout:
        family = Family(layout, place) if place else Family(layout)
        _added.update(dict.fromkeys(classes, family))
        return layout

    return register


def forget_layout(*classes: str) -> None:
    """Take back what ``layout_for`` registered for these class names."""
    for name in classes:
        _added.pop(name, None)


def family_of(model: nn.Module) -> Family | None:
    """The family of a model, looked up by class name along the MRO; None if it is unknown."""
    for kind in type(model).__mro__:
        if kind.__name__ in _added:
            return _added[kind.__name__]
        if kind.__name__ in FAMILIES:
            family: Family = importlib.import_module(FAMILIES[kind.__name__]).FAMILY
            return family
    return None


def segments(*parts: tuple[str, int] | tuple[str, int, Grid | None]) -> tuple[Segment, ...]:
    """Segments laid end to end; parts of length 0 are left out.

    Args:
        parts: Name, length and, for a picture plane, its (rows, columns).

    Returns:
        The segments with their starts and stops.

    Raises:
        ArgumentError: a grid does not have as many cells as the segment has tokens.

    Example:
        >>> segments(("cls", 1), ("register", 0), ("image", 6, (2, 3)))[1]
        Segment(name='image', start=1, stop=7, grid=(2, 3))
    """
    laid: list[Segment] = []
    start = 0
    for name, length, *grid in parts:
        plane = grid[0] if grid else None
        if plane is not None and plane[0] * plane[1] != length:
            raise ArgumentError(
                f"segments: '{name}' has {length} tokens, but its grid is {plane[0]} x {plane[1]}. "
                f"Their product must be the number of tokens."
            )
        if length:
            laid.append(Segment(name, start, start + length, plane))
        start += length
    return tuple(laid)


def _named(kind: str, name: str, among: tuple[Segment, ...]) -> Segment:
    for segment in among:
        if segment.name == name:
            return segment
    raise unknown(kind, name, [segment.name for segment in among])
