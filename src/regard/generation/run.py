"""One run of a pipeline: rows of one batch, from their initial noise to their images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.generation.events import OnStep, StepEvent
from regard.generation.outcome import running, voids
from regard.generation.request import Request
from regard.models.noise import seeded
from regard.models.text_to_image import TextToImage
from regard.tap import Steps, listening


@dataclass(frozen=True)
class Generated:
    """What became of a request.

    Attributes:
        image: As the pipeline itself decoded it.
        latents: [1, channel, y, x], or as the pipeline packs them, on the CPU, before they were
            decoded; None from a pipeline that does not show them.
        timesteps: The timestep that each step began at, as the scheduler has it.
        void: Why it shows nothing, as `regard.generation.outcome.voids` says; empty where it shows
            something.
    """

    image: Image.Image
    latents: Tensor | None
    timesteps: tuple[float, ...] = ()
    void: str = ""


@dataclass(frozen=True)
class BatchPlan:
    """A batch that is run at once.

    Attributes:
        request: What all rows share: steps, guidance, size and negative prompt.
        prompts: What each row reads.
        seeds: Of the initial noise of each row.
        alone: In how many first steps one row stands for all of them, which are the same so far.
        move: From how many steps are done and the latents after them to those that are taken
            instead.
        start: The initial noise itself, as the pipeline takes it; None to sample it.
    """

    request: Request
    prompts: Sequence[str]
    seeds: Sequence[int]
    alone: int = 0
    move: Callable[[int, Tensor], Tensor] | None = None
    start: Tensor | None = None


def run(model: TextToImage, plan: BatchPlan, on_step: OnStep | None = None) -> list[Generated]:
    """Run the pipeline once.

    Args:
        model: The model.
        plan: The batch; randomness comes from its seeds alone.
        on_step: Called after each step.

    Returns:
        One `Generated` for each row.

    Raises:
        ArgumentError: latents became NaN or infinite, or noise was sampled past the generators of
            several rows, which then are not what they are alone.
        DataError: the model libraries could not run it.
        Cancelled: ``on_step`` raised it.
    """
    rows, latents = len(plan.prompts), _Latents(model, plan, on_step)
    options = _options(model, plan)
    options["callback_on_step_end"] = latents.after_step
    if plan.alone:
        options["callback_on_step_end_tensor_inputs"] = model.pipeline._callback_tensor_inputs
    casts: list[str] = []
    with (
        listening(latents.steps, began=latents.check_steps),
        seeded(plan.seeds[0]) as drew,
        running(model.pipeline, casts),
    ):
        output = model.pipeline(**options)
        unseeded = drew()
    if unseeded and rows > 1:
        raise ArgumentError(
            f"{caller()}: {type(model.pipeline).__name__} samples noise past the generators that "
            f"it is given, so images made together are not what they are alone. Switch off what "
            f"does so, such as dropout in a model that is training."
        )
    images = list(output.images)
    timesteps = tuple(float(level) for level in latents.steps.levels.values())
    return [
        Generated(image, latents.of_row(row), timesteps, void)
        for row, (image, void) in enumerate(zip(images, voids(images, output, casts), strict=True))
    ]


class _Latents:
    """The latents of a batch as they change, step by step."""

    def __init__(self, model: TextToImage, plan: BatchPlan, on_step: OnStep | None) -> None:
        self.model, self.plan, self.on_step = model, plan, on_step
        self.steps, self.done = Steps(model.scheduler), 0
        self.last: Tensor | None = None

    def check_steps(self) -> None:
        """Refuse steps that cannot be counted, when the generation begins."""
        self.steps.check(caller())

    def after_step(
        self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """What the pipeline calls; returns the tensors that it goes on with."""
        self.last = tensors["latents"]
        _check_finite(self.last, self.steps.step - (self.steps.step > self.done))
        if self.steps.step == self.done:  # a step of several evaluations is under way
            return {}
        self.done, total = self.steps.step, self.steps.total or self._asked
        due = self.done == min(self.plan.alone, total)
        changed = _grown(tensors, len(self.plan.prompts)) if due else {}
        latents = {**tensors, **changed}["latents"]
        if self.plan.move is not None:
            changed["latents"] = latents = self.plan.move(self.done, latents)
        self.last = latents
        if self.on_step is not None:
            level = float(self.steps.levels.get(self.done - 1, float("nan")))
            self.on_step(StepEvent(self.done - 1, total, level, latents, pipeline))
        return changed

    def of_row(self, row: int) -> Tensor | None:
        """The last latents of one row, on the CPU."""
        return None if self.last is None else self.last[row : row + 1].detach().cpu()

    @property
    def _asked(self) -> int:
        steps = self.plan.request.num_inference_steps
        assert steps is not None, "the model decides it"
        return steps


def _options(model: TextToImage, plan: BatchPlan) -> dict[str, Any]:
    """The arguments that a pipeline is called with."""
    request = plan.request
    prompts = plan.prompts[:1] if plan.alone else plan.prompts
    seeds = plan.seeds[:1] if plan.alone else plan.seeds
    # On the CPU whatever the model's device, so that a seed means one image everywhere.
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    options: dict[str, Any] = {
        "prompt": list(prompts),
        "num_inference_steps": request.num_inference_steps,
        **model.guidance(request),
        "generator": noise if len(noise) > 1 else noise[0],
    }
    if plan.start is not None:
        options["latents"] = plan.start
    if request.size is not None:
        options |= {"height": request.size[0], "width": request.size[1]}
    if request.negative_prompt:
        options["negative_prompt"] = [request.negative_prompt] * len(prompts)
    return options


def _grown(tensors: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """As many rows of everything, in each branch of the guidance."""
    return {
        name: value.repeat_interleave(rows, 0)
        for name, value in tensors.items()
        if value is not None
    }


def _check_finite(latents: Tensor, step: int) -> None:
    if not bool(torch.isfinite(latents).all()):
        raise ArgumentError(
            f"{caller()}: latents became NaN or infinite after step {step} (overflow in "
            f"{str(latents.dtype).removeprefix('torch.')}?). Use smaller factors, or a model in "
            f"float32."
        )
