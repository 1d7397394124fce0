"""Running the user's own pipeline: open it, check what it can make, make it."""

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import regard.zoo as zoo
from regard.arguments import shown
from regard.errors import ArgumentError
from regard.look.noise import Noise, noise_of, seeded
from regard.look.outcome import check_size_known, refuse_void, running, voids
from regard.look.settings import Progress, Settings
from regard.look.turns import in_turn
from regard.tap import TO_TEXT, Edit, Select, Steps, Tap, hide, listening
from regard.tap.family import family_of

TRANSFORMERS = "Stable Diffusion 3 or FLUX.1"
"""What a pipeline without a UNet may be."""

ROWS = 16
"""Images made at a time: a batch saves time up to about here, and then only takes memory."""

Item = TypeVar("Item")

EditOf = Callable[[int], Edit | tuple[Select, Edit]]
"""From the number of an image in its batch to an edit of that image alone."""


@dataclass(frozen=True)
class Made:
    """What a run of a pipeline made.

    Attributes:
        images: One for each row of the batch.
        latents: [row, channel, y, x], or as the pipeline packs them, on the CPU, before they were
            decoded; None from a pipeline that does not show them.
        timesteps: The noise level that each step began at, as the scheduler has it.
        unseeded: Whether noise was drawn past the generators of the rows. It was seeded all the
            same, but rows made together are then not what they are alone.
        void: For each image why it shows nothing, as `regard.look.outcome.voids` says; empty where
            it shows something.
    """

    images: list[Image.Image]
    latents: Tensor | None
    timesteps: tuple[float, ...] = ()
    unseeded: bool = False
    void: tuple[str, ...] = ()


def opened(model: Any, who: str = "look") -> Any:
    """The pipeline itself, loaded if a name or a folder is given.

    Args:
        model: A pipeline, or the name or folder of one.
        who: Who asks, for messages.

    Raises:
        UnknownName: there is no such model.
        ArgumentError: it is no text-to-image pipeline, or its denoiser is of no known family.
    """
    pipeline = zoo.load(model) if isinstance(model, str | os.PathLike) else model
    if isinstance(pipeline, zoo.Vision):
        raise ArgumentError(
            f"{who}: '{pipeline.name}' looks at pictures and draws none. Use "
            f"look_at(model, picture), or regard look --image PICTURE."
        )
    if not callable(pipeline):
        raise ArgumentError(
            f"{who}: model is {shown(model)} and must be a text-to-image pipeline of diffusers, or "
            f"the name or folder of one, such as 'openmoji'."
        )
    call = inspect.signature(type(pipeline).__call__).parameters
    lacking = ["unet"] if network_of(pipeline) is None else []
    lacking += ["scheduler"] if getattr(pipeline, "scheduler", None) is None else []
    lacking += [name for name in ("prompt", "callback_on_step_end") if name not in call]
    if lacking:
        raise ArgumentError(
            f"{who}: {type(pipeline).__name__} has no {' and no '.join(lacking)}. Give a "
            f"text-to-image pipeline of diffusers with a UNet, such as 'openmoji', or with a "
            f"transformer of {TRANSFORMERS}."
        )
    if family_of(network_of(pipeline)) is None:
        raise ArgumentError(
            f"{who}: the denoiser of {type(pipeline).__name__} is a "
            f"{type(network_of(pipeline)).__name__}, whose image and text tokens are not known. "
            f"Known are UNets and {TRANSFORMERS}; regard.tap.layout_for tells of others."
        )
    return pipeline


def network_of(pipeline: Any) -> Any:
    """The denoiser of a pipeline, a UNet or a transformer; None if it has neither."""
    found = (getattr(pipeline, name, None) for name in ("unet", "transformer"))
    network = next((each for each in found if each is not None), None)
    return getattr(network, "_orig_mod", network)  # the one inside a compiled one


def check(pipeline: Any, settings: Settings) -> None:
    """Refuse what this pipeline cannot make, before it runs.

    Raises:
        ArgumentError: too many steps for the scheduler, or a size that is no multiple of the unit,
            or for which this machine has too little memory.
    """
    most = pipeline.scheduler.config.get("num_train_timesteps")
    if most is not None and settings.steps > most:
        raise ArgumentError(
            f"{settings.caller}: steps is {settings.steps} and must be at most {most}, as many "
            f"as {type(pipeline.scheduler).__name__} was trained with; 30 is usual."
        )
    check_size_known(pipeline, settings.size, settings.caller)
    unit = _unit(pipeline)
    if settings.size is not None and any(side % unit for side in settings.size):
        raise ArgumentError(
            f"{settings.caller}: size is {settings.size[0]} x {settings.size[1]}, and both sides "
            f"must be multiples of {unit} pixels. The nearest is "
            f"{' x '.join(str(max(unit, round(side / unit) * unit)) for side in settings.size)}."
        )
    if settings.size is not None:
        _check_memory(pipeline, settings.size, settings.caller)


