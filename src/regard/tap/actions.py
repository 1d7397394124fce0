"""What a tap does at each attention call: edits and observers, each for the calls it chose."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from regard.arguments import listed, shown
from regard.errors import ArgumentError
from regard.tap.call import AttentionCall
from regard.tap.select import Select

Action = tuple[Select, Callable[[AttentionCall], None]]


@dataclass(frozen=True)
class Actions:
    """The edits and observers of a tap.

    Attributes:
        observers: They see a call with its output.
        edits: They change a call before it is evaluated, in this order.
    """

    observers: Sequence[Action] = ()
    edits: Sequence[Action] = ()

    def edit(self, call: AttentionCall) -> None:
        """Let all edits for this call change it, each the rows that it was selected for."""
        for select, edit in self.edits:
            if select(call):
                call.selected = select.rows(call)
                edit(call)
                call.selected = slice(None)

    def observe(self, call: AttentionCall) -> None:
        """Show the call to all observers for it."""
        for select, observer in self.observers:
            if select(call):
                observer(call)

    def due_in(self, step: int) -> bool:
        """Whether any of them is for calls of this step."""
        return any(select.has_step(step) for select in self._selects())

    def concern(self, call: AttentionCall) -> bool:
        """Whether any of them is for the layer of this call, in some step."""
        return any(select.has_layer(call) for select in self._selects())

    @property
    def count_steps(self) -> bool:
        """Whether any of them is for some steps only."""
        return any(select.steps is not None for select in self._selects())

    def _selects(self) -> Iterator[Select]:
        return (select for select, _ in (*self.observers, *self.edits))


def as_actions(given: Any, name: str) -> list[Action]:
    """What users pass as ``observe`` or ``edit``, as pairs of a choice and a function.

    Raises:
        ArgumentError: it is no list, or an entry is neither a function nor such a pair.
    """
    several = None if isinstance(given, str | bytes) else listed(given)
    if several is None:
        raise ArgumentError(
            f"Tap: {name} is {shown(given)} and must be a list of functions of an AttentionCall, "
            f"or of pairs (Select(...), function)."
        )
    return [_action(entry) for entry in several]


def _action(entry: Any) -> Action:
    if isinstance(entry, tuple) and len(entry) == 2:
        select, function = entry
        if isinstance(select, Select) and callable(function):
            return select, function
    elif callable(entry):
        return Select(), entry
    raise ArgumentError(
        f"Tap: observe and edit hold {shown(entry)} and must hold functions of an AttentionCall, "
        f"or pairs (Select(...), function)."
    )
