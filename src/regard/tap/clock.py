"""When an attention call happens: run, step, pass, timestep, and which rows are conditional.

Steps are the denoising steps of the generation. Calls of ``scheduler.step`` are counted, and
`Steps` says which of them make a step. Timesteps cannot stand for steps, since some schedulers
evaluate the model twice at one timestep.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from regard.errors import ArgumentError
from regard.tap.guided import Label, parts_of
from regard.tap.opened import Opened, shadow
from regard.tap.steps import Steps, asked_for


class Clock:
    """Where a generation stands.

    Attributes:
        run: Generations since the tap was opened, from 0.
        pass_: Forward passes of the model in this step so far, less one.
        timestep: The timestep that the model was given.
        labels: The guidance branch of each row of the batch in the last forward pass; None where
            that is not known.
        parts: The labels of equal parts of the batch, set by the user for a loop of their own;
            None: ask the pipeline.
        steps: At which step the generation is.
    """

    def __init__(self, pipeline: Any | None = None) -> None:
        self.run = 0
        self.pass_ = -1
        self.timestep: float | None = None
        self.parts: tuple[str, ...] | None = None
        self.steps = Steps(getattr(pipeline, "scheduler", None))
        self._pipeline = pipeline
        self._context: str | None = None
        self.labels: tuple[Label, ...] = ()
        self._started = False
        self._turn = -1

    def listen(self, models: list[nn.Module], opened: ExitStack) -> None:
        """Listen to the pipeline's scheduler and to the models, until ``opened`` closes."""
        listen(opened, self.steps, self._begun, self._stepped)
        for model in models:
            if hasattr(model, "cache_context"):
                shadow(opened, model, "cache_context", self._labelling)

    @property
    def step(self) -> int:
        """The denoising step that comes next, or is under way, from 0."""
        return self.steps.step

    def to_step(self, step: int) -> None:
        """Set the step, in a loop of the user's own."""
        self.steps.step, self.pass_, self._turn = step, -1, -1

    @contextmanager
    def aside(self, parts: tuple[str, ...]) -> Iterator[None]:
        """Forward passes with labels of their own, after which the clock is where it was."""
        present = self.parts, self.pass_, self._turn, self.timestep, self.labels, self._started
        self.parts = parts
        try:
            yield
        finally:
            self.parts, self.pass_, self._turn, *rest = present
            self.timestep, self.labels, self._started = rest

    def model_called(self, inputs: Mapping[str, Any]) -> None:
        """Note a forward pass of the model, given its arguments by name."""
        self._started = True
        self.pass_ += 1
        self._turn += 1
        self.timestep = _number(inputs.get("timestep", inputs.get("t")))
        self.steps.locate(self.timestep)
        rows = _rows(inputs)
        parts: tuple[Label, ...] | None = self.parts
        if parts is None:
            parts = parts_of(
                self._pipeline,
                rows=rows,
                turn=self._turn,
                context=self._context,
                skips=inputs.get("skip_layers") is not None,
                reads_text=inputs.get("encoder_hidden_states") is not None,
            )
        self.labels = (
            _repeat(parts, rows // len(parts)) if not rows % len(parts) else (None,) * rows
        )

    def conditions(self, batch: int) -> tuple[Label, ...]:
        """One label for each row of an attention batch, which may hold several rows per image."""
        if batch == len(self.labels):
            return self.labels
        if self.labels and not batch % len(self.labels):
            return _repeat(self.labels, batch // len(self.labels))
        if len(set(self.labels)) == 1:
            return self.labels[:1] * batch
        # Diffusers' own perturbed-attention guidance attends without the perturbed rows.
        plain = tuple(label for label in self.labels if label != "perturbed")
        return plain if batch == len(plain) else (None,) * batch

    def _begun(self) -> None:
        self.run += self._started
        self._started = False
        self.pass_ = self._turn = -1

    def _stepped(self, ended: bool) -> None:
        self._turn = -1
        if ended:
            self.pass_ = -1

    def _labelling(
        self, cache_context: Callable[..., AbstractContextManager[Any]]
    ) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def labelled(name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
            before, self._context = self._context, name
            try:
                with cache_context(name, *args, **kwargs) as entered:
                    yield entered
            finally:
                self._context = before

        return labelled


class listening(Opened):  # noqa: N801  used as a function
    """Keep steps up to date while their scheduler works; it is put back afterwards.

    Args:
        steps: Of one scheduler.
        began: Called when a generation begins, before its first step.
        after: Called after each call of ``scheduler.step``, with whether a step ended.
    """

    def __init__(
        self,
        steps: Steps,
        *,
        began: Callable[[], None] | None = None,
        after: Callable[[bool], None] | None = None,
    ) -> None:
        super().__init__()
        self._steps, self._began, self._after = steps, began, after

    def open(self) -> None:
        """Listen."""
        listen(self, self._steps, self._began, self._after)


def listen(
    opened: ExitStack,
    steps: Steps,
    began: Callable[[], None] | None,
    after: Callable[[bool], None] | None,
) -> None:
    """As `listening`, until another context ends."""

    def starting(set_timesteps: Callable[..., Any]) -> Callable[..., Any]:
        def started(*args: Any, **kwargs: Any) -> Any:
            result = set_timesteps(*args, **kwargs)
            steps.begin(asked_for(args, kwargs))
            if began is not None:
                began()
            return result

        return started

    def stepping(step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            level = args[1] if len(args) > 1 else kwargs.get("timestep")
            result = step(*args, **kwargs)
            ended = steps.advance(level)
            if after is not None:
                after(ended)
            return result

        return counted

    for name, wrap in (("step", stepping), ("set_timesteps", starting)):
        if hasattr(steps.scheduler, name):
            shadow(opened, steps.scheduler, name, wrap)


def checked_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Labels of equal parts of the batch, each at most once.

    Raises:
        ArgumentError: there are none, or one comes twice.

    Example:
        >>> checked_parts(("uncond", "cond"))
        ('uncond', 'cond')
    """
    if not parts or len(set(parts)) < len(parts):
        raise ArgumentError(
            f"Tap.conditions: got {parts} and needs different labels, one for each equal part "
            f"of the batch, such as ('uncond', 'cond')."
        )
    return parts


def _repeat(labels: tuple[Label, ...], times: int) -> tuple[Label, ...]:
    return tuple(label for label in labels for _ in range(times))


def _rows(inputs: Mapping[str, Any]) -> int:
    """How many rows a batch has; a list of images has one each."""
    for value in inputs.values():
        if torch.is_tensor(value) and value.ndim > 1:
            return len(value)
        if isinstance(value, list) and value and all(torch.is_tensor(each) for each in value):
            return len(value)
    return 1


def _number(timestep: Any) -> float | None:
    if torch.is_tensor(timestep):
        return float(timestep if timestep.ndim == 0 else timestep.flatten()[0])
    return float(timestep) if isinstance(timestep, int | float) else None
