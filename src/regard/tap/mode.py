"""The one seam: a function mode that sees every call of a torch function in this thread.

Being seen costs, so where the fused attention is known to be called by its name in
``torch.nn.functional``, as most libraries do, the mode sleeps and a wrapper of that name sees it.
"""

import sys
import threading
import types
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,
    _pop_mode,
    _push_mode,
)

from regard.tap.opened import alone, releasing, shadow

Handler = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def transparent(function: types.FunctionType) -> types.FunctionType:
    """The function with its question "is this call overridden?" answered no.

    These functions can be overridden themselves, and a mode is off inside its own handler. Without
    this, the attention inside ``nn.MultiheadAttention``, and the recomputation of gradient
    checkpoints during backward, would not be seen; an edit would then silently be missing from the
    gradient.
    """
    no = {"has_torch_function": lambda _: False, "has_torch_function_unary": lambda _: False}
    code, names = function.__code__, {**function.__globals__, **no}
    twin = types.FunctionType(
        code, names, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


TRANSPARENT = {
    function: transparent(function)
    for function in (
        functional.multi_head_attention_forward,
        torch.Tensor.backward,
        torch.autograd.backward,
        torch.autograd.grad,
    )
}


class Watch(TorchFunctionMode):
    """Hands calls of some torch functions to handlers; all others run as they are.

    Args:
        handlers: By function.
        dozing: Handles the fused attention called by name while the watch sleeps.

    Attributes:
        following: Handles all other functions; None, which is quicker, until there is something to
            follow.
        by_name: Whether the fused attention that is handled now was called by name.
    """

    def __init__(self, handlers: Mapping[Callable[..., Any], Handler], dozing: Handler) -> None:
        super().__init__()
        self.following: Handler | None = None
        self.by_name = False
        self._asleep: tuple[int, Any] | None = None
        self._outer: Watch | None = None
        self._outer_slept: Any = None
        self._handlers = dict.fromkeys(TRANSPARENT, self._look_inside) | dict(handlers)
        self._dozing = dozing

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See one call; what handlers call in turn is not seen again."""
        handler = self._handlers.get(func, self.following)
        if handler is None:
            return func(*args, **(kwargs or {}))
        return handler(func, args, kwargs or {})

    def called_by_name(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See one call of the fused attention by its name in ``torch.nn.functional``."""
        if self.by_name:  # what handlers call in turn is not seen again
            return func(*args, **kwargs)
        self.by_name = True
        try:
            if self.asleep is None:
                return func(*args, **kwargs)  # the mode sees it
            return self._dozing(func, args, kwargs)
        finally:
            self.by_name = False

    def _look_inside(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self:
            return TRANSPARENT[func](*args, **kwargs)

    @property
    def here(self) -> bool:
        """Whether it watches this thread (and not another), be it asleep."""
        return self.asleep is not None or self in _get_current_function_mode_stack()

    @property
    def asleep(self) -> Any:
        """During what it sleeps in this thread, a module or itself; None if it does not."""
        if self._asleep is None or self._asleep[0] != threading.get_ident():
            return None
        return self._asleep[1]

    def sleep(self, during: object) -> bool:
        """Step aside, until a module or another of its parts wakes it; being seen costs.

        Only if no other watch is open in this thread, so that nested ones keep their order, and no
        mode was entered later, which would be taken off instead.
        """
        only = _here.watch is self and self._outer is None
        if not only or _get_current_function_mode_stack()[-1:] != [self]:
            return False
        self._asleep = (threading.get_ident(), during)
        _pop_mode()
        return True

    def wake(self) -> None:
        """Come back, if asleep in this thread."""
        if self.asleep is not None:
            if self not in _get_current_function_mode_stack():
                self.__enter__()
            self._asleep = None

    def __exit__(self, *raised: object) -> None:
        """Step down, if nothing was entered later; an interrupt may have left it asleep here."""
        if _get_current_function_mode_stack()[-1:] == [self]:
            super().__exit__(*raised)

    def open(self, opened: ExitStack) -> None:
        """Watch this thread, asleep until a module wakes it; an outer watch is awake meanwhile."""
        outer = self._outer = getattr(_here, "watch", None)
        self._outer_slept = None if outer is None else outer.asleep
        releasing(opened, self._close)
        _named.open(opened, self)
        if outer is not None:
            outer.wake()
        _here.watch = self
        self.__enter__()
        self.sleep(during=self)

    def _close(self) -> None:
        """Leave this thread, and give it back to the outer watch; twice does no harm."""
        self._asleep = None  # an interrupt runs no hooks, so it may be either
        while _get_current_function_mode_stack()[-1:] == [self]:
            _pop_mode()
        if self in _get_current_function_mode_stack():
            self._leave_from_below()
        outer = self._outer
        if getattr(_here, "watch", None) is self:
            _here.watch = outer
        if outer is not None and self._outer_slept is not None:
            outer.sleep(during=self._outer_slept)
        self._outer = None

    def _leave_from_below(self) -> None:
        """Leave the stack where someone else's mode was entered later and not left."""
        stack = _get_current_function_mode_stack()
        for _ in stack:
            _pop_mode()
        for mode in stack:
            if mode is not self:
                _push_mode(mode)


def in_backward() -> bool:
    """Whether autograd is running in this thread, and a forward is only recomputed."""
    return torch._C._current_graph_task_id() != -1


class _Shared:
    """What belongs to the process: opened for the first user in any thread, closed by the last."""

    def __init__(self, start: Callable[[ExitStack], Any]) -> None:
        self._start = start
        self._users: set[object] = set()
        self._started = False
        self._opened = ExitStack()

    def open(self, opened: ExitStack, user: object) -> None:
        """Open it for a user, until ``opened`` closes."""
        releasing(opened, partial(self._left, user))
        self._joined(user)

    @alone()
    def _joined(self, user: object) -> None:
        self._users.add(user)
        if not self._started:
            self._opened.close()  # what an interrupt has left of an earlier start
            self._start(self._opened)
            self._started = True

    @alone()
    def _left(self, user: object) -> None:
        self._users.discard(user)
        if not self._users:
            self._started = False
            self._opened.close()


def _reporting(fused: Callable[..., Any]) -> Callable[..., Any]:
    """The fused attention, which reports each call to the innermost watch of this thread."""

    def called(*args: Any, **kwargs: Any) -> Any:
        watch = getattr(_here, "watch", None)
        return (
            fused(*args, **kwargs) if watch is None else watch.called_by_name(fused, args, kwargs)
        )

    return called


_here = threading.local()
_named = _Shared(
    lambda opened: shadow(opened, functional, "scaled_dot_product_attention", _reporting)
)
_stance = _Shared(lambda opened: opened.enter_context(torch.compiler.set_stance("force_eager")))


def uncompiled(opened: ExitStack, user: object) -> None:
    """Compiled models run eagerly while any tap is open, rather than being compiled again."""
    if "torch._dynamo" in sys.modules:  # else nothing can be compiled yet
        _stance.open(opened, user)
