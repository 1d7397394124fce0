"""Opening and closing that an interrupt cannot split.

``KeyboardInterrupt`` may come at any line, also at those that open or close. Three rules keep
everything paired: a release is registered before that which it releases; it may run twice, and is
registered twice, so that an interrupt in the one leaves the other; and what runs releases is the
``ExitStack`` of the standard library, so that no line of ours stands between a block and its end.
"""

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import ContextDecorator, ExitStack
from typing import Any

_lock = threading.RLock()


class alone(ContextDecorator):  # noqa: N801  a decorator
    """One thread at a time in all functions that are decorated with it.

    The lines that take and give back the lock are those of the standard library and of C: an
    interrupt at the end of a ``with`` of ours would keep it.
    """

    __enter__ = staticmethod(_lock.__enter__)
    __exit__ = staticmethod(_lock.__exit__)


class Opened(ExitStack):
    """A context manager that opens in ``open``, and closes what was opened however that ends."""

    def open(self) -> None:
        """Open; every release is registered on this stack before that which it releases."""
        raise NotImplementedError

    def __enter__(self) -> "Opened":
        try:
            self.open()
            return self
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise


def releasing(opened: ExitStack, release: Callable[[], Any]) -> None:
    """Release at the end, twice: an interrupt in the first time leaves the second.

    Args:
        opened: What ends.
        release: Does no harm if there is nothing to release.

    Example:
        >>> held = [1]
        >>> with ExitStack() as opened:
        ...     releasing(opened, held.clear)
        >>> held
        []
    """
    opened.callback(release)
    opened.callback(release)


class shadowed(Opened):  # noqa: N801  used as a function
    """Put a wrapper in front of one object's method, and afterwards exactly what was there before.

    Args:
        owner: The object.
        name: Of its method.
        wrap: Gets the method and returns what stands in front of it.

    Example:
        >>> class Owner:
        ...     def greet(self):
        ...         return "hello"
        >>> owner = Owner()
        >>> with shadowed(owner, "greet", lambda old: lambda: old().upper()):
        ...     owner.greet()
        'HELLO'
        >>> vars(owner)
        {}
    """

    def __init__(
        self, owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        super().__init__()
        self._owner, self._name, self._wrap = owner, name, wrap

    def open(self) -> None:
        """Put the wrapper there."""
        shadow(self, self._owner, self._name, self._wrap)


def shadow(
    opened: ExitStack,
    owner: Any,
    name: str,
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """As `shadowed`, until another context ends."""
    present = getattr(owner, name)
    releasing(opened, functools.partial(_put_back, owner, name, vars(owner).get(name)))
    vars(owner)[name] = functools.wraps(present)(wrap(present))


def _put_back(owner: Any, name: str, own: Any) -> None:
    if own is None:
        vars(owner).pop(name, None)
    else:
        vars(owner)[name] = own
