"""Which layers are awake: where the watch may sleep, since being seen by a function mode costs.

A layer is *idle* once it is known and nothing is wanted of it in this step: the watch sleeps
through it. A layer that calls the fused attention by its name *dozes*: the mode sleeps, and the
wrapper of that name sees the call.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from regard.tap.frame import Frame
from regard.tap.model import Site, kernel_of


class SleepPolicy:
    """What was learned about the layers of a model, and so where the watch may sleep.

    Attributes:
        due: Whether an edit or observer is for the current step.
    """

    def __init__(self) -> None:
        self.due = True
        self._known: set[str] = set()
        self._wanted: set[str] = set()
        self._named: dict[str, Any] = {}

    def idle(self, layer: str) -> bool:
        """Whether nothing is wanted of a layer now."""
        return layer in self._known and not (self.due and layer in self._wanted)

    def called_by_name(self, site: Site) -> bool:
        """Whether all attention of a module was called by name, and it has not changed since."""
        return site.layer in self._named and self._named[site.layer] == kernel_of(site.module)

    def wants(self, layer: str) -> bool:
        """Whether an edit or observer may be for a layer."""
        return layer in self._wanted

    def want(self, layer: str) -> None:
        """Keep a layer awake in steps that are due."""
        self._wanted.add(layer)

    def learn(self, frame: Frame, *, silent: bool) -> None:
        """Take from a module that has run what it is.

        Args:
            frame: What ran.
            silent: Whether it says that it is attention and has shown none; it may do so later.
        """
        layer = frame.site.layer
        if not silent:
            self._known.add(layer)
        if frame.index and not frame.by_name:
            self._named.pop(layer, None)
        elif frame.index and not frame.dozes:
            self._named[layer] = kernel_of(frame.site.module)

    @contextmanager
    def relearning(self, layers: Iterable[str]) -> Iterator[None]:
        """Learn again what is wanted of these layers, for other edits and observers meanwhile."""
        present = self.due, self._known, self._wanted
        self._known, self._wanted = self._known.difference(layers), set()
        try:
            yield
        finally:
            self.due, self._known, self._wanted = present
