"""What every query and key of an attention layer stands for: image, text, class token, register.

Shapes do not decide it: an image may have as many tokens as the text. Each model family therefore
says it once, in ``tap/families/<family>.py``, and a test perturbs inputs to check that it is true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from regard.errors import ArgumentError, unknown
from regard.tap.segment import Segment, spelled_out


@dataclass(frozen=True)
class TokenLayout:
    """The segments that the queries and the keys of one attention layer consist of.

    Attributes:
        queries: Segments of the query axis, in order.
        keys: Segments of the key axis, in order.
        known_kind: The kind, where the model says it and the segments do not, as for unknown keys
            of self-attention; None: it follows from the segments.

    Raises:
        ArgumentError: segments do not lie end to end from 0 on.

    Example:
        >>> from regard.tap import segments
        >>> image, text = segments(("image", 6, (2, 3))), segments(("text", 4))
        >>> TokenLayout(image, text).kind
        'cross'
        >>> TokenLayout(image, text).keys_of("text")
        Segment(name='text', start=0, stop=4, grid=None)
    """

    queries: tuple[Segment, ...]
    keys: tuple[Segment, ...]
    known_kind: str | None = None

    def __post_init__(self) -> None:
        for axis in (self.queries, self.keys):
            stops = [0, *(segment.stop for segment in axis)]
            if [segment.start for segment in axis] != stops[:-1]:
                raise ArgumentError(
                    f"TokenLayout: {spelled_out(axis)} start at "
                    f"{', '.join(str(segment.start) for segment in axis)} and must lie end to end "
                    f"from 0 on. regard.tap.segment lays them so."
                )

    @cached_property
    def kind(self) -> str:
        """'cross' if none attends to its kind, 'joint' if keys are image and text, or 'self'."""
        if self.known_kind is not None:
            return self.known_kind
        keys = {segment.name for segment in self.keys}
        if keys.isdisjoint(segment.name for segment in self.queries):
            return "cross"
        return "joint" if {"image", "text"} <= keys else "self"

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
            >>> from regard.tap import segments
            >>> image, text = segments(("image", 6)), segments(("text", 4))
            >>> TokenLayout(image, text).has(query="image", key="text")
            True
        """
        queries = query is None or any(segment.name == query for segment in self.queries)
        return queries and (key is None or any(segment.name == key for segment in self.keys))


@dataclass(frozen=True)
class LayerShape:
    """The facts of an attention call that a family needs.

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


def has_image_prompt(module: nn.Module | None) -> bool:
    """Whether further calls of an attention layer are those of IP-Adapter, by its processor."""
    processor = getattr(module, "processor", None)
    return hasattr(processor, "to_k_ip") or "IPAdapter" in type(processor).__name__


def _named(kind: str, name: str, among: tuple[Segment, ...]) -> Segment:
    for segment in among:
        if segment.name == name:
            return segment
    raise unknown(kind, name, [segment.name for segment in among])
