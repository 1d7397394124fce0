"""What every query and key of an attention layer stands for: image, text, class token, register.

Shapes cannot tell: an image may have as many tokens as the text. Each model family therefore says
it once, in ``tap/families/<family>.py``, and a test perturbs inputs to check that it is true.
"""

import importlib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        name: "image", "text", "image_prompt", "cls", "distillation", "register", "probe", or
            "other" for what is not known.
        start: Index of the first token.
        stop: Index after the last token.
        grid: Rows and columns of the tokens, read row by row; None where there is no picture plane.

    Raises:
        ArgumentError: there is no token in it, an index is no whole number from 0 on, or the grid
            has not as many cells as there are tokens.

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


@dataclass(frozen=True)
class TokenLayout:
    """The segments that the queries and the keys of one attention layer consist of.

    Attributes:
        queries: Segments of the query axis, in order.
        keys: Segments of the key axis, in order.
        told: The kind, where the model says it and the segments do not, as keys of self-attention
            that are not known; None: it follows from the segments.

    Raises:
        ArgumentError: segments do not lie end to end from 0 on.

    Example:
        >>> image, text = segments(("image", 6, (2, 3))), segments(("text", 4))
        >>> TokenLayout(image, text).kind
        'cross'
        >>> TokenLayout(image, text).keys_of("text")
        Segment(name='text', start=0, stop=4, grid=None)
    """

    queries: tuple[Segment, ...]
    keys: tuple[Segment, ...]
    told: str | None = None

    def __post_init__(self) -> None:
        for axis in (self.queries, self.keys):
            stops = [0, *(segment.stop for segment in axis)]
            if [segment.start for segment in axis] != stops[:-1]:
                raise ArgumentError(
                    f"TokenLayout: {_listed(axis)} start at "
                    f"{', '.join(str(segment.start) for segment in axis)} and must lie end to end "
                    f"from 0 on. regard.tap.segments lays them so."
                )

    @cached_property
    def kind(self) -> str:
        """'cross' if none attends to its kind, 'joint' if keys are image and text, or 'self'."""
        if self.told is not None:
            return self.told
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
        module: The module itself, which may say what it attends to.
    """

    layer: str
    index: int
    queries: int
    keys: int
    module: nn.Module | None = field(default=None, compare=False, repr=False)


Layout = Callable[[nn.Module, Mapping[str, Any], LayerShape], TokenLayout | None]
"""``layout(model, inputs, shape)``; inputs are the arguments of the model's forward by name. It may
return None for a layer whose tokens are not known."""


@dataclass(frozen=True)
class Family:
    """Models whose attention layers are laid out alike.

    Attributes:
        layout: Says what queries and keys are.
        stage: 'down', 'mid' or 'up' for a layer's path; None where a family has no stages.
    """

    layout: Layout
    stage: Callable[[str], str | None] = lambda layer: None

    def laid(
        self, model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape
    ) -> TokenLayout | None:
        """The layout of one call, which has as many queries and keys as the call has.

        Raises:
            ArgumentError: it has not: the layout of this model does not fit this layer.
        """
        try:
            layout = self.layout(model, inputs, shape)
        except ArgumentError as wrong:
            raise _unfit(model, shape, str(wrong)) from wrong
        if layout is not None:
            for what, axis, count in (
                ("queries", layout.queries, shape.queries),
                ("keys", layout.keys, shape.keys),
            ):
                if not axis or axis[-1].stop != count:
                    told = axis[-1].stop if axis else 0
                    why = f"it says {told} {what} ({_listed(axis)}), and the layer has {count}."
                    raise _unfit(model, shape, why)
        return layout


_added: dict[str, Family] = {}


def layout_for(
    *classes: str, stage: Callable[[str], str | None] | None = None
) -> Callable[[Layout], Layout]:
    """Register a layout for model classes of your own, by class name.

    Args:
        classes: Names of ``nn.Module`` classes; subclasses are covered too.
        stage: From a layer's path to its UNet stage; None if there are no stages.

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
        family = Family(layout, stage) if stage else Family(layout)
        _added.update(dict.fromkeys(classes, family))
        return layout

    return register


def forget_layout(*classes: str) -> None:
    """Take back what ``layout_for`` registered for these class names."""
    for name in classes:
        _added.pop(name, None)


def family_of(model: nn.Module) -> Family | None:
    """The family of a model, looked up by class name along the MRO; None if it is unknown."""
    for kind in type(uncompiled_of(model)).__mro__:
        if kind.__name__ in _added:
            return _added[kind.__name__]
        if kind.__name__ in FAMILIES:
            family: Family = importlib.import_module(FAMILIES[kind.__name__]).FAMILY
            return family
    return None


def uncompiled_of(model: Any) -> Any:
    """The model inside one that ``torch.compile`` has made of it; any other as it is."""
    return vars(model).get("_modules", {}).get("_orig_mod", model)


def segments(*parts: Any) -> tuple[Segment, ...]:
    """Segments laid end to end; parts of length 0 are left out.

    Args:
        parts: Tuples of name, length and, for a picture plane, its (rows, columns).

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


def has_image_prompt(module: nn.Module | None) -> bool:
    """Whether further calls of an attention layer are those of IP-Adapter, by its processor."""
    processor = getattr(module, "processor", None)
    return hasattr(processor, "to_k_ip") or "IPAdapter" in type(processor).__name__


def _named(kind: str, name: str, among: tuple[Segment, ...]) -> Segment:
    for segment in among:
        if segment.name == name:
            return segment
    raise unknown(kind, name, [segment.name for segment in among])


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


def _listed(axis: tuple[Segment, ...]) -> str:
    return " + ".join(f"{segment.name}:{len(segment)}" for segment in axis) or "nothing"


def _unfit(model: nn.Module, shape: LayerShape, why: str) -> ArgumentError:
    return ArgumentError(
        f"layout of {type(model).__name__} does not fit layer {shape.layer}: {why} Where tokens "
        f"are merged, left out or added on the way, or positions are not those of this size, pass "
        f"Tap a layout= of your own; it may return None for a layer that is not known."
    )
