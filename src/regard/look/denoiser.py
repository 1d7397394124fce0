"""How a pipeline calls its denoiser: seen once, and then repeated on latents of one's own."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import ArgumentError
from regard.look.generate import network_of
from regard.methods import Extra, Moment
from regard.tap import AttentionCall, Tap, shadowed

LATENTS = ("sample", "hidden_states", "x")
"""What the argument of the latents is called, in UNets and in transformers."""

POSITIONS = ("img_ids", "txt_ids")
"""Arguments that have a row for each token and none for each image."""


class _Seen(Exception):
    """Ends a run of a pipeline as soon as its denoiser was called."""


@dataclass(frozen=True)
class Denoiser:
    """A denoiser and the arguments that a pipeline calls it with.

    Attributes:
        model: The network.
        inputs: The arguments of its first call, by name.
        labels: One for each row of the batch: 'uncond' or 'cond'.
        first: The latents before the first step, [image, ...], not scaled for the denoiser.
        scheduler: The pipeline's.
        steps: How many steps the generation has.
        begin: Where in the scheduler's course it begins.
        apart: Whether the other half of the guidance is an evaluation of its own.
    """

    model: nn.Module
    inputs: Mapping[str, Any]
    labels: tuple[str | None, ...]
    first: Tensor
    scheduler: Any
    steps: int
    begin: int = 0
    apart: bool = False

    def moment(self, step: int, latents: Tensor, tap: Tap) -> Moment:
        """What a guide gets to see before a step."""
        timestep = self.scheduler.timesteps[tap.steps.position if step else self.begin]

        def evaluate(
            moved: Tensor,
            images: Sequence[int] | None = None,
            scheduler: Any = self.scheduler,
            level: Tensor = timestep,
        ) -> Tensor:
            # Some schedulers scale latents for the denoiser; a gradient has to go through that.
            scaled = getattr(scheduler, "scale_model_input", lambda sample, _: sample)
            own = conditional(self.inputs, self.labels, images)
            own[_name_of_latents(own)] = scaled(moved, level)
            own["timestep"] = self._as_given(level, own["timestep"])
            output: Tensor = first_of(self.model(**own))
            return output

        return Moment(step, self.steps, timestep, latents, evaluate, tap)

    def _as_given(self, timestep: Tensor, first: Any) -> Any:
        """A noise level in the form, and on the scale, that the pipeline gives it."""
        if not torch.is_tensor(first):
            return timestep
        start = self.scheduler.timesteps[self.begin]
        scale = float(first.flatten()[0]) / float(start) if float(start) else 1.0
        return (timestep * scale).to(first.dtype).expand(first.shape) if first.ndim else timestep


def denoiser_of(pipeline: Any, run: Callable[[], Any], *, apart: bool = False) -> Denoiser:
    """See how a pipeline begins: its first latents, and how it calls its denoiser.

    Args:
        pipeline: A diffusers pipeline.
        run: Runs it; ended at the first attention, and so in milliseconds.
        apart: Whether it evaluates the two halves of the guidance one after the other.

    Raises:
        ArgumentError: the pipeline does not prepare latents in a method of that name.
    """
    if not hasattr(pipeline, "prepare_latents"):
        raise ArgumentError(
            f"a guide: {type(pipeline).__name__} has no prepare_latents, so its first latents "
            f"cannot be moved. Use methods that only edit attention."
        )
    prepared: list[Tensor] = []
    seen: dict[str, Any] = {}

    def stop(call: AttentionCall) -> None:
        call.known_conditions("a guide")
        seen.update(inputs=dict(tap.inputs), labels=tap.labels)
        seen.update(steps=tap.steps.total, begin=tap.steps.position)
        raise _Seen

    tap = Tap(pipeline, observe=[stop])
    try:
        with preparing(pipeline, prepared.append), tap:
            run()
    except _Seen:
        pass
    network, scheduler = network_of(pipeline), pipeline.scheduler
    return Denoiser(network, first=prepared[0], scheduler=scheduler, apart=apart, **seen)


@contextmanager
def preparing(pipeline: Any, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Let first latents pass through a function; None from it leaves them as they are.

    The pipeline draws its noise all the same, so that its generator stands where it would.
    """

    def wrap(prepare: Callable[..., Any]) -> Callable[..., Any]:
        def prepared(*args: Any, **kwargs: Any) -> Any:
            result = prepare(*args, **kwargs)
            latents, *rest = result if isinstance(result, tuple) else (result,)
            changed = change(latents)
            latents = latents if changed is None else changed
            return (latents, *rest) if isinstance(result, tuple) else latents

        return prepared

    with shadowed(pipeline, "prepare_latents", wrap):
        yield