def _check_memory(pipeline: Any, size: tuple[int, int], who: str) -> None:
    """Refuse what certainly cannot be held: one layer of the decoder at the size of the image."""
    wide = getattr(getattr(pipeline, "vae", None), "config", {}).get("block_out_channels") or [3]
    needed = size[0] * size[1] * wide[0] * 4
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # the system does not tell
        return
    if needed > there:
        raise ArgumentError(
            f"{who}: size is {size[0]} x {size[1]}, which needs {needed / 2**30:,.0f} GB of memory "
            f"at least, and this machine has {there / 2**30:,.0f}. Choose a smaller one."
        )


def _unit(pipeline: Any) -> int:
    """What both sides of a picture must be multiples of, in pixels."""
    scale = getattr(pipeline, "vae_scale_factor", 1)
    if getattr(pipeline, "transformer", None) is None:
        # Diffusers refuses what is no multiple of 8, whatever the autoencoder divides by.
        return math.lcm(8, scale)
    patch = scale * pipeline.transformer.config.patch_size
    return math.lcm(patch, pipeline.image_processor.config.vae_scale_factor)


@dataclass(frozen=True)
class Course:
    """What happens to the latents of a batch beside denoising; by default nothing.

    Attributes:
        seeds: Of the first noise of each row; None for that of the settings in all.
        alone: In how many first steps one row stands for all of them, which are the same so far.
        move: From how many steps are done and the latents after them to those that are taken
            instead.
        start: The first noise itself, as the pipeline takes it; None to draw it.
        prompts: What each row reads; None for the prompt of the settings in all.
    """

    seeds: Sequence[int] | None = None
    alone: int = 0
    move: Callable[[int, Tensor], Tensor] | None = None
    start: Tensor | None = None
    prompts: Sequence[str] | None = None


