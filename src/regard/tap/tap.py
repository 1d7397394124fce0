"""The tap: inside a ``with`` block, every softmax attention of a model can be seen and edited."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from regard.arguments import listed, shown
from regard.errors import ArgumentError, NothingObserved
from regard.layers import LayerInfo
from regard.tap.call import AttentionCall, Edit, Observer
from regard.tap.claim import claim
from regard.tap.clock import Clock, checked_parts
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
from regard.tap.layout import LayerShape, Layout
from regard.tap.mode import Watch, in_backward, uncompiled
from regard.tap.model import (
    CURE,
    Root,
    Site,
    attention_layers,
    kernel_of,
    layer_infos,
    models_of,
    others_of,
    refuse_hidden_kernels,
    root_of,
    sites_of,
    some_of,
)
from regard.tap.opened import Opened
from regard.tap.select import Select
from regard.tap.steps import Steps
from regard.tap.verbs.base import as_4d
from regard.tap.weights import Explicit, Fused, sdpa

UNMET = "a softmax that did not meet its values"


@dataclass
class Frame:
    """A module that is running, and the attention inside it.

    Attributes:
        site: The module.
        index: How many attention calls it has made.
        product: Factors of the last matrix product: perhaps q and k.
        pending: A softmax of that product, which has not met its values yet.
        sleeper: During what the watch slept until this one came; None if it was awake.
        dozes: Whether the watch sleeps here too, and sees the fused attention called by its name.
        by_name: Whether all its attention calls were such.
    """

    site: Site
    index: int = 0
    product: tuple[Tensor, Tensor] | None = None
    pending: Pending | None = None
    sleeper: object | None = None
    dozes: bool = False
    by_name: bool = True


class Given(NamedTuple):
    """The arguments of ``scaled_dot_product_attention``, with its defaults."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


