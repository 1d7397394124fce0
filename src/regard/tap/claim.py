"""One thread at a time on one pipeline: its scheduler counts for one generation alone."""

import threading
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from regard.errors import ArgumentError
from regard.tap.opened import Opened, alone, releasing

_held: dict[int, dict[object, int]] = {}
_turns: WeakKeyDictionary[Any, AbstractContextManager[Any]] = WeakKeyDictionary()


def claim(opened: ExitStack, pipeline: Any, user: object) -> None:
    """Keep other threads off a pipeline until ``opened`` closes; this thread may claim it again.

    Raises:
        ArgumentError: another thread has it.
    """
    releasing(opened, partial(_give_back, user))
    _take(pipeline, user)


class turn(Opened):  # noqa: N801  used as a function
    """Wait until no other thread takes its turn on a pipeline, and keep them off meanwhile.

    Args:
        pipeline: A pipeline of diffusers.

    Raises:
        ArgumentError: another thread has opened a tap of its own on it.
    """

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self._pipeline = pipeline

    def open(self) -> None:
        """Wait, and claim the pipeline."""
        self.enter_context(_turn_of(self._pipeline))
        claim(self, self._pipeline, self)


@alone()
def _turn_of(pipeline: Any) -> AbstractContextManager[Any]:
    try:
        return _turns.setdefault(pipeline.scheduler, threading.RLock())
    except TypeError:  # a scheduler of one's own that cannot be remembered weakly
        return nullcontext()


@alone()
def _take(pipeline: Any, user: object) -> None:
    here, things = threading.get_ident(), _shared(pipeline)
    for thing in things:
        if any(thread != here for thread in _held.get(id(thing), {}).values()):
            raise ArgumentError(
                f"Tap: {type(pipeline).__name__} is in use by another thread, and both would count "
                f"in the same {type(thing).__name__}. Take turns, or give each thread a pipeline "
                f"and a scheduler of its own."
            )
    for thing in things:
        _held.setdefault(id(thing), {})[user] = here


@alone()
def _give_back(user: object) -> None:
    for thing, users in list(_held.items()):
        users.pop(user, None)
        if not users:
            _held.pop(thing, None)


def _shared(pipeline: Any) -> list[Any]:
    """What a generation changes: the pipeline, its scheduler, models that note what they run in."""
    parts = pipeline.components.values() if hasattr(pipeline, "components") else ()
    noting = [part for part in parts if hasattr(part, "cache_context")]
    scheduler = getattr(pipeline, "scheduler", None)
    return [pipeline, *([] if scheduler is None else [scheduler]), *noting]
