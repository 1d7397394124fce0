"""How a pipeline calls its denoiser, seen in one step, and initial noise on its way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.models.text_to_image import TextToImage
from regard.tap import AttentionCall, Tap, shadowed


class _Captured(Exception):
    """Ends a run of a pipeline as soon as its denoiser was called in the step asked for."""


@dataclass(frozen=True)
class Captured:
    """A denoiser and the arguments that a pipeline calls it with in one step.

    Attributes:
        model: The network.
        inputs: The arguments of the call, by name.
        labels: One for each row of the batch: 'uncond' or 'cond'.
        first: The latents before the first step, [image, ...], not scaled for the denoiser.
        scheduler: The pipeline's.
        steps: How many steps the generation has.
        begin: Where in the scheduler's list of timesteps it begins.
        latents: What the denoiser calls its latents.
        per_token: Arguments that have a row for each token and none for each image.
    """

    model: nn.Module
    inputs: Mapping[str, Any]
    labels: tuple[str | None, ...]
    first: Tensor
    scheduler: Any
    steps: int
    begin: int
    latents: str
    per_token: tuple[str, ...] = ()

    def branch(self, label: str = "cond", images: Sequence[int] | None = None) -> dict[str, Any]:
        """The inputs of one branch of the guidance alone, and of some images of the batch.

        Args:
            label: 'cond' or 'uncond'.
            images: Which images; None for all.
        """
        return rows_of(self.inputs, self.labels, label, images, self.per_token)


def capture(model: TextToImage, run: Callable[[], Any], *, step: int = 0) -> Captured:
    """See how a pipeline calls its denoiser in a step; the run ends there.

    Args:
        model: The model.
        run: Runs its pipeline.
        step: Which denoising step, from 0.

    Raises:
        ArgumentError: the pipeline does not prepare latents in a method of that name, or which rows
            of a batch read the prompt is not known.
        NothingObserved: the denoiser has no attention, or was not called in this step.
    """
    if not hasattr(model.pipeline, "prepare_latents"):
        raise ArgumentError(
            f"{caller()}: {type(model.pipeline).__name__} has no prepare_latents, so its initial "
            f"latents cannot be changed. Use methods that only edit attention."
        )
    prepared: list[Tensor] = []
    seen: dict[str, Any] = {}

    def stop(call: AttentionCall) -> None:
        if call.step < step:
            return
        call.known_conditions("a guide")
        seen.update(inputs=dict(tap.inputs), labels=tap.labels)
        seen.update(steps=tap.steps.total, begin=tap.steps.position)
        raise _Captured

    tap = Tap(model.pipeline, observe=[stop])
    try:
        with preparing(model, prepared.append), tap:
            run()
    except _Captured:
        pass
    family = model.family
    return Captured(
        model.denoiser, first=prepared[0], scheduler=model.scheduler,
        latents=family.latents, per_token=family.per_token, **seen,
    )  # fmt: skip


@contextmanager
def preparing(model: TextToImage, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Let initial latents pass through a function; None from it leaves them as they are.

    The pipeline samples its initial noise all the same, so that its generator advances as usual.
    """

    def wrap(prepare: Callable[..., Any]) -> Callable[..., Any]:
        def prepared(*args: Any, **kwargs: Any) -> Any:
            result = prepare(*args, **kwargs)
            latents, *rest = result if isinstance(result, tuple) else (result,)
            changed = change(latents)
            latents = latents if changed is None else changed
            return (latents, *rest) if isinstance(result, tuple) else latents

        return prepared

    with shadowed(model.pipeline, "prepare_latents", wrap):
        yield


def rows_of(
    inputs: Mapping[str, Any],
    labels: tuple[str | None, ...],
    label: str = "cond",
    images: Sequence[int] | None = None,
    per_token: Sequence[str] = (),
) -> dict[str, Any]:
    """The rows of one branch of the guidance, of all arguments that have a row for each image.

    Args:
        inputs: The arguments by name.
        labels: One for each row of the batch: 'uncond' or 'cond'.
        label: Which branch.
        images: Which images of the batch; None for all.
        per_token: Arguments that have a row for each token and none for each image.

    Example:
        >>> whole = {"sample": torch.arange(4.0), "timestep": torch.tensor(7)}
        >>> rows_of(whole, ("uncond", "uncond", "cond", "cond"))["sample"]
        tensor([2., 3.])
    """
    rows = [row for row, each in enumerate(labels) if each == label]
    rows = rows if images is None else [rows[image] for image in images]

    def own(value: Any) -> Any:
        if torch.is_tensor(value) and value.ndim and len(value) == len(labels):
            return value[rows]
        if isinstance(value, Mapping):
            return {name: own(each) for name, each in value.items()}
        return value

    return {name: value if name in per_token else own(value) for name, value in inputs.items()}


def first_of(output: Any) -> Any:
    """The tensor in what a denoiser returns."""
    return output[0] if isinstance(output, tuple) else output.sample


def with_first(output: Any, tensor: Tensor) -> Any:
    """The same kind of output around another tensor."""
    if isinstance(output, tuple):
        return (tensor, *output[1:])
    return type(output)(sample=tensor)