@contextmanager
def pushed(
    denoiser: Denoiser,
    tap: Tap,
    extras: Sequence[Extra],
    guidance: float,
    images: slice = slice(None),
) -> Iterator[None]:
    """Push the conditional output of a denoiser away from that of further evaluations.

    Args:
        denoiser: Of the pipeline that runs.
        tap: Watches it.
        extras: What is different in those evaluations, and how far to push from each.
        guidance: The pipeline's guidance scale, which multiplies what is added here.
        images: Which of the batch are pushed.
    """
    names = list(inspect.signature(denoiser.model.forward).parameters)

    def after(_: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        step, labels, level = tap.step, tap.labels, tap.steps.level
        if tap.beside or "cond" not in labels:  # a guide's own evaluation, or of the other half
            return None
        here = [each for each in extras if each.steps is None or step in each.steps]
        due = [(each, scale) for each in here if (scale := each.scale(step, level))]
        if not due:
            return None
        own = conditional(dict(zip(names, args, strict=False)) | kwargs, labels)
        rows = [row for row, label in enumerate(labels) if label == "cond"]
        whole = first_of(output)
        moved = whole.clone()
        guided = denoiser.apart or "uncond" in labels
        for each, scale in due:
            apart = whole[rows] - _evaluated(denoiser.model, own, tap, each)
            apart = apart * (scale / guidance if guided else scale)
            moved[rows[images]] += apart[images]
        return with_first(output, moved)

    hook = denoiser.model.register_forward_hook(after, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _evaluated(model: nn.Module, inputs: Mapping[str, Any], tap: Tap, extra: Extra) -> Tensor:
    """What comes out under the edits of an extra evaluation; refused if they change no layer."""
    reached, apt = False, []

    def note(call: AttentionCall) -> None:
        nonlocal reached
        reached = reached or any(select(call) for select, _ in extra.edits)
        if call.known_layout(extra.who).has(query="image", key="image"):
            apt.append(call.layer)

    with tap.aside(edit=extra.edits, observe=[note]):
        output: Tensor = first_of(model(**inputs))
    if extra.edits and not reached:
        raise ArgumentError(
            f"{extra.who}: it was asked to perturb no layer of {type(model).__name__} that attends "
            f"from image to image. Name some with layers=, of these: {', '.join(apt) or 'none'}."
        )
    return output


def conditional(
    inputs: Mapping[str, Any], labels: tuple[str | None, ...], images: Sequence[int] | None = None
) -> dict[str, Any]:
    """The rows of the prompt's half, of all arguments that have a row for each image.

    Args:
        inputs: The arguments by name.
        labels: One for each row of the batch: 'uncond' or 'cond'.
        images: Which images of the batch; None for all.

    Example:
        >>> whole = {"sample": torch.arange(4.0), "timestep": torch.tensor(7)}
        >>> conditional(whole, ("uncond", "uncond", "cond", "cond"))["sample"]
        tensor([2., 3.])
    """
    rows = [row for row, label in enumerate(labels) if label == "cond"]
    rows = rows if images is None else [rows[image] for image in images]

    def own(value: Any) -> Any:
        if torch.is_tensor(value) and value.ndim and len(value) == len(labels):
            return value[rows]
        if isinstance(value, Mapping):
            return {name: own(each) for name, each in value.items()}
        return value

    return {name: value if name in POSITIONS else own(value) for name, value in inputs.items()}


def first_of(output: Any) -> Any:
    """The tensor in what a denoiser returns."""
    return output[0] if isinstance(output, tuple) else output.sample


def with_first(output: Any, tensor: Tensor) -> Any:
    """The same kind of output around another tensor."""
    if isinstance(output, tuple):
        return (tensor, *output[1:])
    return type(output)(sample=tensor)


def _name_of_latents(inputs: Mapping[str, Any]) -> str:
    for name in LATENTS:
        if name in inputs:
            return name
    raise ArgumentError(
        f"a guide: the denoiser takes {', '.join(inputs)} and no {' or '.join(LATENTS)}, so its "
        f"latents are not known. Use methods that only edit attention."
    )
