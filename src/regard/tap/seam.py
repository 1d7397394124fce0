"""The seam between a model and a tap: module hooks say where attention is, handlers see it.

`Frames` keeps the modules that are running, and lets the watch sleep where nothing is wanted.
`Seam` handles the torch functions that the watch sees: the fused attention, and softmax between
two matrix products.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from regard.tap.call import AttentionCall
from regard.tap.coverage import Coverage
from regard.tap.eager import (
    MATMUL,
    SOFTMAX,
    Pending,
    attention_of,
    heads_of,
    may_be_attention,
    operands,
    unfolded,
)
from regard.tap.frame import Frame
from regard.tap.mode import Watch
from regard.tap.model import Site
from regard.tap.sleep import SleepPolicy
from regard.tap.weights import Explicit, Fused, as_4d, sdpa

UNMET = "a softmax that did not meet its values"


class Frames:
    """The modules that are running, innermost last; their hooks keep it so.

    Args:
        watch: Sleeps where the policy lets it.
        policy: Learns from each module that has run.
        coverage: Notes modules that say they are attention.
    """

    def __init__(self, watch: Watch, policy: SleepPolicy, coverage: Coverage) -> None:
        self.stack: list[Frame] = []
        self._watch, self._policy, self._coverage = watch, policy, coverage
        self._hooks: dict[nn.Module, ExitStack] = {}

    def hook(self, site: Site, opened: ExitStack) -> None:
        """Hook a module until ``opened`` closes, or until it turns out to have no attention."""
        module, arrive = site.module, partial(self._arrive, site)
        hooks = self._hooks[module] = opened.enter_context(ExitStack())
        # A hook and what removes it are made in one line, which an interrupt cannot split.
        hooks.callback(module.register_forward_pre_hook(arrive).remove)
        hooks.callback(module.register_forward_hook(self._leave, always_call=True).remove)

    @property
    def dozing(self) -> bool:
        """Whether the innermost module dozes."""
        return bool(self.stack) and self.stack[-1].dozes

    def _arrive(self, site: Site, module: nn.Module, args: Any) -> None:
        watch, sleeper = self._watch, self._watch.asleep
        if not watch.here:
            return
        idle = self._policy.idle(site.layer)
        if idle and (watch.sleep(during=module) if sleeper is None else not self.dozing):
            return
        if site.attention:
            self._coverage.attention.setdefault(site.layer, site.attention)
        dozes = not idle and self._may_doze(site)
        if not (idle or dozes):
            watch.wake()
        self.stack.append(Frame(site, sleeper=sleeper, dozes=dozes))

    def _may_doze(self, site: Site) -> bool:
        """Fall asleep, or sleep on, in a layer whose attention is called by name as before."""
        watch = self._watch
        named = self._policy.called_by_name(site)
        return named and (watch.asleep is not None or watch.sleep(during=site.module))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        watch, stack = self._watch, self.stack
        # Not so if another hook raised before ours had pushed this module.
        if stack and stack[-1].site.module is module and watch.here:
            self._left(stack.pop(), failed=output is None)
        elif watch.asleep is module:
            watch.wake()

    def _left(self, frame: Frame, *, failed: bool) -> None:
        site, coverage = frame.site, self._coverage
        if frame.pending is not None:
            coverage.unread[site.layer] = UNMET
        # Attention that did nothing this time may do something later.
        self._policy.learn(frame, silent=not frame.index and site.layer in coverage.attention)
        if frame.sleeper is None:
            self._watch.wake()
        elif not frame.dozes:
            self._watch.sleep(during=frame.sleeper)
        if not (coverage.mentions(site.layer) or failed or site.module is site.root.model):
            self._hooks[site.module].close()  # a hook costs, too


class Seam:
    """Recognises attention among the torch functions that a model calls.

    Args:
        policy: Where the watch may sleep.
        coverage: Notes what could not be read.
        begin: Gets a module, weights and values; returns the call as its edits leave it.
        end: Gets the call with its output.

    Attributes:
        watch: Sees the functions.
        frames: The modules that are running.
    """

    def __init__(
        self,
        policy: SleepPolicy,
        coverage: Coverage,
        begin: Callable[[Frame, Fused | Explicit, Tensor], AttentionCall],
        end: Callable[[AttentionCall], None],
    ) -> None:
        self._policy, self._coverage = policy, coverage
        self._begin, self._end = begin, end
        handlers = {sdpa: self._fused} | dict.fromkeys(SOFTMAX, self._softmax)
        self.watch = Watch(handlers | dict.fromkeys(MATMUL, self._matmul), self._dozing)
        self.frames = Frames(self.watch, policy, coverage)
        self._stack = self.frames.stack

    def _fused(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        if not self._stack:
            return func(*args, **kwargs)
        frame, given = self._stack[-1], _Arguments(*args, **kwargs)
        query = given.query
        if query.ndim not in (3, 4):
            self._coverage.unread[frame.site.layer] = f"a query of {query.ndim} axes"
            return func(*args, **kwargs)
        frame.by_name = frame.by_name and self.watch.by_name
        heads = heads_of(frame.site.module, len(query)) if query.ndim == 3 else 1
        call = self._begin(frame, *_weights_of(given, heads))
        if call.edited:
            output = call.weights.attend(call.value, dropout=given.dropout_p)
            call.output = _changed(output, call)
            output = call.output.flatten(0, 1) if query.ndim == 3 else call.output
        else:
            # The very arguments that the model passed: bit for bit what it computes without us.
            output = func(*args, **kwargs)
            call.output = unfolded(output, heads)
        self._end(call)
        return output

    def _dozing(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._fused(func, args, kwargs) if self.frames.dozing else func(*args, **kwargs)

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        if self._stack:
            frame = self._stack[-1]
            self._policy.want(frame.site.layer)  # until it is known what it is
            lost = frame.pending is not None
            frame.pending = attention_of(frame.product, args, kwargs, result)
            frame.product = None
            if lost or (frame.pending is None and may_be_attention(args, kwargs)):
                self._coverage.unread[frame.site.layer] = UNMET
            self.watch.following = self._follow
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pending = self._stack[-1].pending if self._stack else None
        if pending is not None and args and args[0] is pending.map:
            return pending.follow(func, args, kwargs)
        return func(*args, **kwargs)

    def _matmul(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._stack:
            return func(*args, **kwargs)
        frame = self._stack[-1]
        factors = operands(func, args, kwargs)
        if factors and frame.pending is not None and factors[0] is frame.pending.map:
            pending, frame.pending = frame.pending, None
            return self._eager(frame, pending, factors[1], partial(func, *args, **kwargs))
        frame.product = factors
        return func(*args, **kwargs)

    def _eager(
        self, frame: Frame, pending: Pending, value: Tensor, unedited: Callable[[], Tensor]
    ) -> Tensor:
        frame.by_name = False
        heads = heads_of(frame.site.module, value.shape[0])
        tensors = (pending.query, pending.key, pending.scores)
        weights = Explicit(*(unfolded(tensor, heads) for tensor in tensors))
        call = self._begin(frame, weights, unfolded(value, heads))
        if call.edited:
            weights = unfolded(pending.again(call.probs()), heads)
            call.output = _changed(weights @ call.value.to(weights.dtype), call)
        else:
            output = unedited()
            call.output = unfolded(output, heads)
        self._end(call)
        return call.output.reshape(pending.scores.shape[:-1] + (-1,)) if call.edited else output


class _Arguments(NamedTuple):
    """The arguments of ``scaled_dot_product_attention``, with its defaults."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def _weights_of(given: _Arguments, heads: int) -> tuple[Fused, Tensor]:
    query, key, value = (unfolded(x, heads) for x in (given.query, given.key, given.value))
    bias = given.attn_mask
    if bias is not None:
        folded = given.query.ndim == bias.ndim == 3 and len(bias) == len(given.query)
        bias = unfolded(bias, heads) if folded else as_4d(bias)
    scale = query.shape[-1] ** -0.5 if given.scale is None else float(given.scale)
    return Fused(query, key, bias, scale, given.is_causal), value


def _changed(output: Tensor, call: AttentionCall) -> Tensor:
    """The output of an edited call with what the verbs do to it."""
    if call.head_factors is not None:
        output = output * call.head_factors.to(output.dtype)
    for change in call.output_changes:
        output = change(output)
    return output
