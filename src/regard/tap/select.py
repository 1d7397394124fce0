"""Which attention calls an observer or an edit is for."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from regard.errors import ArgumentError
from regard.tap.call import AttentionCall

KINDS = ("self", "cross", "joint")
PLACES = ("down", "mid", "up")


@dataclass(frozen=True)
class Select:
    """Chooses calls; what is left out is not asked about.

    Attributes:
        kind: 'self', 'cross' or 'joint'.
        layers: Names in a layer's path, or several of which one must match, or a function of the
            path; see `has_names`.
        place: 'down', 'mid' or 'up'.
        query: What some queries are, such as 'image'; see `TokenLayout`.
        key: What some keys are, such as 'text'.
        steps: Which of the steps asked for: an int, or anything that can be asked
            ``step in steps``. All evaluations of a step are meant.
        condition: 'uncond' or 'cond': calls that have such rows. An edit then changes only them.
        sample: Which image of the batch: calls that have it. An edit then changes only its rows.
        when: Any other question to the call.

    Raises:
        ArgumentError: there is no such kind or place.

    Example:
        >>> early = Select(kind="cross", steps=range(10), condition="cond")
        >>> Select(kind="X")
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: Select: kind is 'X' and must be one of self, cross, joint.
    """

    kind: str | None = None
    layers: str | Iterable[str] | Callable[[str], bool] | None = None
    place: str | None = None
    query: str | None = None
    key: str | None = None
    steps: int | Container[int] | None = None
    condition: str | None = None
    sample: int | None = None
    when: Callable[[AttentionCall], bool] | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("kind", self.kind, KINDS), ("place", self.place, PLACES)):
            if value is not None and value not in known:
                raise ArgumentError(
                    f"Select: {what} is '{value}' and must be one of {', '.join(known)}."
                )
        if isinstance(self.layers, Iterable) and not isinstance(self.layers, str):
            object.__setattr__(self, "layers", tuple(self.layers))

    def __call__(self, call: AttentionCall) -> bool:
        """Whether this call is chosen.

        Raises:
            ArgumentError: what tokens are is asked of a model of no known family, or a condition
                where it is not known which rows read the prompt.
        """
        return (
            self.has_step(call.step)
            and self.has_layer(call)
            and (self.condition is None or self.condition in call.known_conditions("Select"))
            and (self.sample is None or self.sample < call.images)
            and (self.when is None or self.when(call))
        )

    def rows(self, call: AttentionCall) -> slice:
        """The rows of the batch that verbs change: those of condition and sample, or all.

        Example:
            >>> import torch
            >>> from regard.tap.weights import Fused
            >>> q, labels = torch.zeros(4, 1, 2, 4), ("uncond",) * 2 + ("cond",) * 2
            >>> call = AttentionCall(Fused(q, q), q, conditions=labels)
            >>> Select(sample=1).rows(call), Select(condition="cond", sample=1).rows(call)
            (slice(1, None, 2), slice(3, 4, None))
        """
        if self.condition is None:
            return slice(None) if self.sample is None else slice(self.sample, None, call.images)
        rows = call.rows_of(self.condition)
        if self.sample is None or rows.start == rows.stop:
            return rows
        return slice(rows.start + self.sample, rows.start + self.sample + 1)

    def has_step(self, step: int) -> bool:
        """Whether calls of a step are chosen, as far as its number tells.

        Example:
            >>> Select(steps=range(10)).has_step(10), Select().has_step(10)
            (False, True)
        """
        if self.steps is None:
            return True
        return step == self.steps if isinstance(self.steps, int) else step in self.steps

    def has_layer(self, call: AttentionCall) -> bool:
        """Whether calls like this are chosen at any time: by their layer, its place and tokens.

        Raises:
            ArgumentError: what tokens are is asked of a model of no known family.
        """
        return (
            (self.place is None or call.place == self.place)
            and self._has_path(call.layer)
            and (self.kind is None or call.kind == self.kind)
            and ((self.query is None and self.key is None) or self._has_tokens(call))
        )

    def _has_tokens(self, call: AttentionCall) -> bool:
        return call.known_layout("Select").has(query=self.query, key=self.key)

    def _has_path(self, layer: str) -> bool:
        if self.layers is None:
            return True
        if callable(self.layers):
            return self.layers(layer)
        parts = (self.layers,) if isinstance(self.layers, str) else self.layers
        return any(has_names(layer, part) for part in parts)


TO_TEXT = Select(query="image", key="text")
"""Calls in which the image reads the text."""


def has_names(layer: str, part: str) -> bool:
    """Whether a layer's path has these names, whole and in this order: 'blocks.1' is not in 10's.

    Example:
        >>> has_names("up_blocks.1.attn1", "up_blocks.1"), has_names("blocks.10.attn", "blocks.1")
        (True, False)
    """
    return f".{part}." in f".{layer}."
