"""Where and when a change of attention holds, as users say it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

from regard.arguments import listed as sequence
from regard.arguments import names, one_of, shown, whole_or_none
from regard.errors import ArgumentError
from regard.layers import LayerQuery, parts_of
from regard.methods.method import Run
from regard.tap import Select, layer_infos

CONDITIONS = ("cond", "uncond", "both")

Steps = SupportsIndex | range | Sequence[SupportsIndex] | None
"""One step, a range of them, or its two ends; None for all."""

Layers = LayerQuery
"""A path or whole names in it, a stage, a kind, a grid, a number, or several; None for all."""


@dataclass(frozen=True)
class Where:
    """Which layers, steps and half of the guidance are changed.

    Args:
        who: The method that asks, for messages.
        steps: One step, a range, or its first step and the one after its last; None for all.
        layers: A path or whole names in it, a stage, a kind, a grid, a number; None for all.
        stage: ``down``, ``mid`` or ``up``; None for all.
        kind: ``self``, ``cross`` or ``joint``; None for all.
        condition: ``cond``, the half that reads the prompt; ``uncond``, the other; or ``both``.

    Raises:
        ArgumentError: there is no such condition, stage or kind, or the steps end before they
            begin.
    """

    who: str
    steps: Steps = None
    layers: Layers = None
    stage: str | None = None
    kind: str | None = None
    condition: str = "cond"

    def __post_init__(self) -> None:
        one_of(self.condition, "condition", self.who, CONDITIONS)
        if self.layers is not None:
            parts_of(self.layers, self.who)
        object.__setattr__(self, "steps", _checked_steps(self.steps, self.who))
        if self.span is not None and not 0 <= self.span.start < self.span.stop:
            raise ArgumentError(
                f"{self.who}: steps {self.span.start}..{self.span.stop - 1} are none. Give a "
                f"first step from 0 and one after the last, such as [0, 10]."
            )
        self.select()

    @property
    def span(self) -> range | None:
        """The steps as a range; None for all."""
        if isinstance(self.steps, int):
            return range(self.steps, self.steps + 1)
        assert self.steps is None or isinstance(self.steps, range), "checked when it was made"
        return self.steps

    @property
    def first_step(self) -> int:
        """The step at which the change begins."""
        return 0 if self.span is None else self.span.start

    def select(self) -> Select:
        """The calls meant, as the tap chooses them.

        Raises:
            ArgumentError: there is no such kind or stage.
        """
        condition = None if self.condition == "both" else self.condition
        return Select(self.kind, self.layers, self.stage, steps=self.span, condition=condition)

    def select_in(self, run: Run, *, query: str | None = None, key: str | None = None) -> Select:
        """The calls meant in a run, of layers that have such queries and keys.

        Raises:
            ArgumentError: a step lies beyond the last, or there is no such attention.
            UnknownName: no layer is called so.
        """
        self.check(run)
        select = replace(self.select(), query=query, key=key)
        there = layer_infos(run.pipeline)
        select.check_among(there, self.who)
        return select.among(there, self.who)

    def check(self, run: Run) -> None:
        """Refuse what is not there in this run.

        Raises:
            ArgumentError: a step lies beyond the last, there is no attention in that stage, or no
                branch of the guidance that is asked for.
        """
        if self.span is not None and self.span.stop > run.steps:
            raise ArgumentError(
                f"{self.who}: step {self.span.stop - 1} is asked for, and the run has "
                f"{run.steps}: 0..{run.steps - 1}."
            )
        if self.condition == "uncond" and run.guidance <= 1:
            raise ArgumentError(
                f"{self.who}: condition is 'uncond', and with guidance {run.guidance:g} there is "
                f"no such half, so nothing would change. Raise guidance above 1, or ask for "
                f"'cond'."
            )
        if self.stage is not None:
            self._check_place(run)

    def _check_place(self, run: Run) -> None:
        there = {layer.stage for layer in layer_infos(run.pipeline) if layer.stage}
        if self.stage not in there:
            raise ArgumentError(
                f"{self.who}: stage is '{self.stage}', and {type(run.pipeline).__name__} has "
                f"attention in {', '.join(sorted(there)) or 'no stages'}. Name layers with "
                f"layers=, such as '{next(iter(run.layers), '')}'."
            )


def _checked_steps(steps: Any, who: str) -> int | range | None:
    """One step, or a range of them.

    Raises:
        ArgumentError: it is none of what `Steps` says.
    """
    if steps is None or isinstance(steps, range):
        return steps
    one = whole_or_none(steps)
    if one is not None:
        return one
    ends = None if isinstance(steps, str | bytes | bytearray) else sequence(steps)
    whole = [whole_or_none(end) for end in ends or ()]
    first, stop = whole if len(whole) == 2 else (None, None)
    if first is None or stop is None:
        raise ArgumentError(
            f"{who}: steps are {shown(steps)} and must be a step, or the first step and the one "
            f"after the last, such as [0, 10]."
        )
    return range(first, stop)


def listed(words: str | Sequence[str], who: str) -> list[str]:
    """Words as a list, also if there is one.

    Raises:
        ArgumentError: there is none, or one is no text.

    Example:
        >>> listed("cat", "drop")
        ['cat']
    """
    return names(words, "words", who, cure="Name at least one word of the prompt.")
