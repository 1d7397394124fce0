"""When an attention call happens: run, step, pass, noise level, and which rows are conditional.

Steps are counted by the calls of ``scheduler.step``. Noise levels cannot stand for them, since some
schedulers evaluate the model twice at one level.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from regard.errors import ArgumentError

CFG = ("uncond", "cond")
# diffusers puts the negative prompt first. These pipelines do not.
ORDERS: dict[str, tuple[str, ...]] = {
    "LuminaPipeline": ("cond", "uncond"),
    "StableDiffusionInstructPix2PixPipeline": ("cond", "uncond_text", "uncond"),
}
CACHE_CONTEXTS = {"cond": ("cond",), "uncond": ("uncond",), "cond_uncond": ("cond", "uncond")}


class Clock:
    """Where a generation stands.

    Attributes:
        run: Generations since the tap was opened, from 0.
        step: Calls of ``scheduler.step`` in this generation so far.
        pass_: Evaluations of the model since the last step, less one.
        timestep: The noise level given to the model.
        labels: One for each row of the batch in the last evaluation of the model.
        parts: The labels of equal parts of the batch, set by hand for a loop of one's own; None:
            ask the pipeline.
    """

    def __init__(self, pipeline: Any | None = None) -> None:
        self.run = 0
        self.step = 0
        self.pass_ = -1
        self.timestep: float | None = None
        self.parts: tuple[str, ...] | None = None
        self._pipeline = pipeline
        self._context: tuple[str, ...] | None = None
        self.labels: tuple[str, ...] = ()
        self._started = False

    @contextmanager
    def running(self, models: list[nn.Module]) -> Iterator[None]:
        """Listen to the pipeline's scheduler and to the models; all is put back afterwards."""
        with ExitStack() as opened:
            scheduler = getattr(self._pipeline, "scheduler", None)
            if scheduler is not None:
                opened.enter_context(shadowed(scheduler, "step", self._stepping))
                opened.enter_context(shadowed(scheduler, "set_timesteps", self._starting))
            for model in models:
                if hasattr(model, "cache_context"):
                    opened.enter_context(shadowed(model, "cache_context", self._labelling))
            yield

    def to_step(self, step: int) -> None:
        """Set the step by hand, in a loop of one's own."""
        self.step, self.pass_ = step, -1

    @contextmanager
    def aside(self, parts: tuple[str, ...]) -> Iterator[None]:
        """Evaluations with labels of their own, after which the clock stands where it stood."""
        present = self.parts, self.pass_, self.timestep, self.labels, self._started
        self.parts = parts
        try:
            yield
        finally:
            self.parts, self.pass_, self.timestep, self.labels, self._started = present

    def model_called(self, inputs: Mapping[str, Any]) -> None:
        """Note one evaluation of the model, given the arguments of its forward by name."""
        self._started = True
        self.pass_ += 1
        self.timestep = _number(inputs.get("timestep", inputs.get("t")))
        batch = next((len(x) for x in inputs.values() if torch.is_tensor(x) and x.ndim > 1), 1)
        parts = self._parts()
        if inputs.get("skip_layers") is not None and self.parts is None:
            # Skip-layer guidance evaluates the prompt once more, without some layers.
            parts = ("perturbed",)
        if batch % len(parts):
            # One pass of a pipeline that guides but calls the model by hand, as Attend-and-Excite
            # does, on the conditional part alone.
            parts = ("cond",)
        self.labels = _repeat(parts, batch // len(parts))

    def conditions(self, batch: int) -> tuple[str, ...]:
        """One label for each row of an attention batch, which may hold several rows per image."""
        if batch == len(self.labels):
            return self.labels
        if not self.labels or batch % len(self.labels):
            return ("cond",) * batch
        return _repeat(self.labels, batch // len(self.labels))

    def _parts(self) -> tuple[str, ...]:
        if self.parts is not None:
            return self.parts
        if self._context is not None:
            return self._context
        guided = getattr(self._pipeline, "do_classifier_free_guidance", False)
        parts = ORDERS.get(type(self._pipeline).__name__, CFG) if guided else ("cond",)
        if getattr(self._pipeline, "do_perturbed_attention_guidance", False):
            parts = (*parts, "perturbed")
        return parts

    def _stepping(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            self.to_step(self.step + 1)
            return result

        return counted

    def _starting(self, set_timesteps: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.run += self._started
            self._started = False
            self.to_step(0)
            return set_timesteps(*args, **kwargs)

        return counted

    def _labelling(
        self, cache_context: Callable[..., AbstractContextManager[Any]]
    ) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def labelled(name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
            before, self._context = self._context, CACHE_CONTEXTS.get(name)
            try:
                with cache_context(name, *args, **kwargs) as entered:
                    yield entered
            finally:
                self._context = before

        return labelled


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


@contextmanager
def shadowed(
    owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Put a wrapper in front of one object's method, and afterwards exactly what was there before.

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
    present = getattr(owner, name)
    own = vars(owner).get(name)
    vars(owner)[name] = functools.wraps(present)(wrap(present))
    try:
        yield
    finally:
        if own is None:
            vars(owner).pop(name, None)
        else:
            vars(owner)[name] = own


def _repeat(labels: tuple[str, ...], times: int) -> tuple[str, ...]:
    return tuple(label for label in labels for _ in range(times))


def _number(timestep: Any) -> float | None:
    if torch.is_tensor(timestep):
        return float(timestep if timestep.ndim == 0 else timestep.flatten()[0])
    return float(timestep) if isinstance(timestep, int | float) else None
