"""Progress of an experiment: what is being done, how much is done, and how much there is."""

from collections.abc import Callable
from typing import Any

Progress = Callable[[str, int, int], Any]
"""Called with what is being done, how much of the work is done, and how much there is."""


class Meter:
    """Counts work in units of the experiment's own, such as images, and reports each change.

    Args:
        progress: Called at each change; None reports nothing. It may be set later.
        total: How much work there is, about.
        what: What is being done at first.

    Example:
        >>> meter = Meter(print, 10, "generating")
        >>> meter.add(4)
        generating 4 10
        >>> meter.begin("judging")
        judging 4 10
    """

    def __init__(self, progress: Progress | None, total: int, what: str = "") -> None:
        self.progress = progress
        self.total, self.what, self.done = total, what, 0

    def begin(self, what: str) -> None:
        """Name what is being done from now on."""
        self.what = what
        self._report(self.done)

    def add(self, amount: int) -> None:
        """Count work that is done."""
        self.done = min(self.total, self.done + amount)
        self._report(self.done)

    def share(self, amount: int) -> Callable[[int, int], None]:
        """For work that reports its own steps: reports the steps done as a share of an amount.

        The amount itself is counted by `add`, once it is done.

        Example:
            >>> Meter(print, 10).share(4)(1, 2)
             2 10
        """
        return lambda done, steps: self._report(min(self.total, self.done + done * amount // steps))

    def _report(self, done: int) -> None:
        if self.progress is not None:
            self.progress(self.what, done, self.total)


def counting(progress: Any) -> Any:
    """For a function that wants to know how much is done, and not what; anything else as it is.

    Example:
        >>> counting(print)("generating", 1, 2)
        1 2
        >>> counting(None)
    """
    if not callable(progress):
        return progress
    return lambda what, done, total: progress(done, total)