class Tap(Opened):
    """See and edit the softmax attention of a diffusers pipeline or any ``nn.Module``.

    For the length of the ``with`` block, in the thread that entered it. The model is not
    rewritten: a torch function mode sees each ``scaled_dot_product_attention`` and each matmul,
    softmax, matmul, and hooks say in which module it happens. Edits run first, in the order
    listed, then the attention, then observers. A model that is only looked at computes bit for bit
    what it computes without. A module reached by two paths is named by the first.

    Args:
        model: A pipeline (its denoiser is tapped) or a module.
        observe: Callables on an ``AttentionCall``, or pairs ``(Select(...), callable)``.
        edit: The same; these use the verbs of the call.
        layout: Says what queries and keys are, for a model of no known family.
        conditions: Labels of equal parts of the batch, such as ``("uncond", "cond")``, for a loop
            of your own; None asks the pipeline. A module alone that is given several texts does
            not know which of them is the prompt.

    Raises:
        ArgumentError: a pipeline without a denoiser.
        NothingObserved: on entry, the model uses kernels that show no query and key; on exit, no
            attention was seen. The message says what was found instead.

    Example:
        >>> import torch
        >>> model, x = nn.MultiheadAttention(8, num_heads=2, batch_first=True), torch.ones(1, 3, 8)
        >>> shapes = []
        >>> with Tap(model, observe=[lambda call: shapes.append(call.probs().shape)]) as tap:
        ...     output, _ = model(x, x, x)
        >>> shapes
        [torch.Size([1, 2, 3, 3])]
        >>> print(tap.report())
        MultiheadAttention: 1 attention call in 1 layer.
    """

    def __init__(
        self,
        model: Any,
        *,
        observe: Sequence[Observer | tuple[Select, Observer]] = (),
        edit: Sequence[Edit | tuple[Select, Edit]] = (),
        layout: Layout | None = None,
        conditions: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self._pipeline = pipeline = model if hasattr(model, "components") else None
        self._roots = [root_of(module, name, layout) for name, module in models_of(model).items()]
        self._model = model
        self._infos: list[LayerInfo] | None = None
        if layout is not None and not callable(layout):
            raise ArgumentError(
                f"Tap: layout is {shown(layout)} and must be a function of the model, its inputs "
                f"and the shape of a layer; see regard.tap.layout_for."
            )
        self._observers = [self._selected(entry) for entry in _entries(observe, "observe")]
        self._edits = [self._selected(entry) for entry in _entries(edit, "edit")]
        self._clock = Clock(pipeline)
        self.conditions = conditions
        self._watch = Watch(self._handlers(), self._dozing)
        self._hooks: dict[nn.Module, ExitStack] = {}
        self._frames: list[Frame] = []
        self._calls: dict[str, int] = {}
        self._kinds: dict[str, None] = {}
        self._visited: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._others = {} if pipeline is None else others_of(pipeline)
        self._ran_at: dict[str, tuple[int, int]] = {}
        self._untapped: dict[str, None] = {}
        self._known: set[str] = set()
        self._named: dict[str, Any] = {}
        self._asked: set[str] = set()
        self._due = True
        self._beside = False

    def __enter__(self) -> "Tap":
        return super().__enter__()

    def open(self) -> None:
        """Open what the `with` block needs; see `Opened` for why in this order.

        Raises:
            NothingObserved: the model uses kernels that show no query and key.
        """
        for root in self._roots:
            refuse_hidden_kernels(root.model)
        if self._pipeline is not None:
            claim(self, self._pipeline, self)
        self.callback(self._forget)
        for root in self._roots:
            begin = partial(self._begin, root)
            # A hook and what removes it are made in one line, which an interrupt cannot split.
            self.callback(root.model.register_forward_pre_hook(begin, with_kwargs=True).remove)
            for site in sites_of(root):
                self._hook(site)
        for name, part in self._others.items():
            ran = partial(self._ran, name)
            self.callback(part.register_forward_pre_hook(ran).remove)
        self._clock.listen([root.model for root in self._roots], self)
        uncompiled(self, self)
        self._watch.open(self)
        self.push(self._finished)

    def _hook(self, site: Site) -> None:
        module, arrive = site.module, partial(self._arrive, site)
        hooks = self._hooks[module] = self.enter_context(ExitStack())
        hooks.callback(module.register_forward_pre_hook(arrive).remove)
        hooks.callback(module.register_forward_hook(self._leave, always_call=True).remove)

    def _finished(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is None and not self._calls:
            raise NothingObserved(self.report())

    def _forget(self) -> None:
        self._frames.clear()
        for root in self._roots:
            root.inputs = {}

    def __repr__(self) -> str:
        models = ", ".join(type(root.model).__name__ for root in self._roots)
        return f"Tap({models}, observers={len(self._observers)}, edits={len(self._edits)})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers whose attention was seen, in running order."""
        return tuple(self._calls)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the attention that was seen, in running order; none for an unknown family."""
        return tuple(self._kinds)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The arguments of the forward of the first model that is running, or ran last, by name."""
        return self._roots[0].inputs

    @property
    def labels(self) -> tuple[str | None, ...]:
        """One label for each row of the batch in that forward: 'cond', 'uncond' or None."""
        return self._clock.labels

    @property
    def step(self) -> int:
        """Which of the steps asked for is under way; set it in a loop of your own."""
        return self._clock.step

    @step.setter
    def step(self, step: int) -> None:
        self._clock.to_step(step)

    @property
    def steps(self) -> Steps:
        """The steps of this generation, as its scheduler tells them."""
        return self._clock.steps

    @property
    def conditions(self) -> tuple[str, ...] | None:
        """Labels of equal parts of the batch, for a loop of your own; None: ask the pipeline."""
        return self._clock.parts

    @conditions.setter
    def conditions(self, parts: tuple[str, ...] | None) -> None:
        self._clock.parts = None if parts is None else checked_parts(parts)

    @property
    def beside(self) -> bool:
        """Whether the model is evaluated beside the generation now; see ``aside``."""
        return self._beside

    @contextmanager
    def aside(
        self,
        *,
        conditions: tuple[str, ...] = ("cond",),
        observe: Sequence[Observer | tuple[Select, Observer]] = (),
        edit: Sequence[Edit | tuple[Select, Edit]] = (),
    ) -> Iterator[None]:
        """Evaluations of the model beside those that the generation itself makes.

        The tap's edits hold there too, but its observers see nothing of it and no pass is counted.

        Args:
            conditions: Labels of equal parts of the batch that is evaluated here.
            observe: Observers of these evaluations alone.
            edit: Edits of these evaluations alone, after the tap's own.

        Raises:
            ArgumentError: a label comes twice, or there is none.

        Example:
            >>> import torch
            >>> model, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.ones(1, 3, 8)
            >>> seen, beside = [], []
            >>> with Tap(model, observe=[seen.append]) as tap:
            ...     _ = model(x, x, x)
            ...     with tap.aside(observe=[beside.append]):
            ...         _ = model(x, x, x)
            >>> len(seen), len(beside)
            (1, 1)
        """
        present = self._observers, self._edits, self._known, self._asked, self._beside
        with self._clock.aside(checked_parts(conditions)):
            self._observers = [self._selected(entry) for entry in observe]
            self._edits = self._edits + [self._selected(entry) for entry in edit]
            # What is asked of a layer is known after its attention has been seen with these.
            self._known, self._asked = self._known.difference(self._calls), set()
            self._beside = True
            try:
                yield
            finally:
                self._observers, self._edits, self._known, self._asked, self._beside = present

    def report(self) -> str:
        """What was seen, and which attention modules ran without any attention that can be seen."""
        name = " + ".join(type(root.model).__name__ for root in self._roots)
        calls, layers = sum(self._calls.values()), len(self._calls)
        lines = [f"{name}: {_count(calls, 'attention call')} in {_count(layers, 'layer')}."]
        silent = [f"{at} ({what})" for at, what in self._visited.items() if at not in self._calls]
        if silent:
            lines.append(
                f"These ran without a softmax attention that can be seen: {some_of(silent)}. {CURE}"
            )
        if self._unread:
            unread = [f"{what} in {at}" for at, what in self._unread.items()]
            lines.append(f"Not understood: {some_of(unread)}.")
        if self._untapped:
            beside = [
                f"{name} ({_count(len(attention_layers(self._others[name])), 'attention layer')})"
                for name in self._untapped
            ]
            lines.append(
                f"In its steps ran, not tapped: {some_of(beside)}. Pass that to a Tap of its own."
            )
        if not any(root.ran for root in self._roots):
            lines.append(
                "The model was not run inside this `with` block, or in another thread. Open the "
                "tap where the model runs."
            )
        elif not (calls or silent or self._unread):
            lines.append(
                "It ran, but has no softmax attention: no scaled_dot_product_attention, and no "
                "matmul, softmax, matmul."
            )
        return " ".join(lines)

    # Where: hooks on the modules

    def _begin(
        self,
        root: Root,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,  # left out when another thread is just leaving a tap
    ) -> None:
        if self._watch.here:
            root.ran = True
            root.inputs = {**dict(zip(root.parameters, args, strict=False)), **(kwargs or {})}
            self._clock.model_called(root.inputs)
            if any(select.steps is not None for select, _ in self._entries):
                self._clock.steps.check("Select")
            now = self._clock.run, self._clock.step
            self._untapped |= {name: None for name, at in self._ran_at.items() if at == now}
            self._ran_at.clear()
            self._due = any(select.has_step(self._clock.step) for select, _ in self._entries)

    def _ran(self, name: str, module: nn.Module, args: Any) -> None:
        """Note a part that is not tapped; it counts if the model is evaluated in the same step."""
        # Text encoders run before the first step, and decoders after the last.
        if self._watch.here and (self._clock.step or name.startswith("controlnet")):
            self._ran_at[name] = (self._clock.run, self._clock.step)

    def _arrive(self, site: Site, module: nn.Module, args: Any) -> None:
        watch, sleeper = self._watch, self._watch.asleep
        if not watch.here:
            return
        layer = site.layer
        idle = layer in self._known and not (self._due and layer in self._asked)
        if idle and (watch.sleep(during=module) if sleeper is None else not self._dozes):
            return
        if site.attention:
            self._visited.setdefault(layer, site.attention)
        dozes = not idle and self._may_doze(site)
        if not (idle or dozes):
            watch.wake()
        self._frames.append(Frame(site, sleeper=sleeper, dozes=dozes))

    def _may_doze(self, site: Site) -> bool:
        """Fall asleep, or sleep on, in a layer whose attention is called by name as before."""
        watch = self._watch
        named = site.layer in self._named and self._named[site.layer] == kernel_of(site.module)
        return named and (watch.asleep is not None or watch.sleep(during=site.module))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        watch, frames = self._watch, self._frames
        # Not so if another hook raised before ours had pushed this module.
        if frames and frames[-1].site.module is module and watch.here:
            self._left(frames.pop(), failed=output is None)
        elif watch.asleep is module:
            watch.wake()

    def _left(self, frame: Frame, *, failed: bool) -> None:
        site, layer = frame.site, frame.site.layer
        if frame.pending is not None:
            self._unread[layer] = UNMET
        # Attention that did nothing this time may do something later.
        if frame.index or layer not in self._visited:
            self._known.add(layer)
        if frame.index and not frame.by_name:
            self._named.pop(layer, None)
        elif frame.index and not frame.dozes:
            self._named[layer] = kernel_of(site.module)
        if frame.sleeper is None:
            self._watch.wake()
        elif not frame.dozes:
            self._watch.sleep(during=frame.sleeper)
        seen = layer in self._calls or layer in self._visited or layer in self._unread
        if not (seen or failed or site.module is site.root.model):
            self._hooks[site.module].close()  # a hook costs, too

    @property
    def _dozes(self) -> bool:
        return bool(self._frames) and self._frames[-1].dozes

    def _has_layer(self, call: AttentionCall) -> bool:
        return any(select.has_layer(call) for select, _ in self._entries)

    def _selected(self, entry: Any) -> tuple[Select, Any]:
        select, act = _pair(entry)
        if select.layers is None or callable(select.layers):
            return select, act
        if self._infos is None:
            self._infos = layer_infos(self._model)
        modules = [LayerInfo(site.layer) for root in self._roots for site in sites_of(root)]
        select.check_named(self._infos, modules)
        return select.among(self._infos), act

    @property
    def _entries(self) -> list[tuple[Select, Any]]:
        return [*self._observers, *self._edits]

    # What: handlers of the function mode

    def _handlers(self) -> dict[Any, Any]:
        return (
            {sdpa: self._fused}
            | dict.fromkeys(SOFTMAX, self._softmax)
            | dict.fromkeys(MATMUL, self._matmul)
        )

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pending = self._frames[-1].pending if self._frames else None
        if pending is not None and args and args[0] is pending.map:
            return pending.follow(func, args, kwargs)
        return func(*args, **kwargs)

    def _dozing(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._fused(func, args, kwargs) if self._dozes else func(*args, **kwargs)

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        if self._frames:
            frame = self._frames[-1]
            self._asked.add(frame.site.layer)  # until it is known what it is
            lost = frame.pending is not None
            frame.pending = attention_of(frame.product, args, kwargs, result)
            frame.product = None
            if lost or (frame.pending is None and may_be_attention(args, kwargs)):
                self._unread[frame.site.layer] = UNMET
            self._watch.following = self._follow
        return result

    def _matmul(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._frames:
            return func(*args, **kwargs)
        frame = self._frames[-1]
        factors = operands(func, args, kwargs)
        if factors and frame.pending is not None and factors[0] is frame.pending.map:
            pending, frame.pending = frame.pending, None
            return self._in_the_open(frame, pending, factors[1], partial(func, *args, **kwargs))
        frame.product = factors
        return func(*args, **kwargs)

    def _in_the_open(
        self, frame: Frame, pending: Pending, value: Tensor, unedited: Callable[[], Tensor]
    ) -> Tensor:
        frame.by_name = False
        heads = heads_of(frame.site.module, value.shape[0])
        tensors = (pending.query, pending.key, pending.scores)
        weights = Explicit(*(unfolded(tensor, heads) for tensor in tensors))
        call = self._arrived(frame, weights, unfolded(value, heads))
        if call.edited:
            weights = unfolded(pending.again(call.probs()), heads)
            call.output = _with_heads(weights @ call.value.to(weights.dtype), call)
        else:
            output = unedited()
            call.output = unfolded(output, heads)
        self._observe(call)
        return call.output.reshape(pending.scores.shape[:-1] + (-1,)) if call.edited else output

    def _fused(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        if not self._frames:
            return func(*args, **kwargs)
        frame, given = self._frames[-1], Given(*args, **kwargs)
        query = given.query
        if query.ndim not in (3, 4):
            self._unread[frame.site.layer] = f"a query of {query.ndim} axes"
            return func(*args, **kwargs)
        frame.by_name = frame.by_name and self._watch.by_name
        heads = heads_of(frame.site.module, len(query)) if query.ndim == 3 else 1
        call = self._arrived(frame, *_weights_of(given, heads))
        if call.edited:
            output = call.weights.attend(call.value, dropout=given.dropout_p)
            call.output = _with_heads(output, call)
            output = call.output.flatten(0, 1) if query.ndim == 3 else call.output
        else:
            # The very arguments that the model passed: bit for bit what it computes without us.
            output = func(*args, **kwargs)
            call.output = unfolded(output, heads)
        self._observe(call)
        return output

    # Both

    def _arrived(self, frame: Frame, weights: Fused | Explicit, value: Tensor) -> AttentionCall:
        call, layer = self._call(frame, weights, value), frame.site.layer
        frame.index += 1
        if layer not in self._calls and call.layout is not None:
            self._kinds.setdefault(call.kind)
        self._calls[layer] = self._calls.get(layer, 0) + (not in_backward())
        if layer not in self._asked and self._has_layer(call):
            self._asked.add(layer)
        for select, edit in self._edits:
            if select(call):
                call.selected = select.rows(call)
                edit(call)
                call.selected = slice(None)
        return call

    def _call(self, frame: Frame, weights: Fused | Explicit, value: Tensor) -> AttentionCall:
        clock, site, root = self._clock, frame.site, frame.site.root
        batch, _, queries, keys = weights.shape
        layout = None
        if root.family is not None:
            shape = LayerShape(site.path, frame.index, queries, keys, site.owner)
            layout = root.family.laid(root.model, root.inputs, shape)
        return AttentionCall(
            weights,
            value,
            layer=site.layer,
            index=frame.index,
            stage=site.stage,
            layout=layout,
            unknown=root.unknown,
            model=type(root.model).__name__,
            run=clock.run,
            step=clock.step,
            pass_=clock.pass_,
            timestep=clock.timestep,
            conditions=clock.conditions(batch),
        )

    def _observe(self, call: AttentionCall) -> None:
        if in_backward():  # gradient checkpointing computes again what has been seen already
            return
        for select, observer in self._observers:
            if select(call):
                observer(call)


def _entries(given: Any, name: str) -> list[Any]:
    several = None if isinstance(given, str | bytes) else listed(given)
    if several is None:
        raise ArgumentError(
            f"Tap: {name} is {shown(given)} and must be a list of functions of an AttentionCall, "
            f"or of pairs (Select(...), function)."
        )
    return several


def _pair(entry: Any) -> tuple[Select, Any]:
    """What to choose calls by, and what to do with them.

    Raises:
        ArgumentError: it is neither something to call nor a pair of a choice and that.
    """
    if isinstance(entry, tuple) and len(entry) == 2:
        select, act = entry
        if isinstance(select, Select) and callable(act):
            return select, act
    elif callable(entry):
        return Select(), entry
    raise ArgumentError(
        f"Tap: observe and edit hold {shown(entry)} and must hold functions of an AttentionCall, "
        f"or pairs (Select(...), function)."
    )


def _weights_of(given: Given, heads: int) -> tuple[Fused, Tensor]:
    query, key, value = (unfolded(x, heads) for x in (given.query, given.key, given.value))
    bias = given.attn_mask
    if bias is not None:
        folded = given.query.ndim == bias.ndim == 3 and len(bias) == len(given.query)
        bias = unfolded(bias, heads) if folded else as_4d(bias)
    scale = query.shape[-1] ** -0.5 if given.scale is None else float(given.scale)
    return Fused(query, key, bias, scale, given.is_causal), value


def _with_heads(output: Tensor, call: AttentionCall) -> Tensor:
    return output if call.head_factors is None else output * call.head_factors.to(output.dtype)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
