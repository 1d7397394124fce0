"""Where and when a change of attention holds, as users say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regard.errors import ArgumentError, unknown
from regard.methods.method import Run
from regard.tap import Select, has_names, layer_places

CONDITIONS = ("cond", "uncond", "both")

Steps = int | range | Sequence[int] | None
"""One step, a range of them, or its two ends; None for all."""

Layers = str | Sequence[str] | None
"""Names in a layer's path, or several of which one must match; None for all."""


@dataclass(frozen=True)
class Where:
    """Which layers, steps and half of the guidance are changed.

    Args:
        who: The method that asks, for messages.
        steps: One step, a range, or its first step and the one after its last; None for all.
        layers: Names in a layer's path, such as ``up_blocks.1``, or several; None for all.
        place: ``down``, ``mid`` or ``up``; None for all.
        kind: ``self``, ``cross`` or ``joint``; None for all.
        condition: ``cond``, the half that reads the prompt; ``uncond``, the other; or ``both``.

    Raises:
        ArgumentError: there is no such condition, place or kind, or the steps end before they
            begin.
    """

    who: str
    steps: Steps = None
    layers: Layers = None
    place: str | None = None
    kind: str | None = None
    condition: str = "cond"

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise ArgumentError(
                f"{self.who}: condition is '{self.condition}' and must be one of "
                f"{', '.join(CONDITIONS)}."
            )
        if not isinstance(self.steps, int | range | None) and len(self.steps) != 2:
            raise ArgumentError(
                f"{self.who}: steps are {list(self.steps)} and must be the first step and the one "
                f"after the last, such as [0, 10]."
            )
        if self.span is not None and not 0 <= self.span.start < self.span.stop:
            raise ArgumentError(
                f"{self.who}: steps {self.span.start}..{self.span.stop - 1} are none. Give a "
                f"first step from 0 and one after the last, such as [0, 10]."
            )
        self.select()

    @property
    def span(self) -> range | None:
        """The steps as a range; None for all."""
        if self.steps is None or isinstance(self.steps, range):
            return self.steps
        if isinstance(self.steps, int):
            return range(self.steps, self.steps + 1)
        return range(*self.steps)

    @property
    def first_step(self) -> int:
        """The step at which the change begins."""
        return 0 if self.span is None else self.span.start

    def select(self) -> Select:
        """The calls meant, as the tap chooses them.

        Raises:
            ArgumentError: there is no such kind or place.
        """
        condition = None if self.condition == "both" else self.condition
        layers = self.layers if self.layers is None else self._parts()
        return Select(self.kind, layers, self.place, steps=self.span, condition=condition)

    def check(self, run: Run) -> None:
        """Refuse what is not there in this run.

        Raises:
            ArgumentError: a step lies beyond the last, or there is no attention in that place.
            UnknownName: no layer has such a path.
        """
        if self.span is not None and self.span.stop > run.steps:
            raise ArgumentError(
                f"{self.who}: step {self.span.stop - 1} is asked for, and the run has "
                f"{run.steps}: 0..{run.steps - 1}."
            )
        for part in self._parts():
            self._check_layer(part, run.layers)
        if self.place is not None:
            self._check_place(run)

    def _check_place(self, run: Run) -> None:
        there = {place for place in layer_places(run.pipeline).values() if place}
        if self.place not in there:
            raise ArgumentError(
                f"{self.who}: place is '{self.place}', and {type(run.pipeline).__name__} has "
                f"attention in {', '.join(sorted(there)) or 'no such places'}. Name layers with "
                f"layers=, such as '{next(iter(run.layers), '')}'."
            )

    def _parts(self) -> tuple[str, ...]:
        if self.layers is None:
            return ()
        return (self.layers,) if isinstance(self.layers, str) else tuple(self.layers)

    def _check_layer(self, part: str, layers: Mapping[str, int]) -> None:
        if not any(has_names(layer, part) for layer in layers):
            advice = f"{self.who} takes whole names of such a path, as many as you like."
            raise unknown("layer", part, layers, advice=advice)


def listed(words: str | Sequence[str], who: str) -> list[str]:
    """Words as a list, also if there is one.

    Raises:
        ArgumentError: there is none.

    Example:
        >>> listed("cat", "drop")
        ['cat']
    """
    several = [words] if isinstance(words, str) else list(words)
    if not several:
        raise ArgumentError(f"{who}: words are empty. Name at least one word of the prompt.")
    return several
