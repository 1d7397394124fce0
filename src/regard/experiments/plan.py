"""What an experiment will do: its cases, each done and kept separately, and their result."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from regard.experiments.meter import Meter, Progress
from regard.experiments.result import Kind, Result
from regard.experiments.store import Done


@runtime_checkable
class Case(Protocol):
    """The smallest part of an experiment that is done, scored and kept separately."""

    @property
    def name(self) -> Hashable:
        """What identifies it among the cases of a plan, such as a prompt and a seed."""


OneCase = TypeVar("OneCase", bound=Case)
Found = TypeVar("Found", bound=Result)


class Plan(ABC, Generic[OneCase, Found]):
    """Everything that decides what an experiment gives; `regard.experiments.run.run` does it.

    Attributes:
        kind: Of the experiment.
        cases: In the order of the table.
        recipe: With what all is made, as plain JSON values.
        grows: What in the recipe may differ between plans of one store: cases that both have are
            done once.
    """

    kind: Kind
    cases: Sequence[OneCase]
    recipe: dict[str, Any]
    grows: ClassVar[Collection[str]] = ()

    @abstractmethod
    def decides(self, case: OneCase) -> Any:
        """All that decides what a case gives, as plain JSON values; other cases do not."""

    @abstractmethod
    def work(
        self, cases: Sequence[OneCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Do some cases.

        Args:
            cases: One group of those that `groups` gives, less what is finished.
            finished: Gives what a case of an earlier group gave, by its name.
            meter: Counts what is done.

        Returns:
            What each case gave.
        """

    @abstractmethod
    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Found:
        """What the experiment found, once all is done.

        Args:
            rows: Of all cases, in order.
            recipe: That of the plan, with the seconds it took.
            cases: What each case gave, by its name.
        """

    def meter(self, progress: Progress | None) -> Meter:
        """What counts the work; a case counts 1 unless the plan knows better."""
        return Meter(progress, len(self.cases))

    def groups(self) -> Iterator[list[OneCase]]:
        """Cases that are done together."""
        return ([case] for case in self.cases)

    def key(self, case: OneCase) -> str:
        """The name of a case in its store: a short SHA-256 of all that decides it."""
        return digest([self.kind.name, self.decides(case)])[:16]


def digest(told: Any) -> str:
    """The SHA-256 of plain JSON values.

    Example:
        >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
        True
    """
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