@in_turn
def generate(
    pipeline: Any,
    settings: Settings,
    *,
    rows: int = 1,
    progress: Progress | None = None,
    course: Course | None = None,
) -> Made:
    """Run the pipeline; each row of the batch gets the same prompt and the same first noise.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make; randomness comes from its seed alone.
        rows: Size of the batch.
        progress: Called after each step with the steps done and the steps there are.
        course: What happens beside denoising.

    Returns:
        The images that the pipeline itself decoded, and their latents.

    Raises:
        ArgumentError: as for `check`; or the latents have grown past all numbers.
        DataError: the model libraries could not run it.
    """
    check(pipeline, settings)
    course = course or Course()
    last: dict[str, Tensor] = {}
    steps, done = Steps(pipeline.scheduler), 0

    def after(_: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        last["latents"] = latents = tensors["latents"]
        _check_finite(latents, steps.step - (steps.step > done), settings.caller)
        if steps.step == done:  # a step of several evaluations is under way
            return {}
        done, total = steps.step, steps.total or settings.steps
        changed = _grown(tensors, rows) if done == min(course.alone, total) else {}
        latents = {**tensors, **changed}["latents"]
        if course.move is not None:
            changed["latents"] = latents = course.move(done, latents)
        last["latents"] = latents
        if progress is not None:
            progress(done, total)
        return changed

    options = _options(pipeline, settings, course, rows=1 if course.alone else rows)
    if "callback_on_step_end" in inspect.signature(type(pipeline).__call__).parameters:
        options["callback_on_step_end"] = after
        if course.alone:
            options["callback_on_step_end_tensor_inputs"] = pipeline._callback_tensor_inputs
    first = settings.seed if course.seeds is None else course.seeds[0]
    casts: list[str] = []
    with (
        listening(steps, began=lambda: steps.check(settings.caller)),
        seeded(first) as drew,
        running(pipeline, settings.caller, casts),
    ):
        output = pipeline(**options)
        unseeded = drew()
    images, latents = list(output.images), last.get("latents")
    return Made(
        images,
        None if latents is None else latents.detach().cpu(),
        tuple(float(level) for level in steps.levels.values()),
        unseeded,
        voids(images, output, casts),
    )


def _options(pipeline: Any, settings: Settings, course: Course, *, rows: int) -> dict[str, Any]:
    """The arguments that a pipeline is called with."""
    # On the CPU whatever the model's device, so that a seed means one image everywhere.
    seeds = [settings.seed] * rows if course.seeds is None else course.seeds
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    options: dict[str, Any] = {
        "prompt": [settings.prompt] * rows if course.prompts is None else list(course.prompts),
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance,
        "generator": noise if rows > 1 else noise[0],
    }
    if course.start is not None:
        options["latents"] = course.start
    if settings.size is not None:
        options |= {"height": settings.size[0], "width": settings.size[1]}
    if settings.negative_prompt:
        options["negative_prompt"] = [settings.negative_prompt] * rows
    if guided_apart(pipeline, settings):
        options["true_cfg_scale"] = options.pop("guidance_scale")
    return options


def guided_apart(pipeline: Any, settings: Settings) -> bool:
    """Whether guidance takes an evaluation of its own in each step.

    FLUX is given its guidance as a number to draw by. Only with a negative prompt is it guided as
    others are, the two halves one after the other, by a weight that has another name.
    """
    own = "true_cfg_scale" in inspect.signature(type(pipeline).__call__).parameters
    return own and bool(settings.negative_prompt) and settings.guidance > 1


def _grown(tensors: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """As many rows of everything, in each half of the guidance."""
    return {
        name: value.repeat_interleave(rows, 0)
        for name, value in tensors.items()
        if value is not None
    }


def _check_finite(latents: Tensor, step: int, who: str) -> None:
    if not bool(torch.isfinite(latents).all()):
        raise ArgumentError(
            f"{who}: after step {step} the latents are no numbers any more: something grew past "
            f"what {str(latents.dtype).removeprefix('torch.')} holds. Use smaller factors, or a "
            f"model in float32."
        )


def pixels_of(images: Sequence[Image.Image]) -> UInt8[NDArray, "image y x 3"]:
    """Images of one size as an array."""
    return np.stack([np.asarray(image.convert("RGB")) for image in images])


@in_turn
def generate_each(
    pipeline: Any,
    settings: Settings,
    edits: Sequence[EditOf | None],
    *,
    progress: Progress | None = None,
) -> list[Image.Image]:
    """The image again, once for each edit, from the same first noise.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.
        edits: One for each image; None leaves it as it is.
        progress: Called after each step of each batch.

    Returns:
        One image per edit. They are made in batches of up to `ROWS`, each row with its own edit;
        one by one where the scheduler draws noise for a whole batch at once.

    Raises:
        ArgumentError: as for `generate`; or the scheduler draws noise that no seed decides; or an
            image was taken away, or is no numbers.
    """
    check(pipeline, settings)
    images: list[Image.Image] = []
    noise = noise_of(pipeline, settings.steps)
    noise.check(settings.caller)
    batches = batches_of(edits, noise)
    for number, batch in enumerate(batches):
        own = [edit(row) for row, edit in enumerate(batch) if edit is not None]
        advance = part_of(progress, number, len(batches))
        with Tap(pipeline, edit=own):
            made = generate_to_compare(pipeline, settings, rows=len(batch), progress=advance)
        images += made.images
    return images


def batches_of(items: Sequence[Item], noise: Noise) -> list[Sequence[Item]]:
    """What can be made together: `ROWS` at a time, or one where noise is drawn for a whole batch.

    Example:
        >>> noise = Noise(drawn=False, apart=True, repeats=True, scheduler="DDIMScheduler")
        >>> [len(batch) for batch in batches_of(range(20), noise)]
        [16, 4]
    """
    most = rows_at_once(noise)
    return [items[first : first + most] for first in range(0, len(items), most)]


def rows_at_once(noise: Noise) -> int:
    """How many images may share a batch so that each is what it is alone."""
    return ROWS if noise.apart else 1


def part_of(progress: Progress | None, number: int, parts: int) -> Progress:
    """The progress of one of several parts of equal length, told as that of the whole."""

    def advance(done: int, steps: int) -> None:
        if progress is not None:
            progress(number * steps + done, parts * steps)

    return advance


def generate_to_compare(
    pipeline: Any,
    settings: Settings,
    *,
    rows: int,
    progress: Progress,
    course: Course | None = None,
) -> Made:
    """As `generate`, for images that are to be compared with others.

    Raises:
        ArgumentError: as for `generate`, `check_seeded` and `refuse_void`.
    """
    made = generate(pipeline, settings, rows=rows, progress=progress, course=course)
    check_seeded(made, pipeline, settings.caller)
    refuse_void(made.void, settings.caller, even=False)
    return made


def check_seeded(made: Made, pipeline: Any, who: str) -> None:
    """Refuse images made together that are not what they are alone.

    Raises:
        ArgumentError: noise was drawn past their generators, though the scheduler draws none so.
    """
    if made.unseeded and len(made.images) > 1:
        raise ArgumentError(
            f"{who}: {type(pipeline).__name__} draws noise past the generators that it is given, "
            f"so images made together are not what they are alone. Switch off what draws it, such "
            f"as dropout in a model that is training."
        )


def hiding(tokens: Sequence[int]) -> EditOf:
    """Hide these tokens of the prompt from one image, as `generate_each` takes it."""
    return lambda row: (TO_TEXT, hide(tokens, sample=row))
