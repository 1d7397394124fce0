"""The tap: inside a ``with`` block, every softmax attention of a model can be seen and edited."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from regard.arguments import shown
from regard.errors import ArgumentError, NothingObserved
from regard.tap.actions import Actions
from regard.tap.call import AttentionCall, Edit, Observer
from regard.tap.claim import claim
from regard.tap.clock import Clock, checked_parts
from regard.tap.coverage import Coverage
from regard.tap.fitting import Fitting
from regard.tap.frame import Frame
from regard.tap.layout import LayerShape, Layout
from regard.tap.mode import in_backward, uncompiled
from regard.tap.model import (
    Root,
    models_of,
    others_of,
    refuse_hidden_kernels,
    root_of,
    sites_of,
    tapped_of,
)
from regard.tap.opened import Opened
from regard.tap.seam import Seam
from regard.tap.select import Select
from regard.tap.sleep import SleepPolicy
from regard.tap.steps import Steps
from regard.tap.weights import Explicit, Fused


class Tap(Opened):
    """See and edit the softmax attention of a diffusers pipeline or any ``nn.Module``.

    For the length of the ``with`` block, in the thread that entered it. The model is not
    rewritten: a torch function mode sees each ``scaled_dot_product_attention`` and each matmul,
    softmax, matmul, and hooks say in which module it happens. Edits run first, in the order
    listed, then the attention, then observers. A model that is only observed computes bit for bit
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
        model = tapped_of(model)
        self._pipeline = pipeline = model if hasattr(model, "components") else None
        self._roots = [root_of(module, name, layout) for name, module in models_of(model).items()]
        if layout is not None and not callable(layout):
            raise ArgumentError(
                f"Tap: layout is {shown(layout)} and must be a function of the model, its inputs "
                f"and the shape of a layer; see regard.tap.layout_for."
            )
        self._fitted = Fitting(model, self._roots).fitted
        self._actions = Actions(self._fitted(observe, "observe"), self._fitted(edit, "edit"))
        self._clock = Clock(pipeline)
        self.conditions = conditions
        self._coverage, self._policy = Coverage(), SleepPolicy()
        self._seam = Seam(self._policy, self._coverage, self._edited, self._observed)
        self._others = {} if pipeline is None else others_of(pipeline)
        self._ran_at: dict[str, tuple[int, int]] = {}
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
            self.callback(root.model.register_forward_pre_hook(begin, with_kwargs=True).remove)
            for site in sites_of(root):
                self._seam.frames.hook(site, self)
        for name, part in self._others.items():
            ran = partial(self._ran, name)
            self.callback(part.register_forward_pre_hook(ran).remove)
        self._clock.listen([root.model for root in self._roots], self)
        uncompiled(self, self)
        self._seam.watch.open(self)
        self.push(self._finished)

    def _finished(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is None and not self._coverage.calls:
            raise NothingObserved(self.report())

    def _forget(self) -> None:
        self._seam.frames.stack.clear()
        for root in self._roots:
            root.inputs = {}

    def __repr__(self) -> str:
        models = ", ".join(type(root.model).__name__ for root in self._roots)
        observers, edits = len(self._actions.observers), len(self._actions.edits)
        return f"Tap({models}, observers={observers}, edits={edits})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers whose attention was seen, in running order."""
        return tuple(self._coverage.calls)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the attention that was seen, in running order; none for an unknown family."""
        return tuple(self._coverage.kinds)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The arguments of the forward of the first model that is running, or ran last, by name."""
        return self._roots[0].inputs

    @property
    def labels(self) -> tuple[str | None, ...]:
        """One label for each row of the batch in that forward: 'cond', 'uncond' or None."""
        return self._clock.labels

    @property
    def run(self) -> int:
        """How many generations have ended since the tap was opened."""
        return self._clock.run

    @property
    def step(self) -> int:
        """The current denoising step; set it in a loop of your own."""
        return self._clock.step

    @step.setter
    def step(self, step: int) -> None:
        self._clock.to_step(step)

    @property
    def steps(self) -> Steps:
        """The steps of this generation, as its scheduler has them."""
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
        """Whether a forward pass beside the generation is under way; see ``aside``."""
        return self._beside

    @contextmanager
    def aside(
        self,
        *,
        conditions: tuple[str, ...] = ("cond",),
        observe: Sequence[Observer | tuple[Select, Observer]] = (),
        edit: Sequence[Edit | tuple[Select, Edit]] = (),
        unedited: bool = False,
    ) -> Iterator[None]:
        """Forward passes of the model beside those that the generation itself makes.

        The tap's edits hold there too, but its observers see nothing of it and no pass is counted.

        Args:
            conditions: Labels of equal parts of the batch in these passes.
            observe: Observers of these passes alone.
            edit: Edits of these passes alone, after the tap's own.
            unedited: Whether the tap's own edits are left out.

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
        present = self._actions, self._beside
        labels, policy = checked_parts(conditions), self._policy
        with self._clock.aside(labels), policy.relearning(self._coverage.calls):
            own = [] if unedited else present[0].edits
            edits = [*own, *self._fitted(edit, "edit")]
            self._actions, self._beside = Actions(self._fitted(observe, "observe"), edits), True
            try:
                yield
            finally:
                self._actions, self._beside = present

    def report(self) -> str:
        """What was seen, and which attention modules ran without any attention that can be seen."""
        return self._coverage.report(self._roots, self._others)

    # Where and when

    def _begin(
        self,
        root: Root,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,  # left out when another thread is just leaving a tap
    ) -> None:
        """A forward pass of a model begins."""
        if self._seam.watch.here:
            root.ran = True
            root.inputs = {**dict(zip(root.parameters, args, strict=False)), **(kwargs or {})}
            self._clock.model_called(root.inputs)
            if self._actions.count_steps:
                self._clock.steps.check("Select")
            now = self._clock.run, self._clock.step
            self._coverage.untapped |= {n: None for n, at in self._ran_at.items() if at == now}
            self._ran_at.clear()
            self._policy.due = self._actions.due_in(self._clock.step)

    def _ran(self, name: str, module: nn.Module, args: Any) -> None:
        """Note a part that is not tapped; it counts if the model is evaluated in the same step."""
        # Text encoders run before the first step, and decoders after the last.
        if self._seam.watch.here and (self._clock.step or name.startswith("controlnet")):
            self._ran_at[name] = (self._clock.run, self._clock.step)

    # What

    def _edited(self, frame: Frame, weights: Fused | Explicit, value: Tensor) -> AttentionCall:
        """The call that a layer makes now, as the edits leave it."""
        call, policy = self._call(frame, weights, value), self._policy
        frame.index += 1
        self._coverage.add(call, again=in_backward())
        if not policy.wants(call.layer) and self._actions.concern(call):
            policy.want(call.layer)
        self._actions.edit(call)
        return call

    def _observed(self, call: AttentionCall) -> None:
        if not in_backward():  # gradient checkpointing computes again what has been seen already
            self._actions.observe(call)

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
