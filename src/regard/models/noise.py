"""Whether the seed decides the image: what is random in the steps of a scheduler, and who seeds it.

Names decide nothing. A scheduler is tried on a few numbers: the same seed twice, another seed,
and two rows at once.
"""

import copy
import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from regard.arguments import caller
from regard.errors import ArgumentError

SHAPE = (4, 4, 4)
"""Of the latents that a scheduler is tried on."""

CLOSE = 1e-4


@dataclass(frozen=True)
class Noise:
    """What is random in the steps of a scheduler.

    Attributes:
        random: Whether the outcome depends on the seed, so that rows of one seed differ from the
            first random step on.
        apart: Whether each row of a batch is what it is alone.
        repeats: Whether a seed is known to give the same outcome each time.
        scheduler: Its class name, for messages.
        untried: Why it could not be tried, and so nothing is known; empty where it was.
    """

    random: bool
    apart: bool
    repeats: bool
    scheduler: str
    untried: str = ""

    @property
    def reason(self) -> str:
        """Why images cannot be compared; empty if they can."""
        if self.repeats:
            return ""
        if self.untried:
            return (
                f"{self.scheduler} cannot be tried outside its pipeline ({self.untried}), so "
                f"whether the seed decides the image is not known"
            )
        return (
            f"{self.scheduler} draws noise that the seed does not decide, so one seed gives "
            f"another image each time"
        )

    def check(self) -> None:
        """Refuse to compare images that no seed decides.

        Raises:
            ArgumentError: they would differ by chance, or it is not known whether they would.
        """
        if not self.repeats:
            raise ArgumentError(
                f"{caller()}: {self.reason}, and images cannot be compared. Give the pipeline "
                f"another scheduler, such as DDIMScheduler."
            )

    def check_together(self) -> None:
        """Refuse rows that must be made in one batch, where each would not be what it is alone.

        Raises:
            ArgumentError: their noise depends on the batch.
        """
        if not self.apart:
            raise ArgumentError(
                f"{caller()}: {self.scheduler} draws noise for a whole batch at once, so two "
                f"images made together are not what they are alone, and this method needs two "
                f"together. Give the pipeline another scheduler, such as DDIMScheduler."
            )


_known: "WeakKeyDictionary[Any, dict[str, Noise]]" = WeakKeyDictionary()


def noise_of(pipeline: Any, steps: int) -> Noise:
    """What is random in the steps of a pipeline's scheduler, found by trying a copy of it.

    Args:
        pipeline: A diffusers pipeline.
        steps: How many steps a generation has.

    Example:
        >>> from regard.models import load
        >>> noise_of(load("openmoji").pipeline, 4)
        Noise(random=False, apart=True, repeats=True, scheduler='DDIMScheduler', untried='')
    """
    scheduler = pipeline.scheduler
    plain = {
        name: value
        for name, value in vars(scheduler).items()
        if name[0] != "_" and isinstance(value, int | float | str | None)
    }
    plain.pop("num_inference_steps", None)
    key = repr((steps, dict(scheduler.config), plain))
    known = _known.setdefault(scheduler, {})
    if key not in known:
        known[key] = _tried(pipeline, steps)
    return known[key]


@contextmanager
def seeded(seed: int) -> Iterator[Callable[[], bool]]:
    """Seed the global random generators; afterwards they are as they were before.

    Yields:
        A function that says whether any of them was used.

    Example:
        >>> with seeded(0) as used:
        ...     before = used()
        ...     _ = torch.rand(1)
        ...     after = used()
        >>> before, after
        (False, True)
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    numbers, plain = np.random.get_state(), random.getstate()  # noqa: NPY002  schedulers use it
    with torch.random.fork_rng(devices):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            first = _state(devices)
            yield lambda: _state(devices) != first
        finally:
            np.random.set_state(numbers)  # noqa: NPY002
            random.setstate(plain)


# Inside


def _state(devices: Sequence[int]) -> tuple[bytes, ...]:
    torches = [torch.get_rng_state(), *(torch.cuda.get_rng_state(each) for each in devices)]
    _, numbers, place, *_ = np.random.get_state()  # noqa: NPY002
    return (
        *(each.numpy().tobytes() for each in torches),
        np.asarray(numbers).tobytes(),
        str(place).encode(),
    )


def _tried(pipeline: Any, steps: int) -> Noise:
    name = type(pipeline.scheduler).__name__
    try:
        one = _course(pipeline, _copy(pipeline.scheduler), steps, [0], world=0)
        used = _copy(pipeline.scheduler)
        other = _course(pipeline, used, steps, [1], world=1)
        again = _course(pipeline, used, steps, [0], world=0)
        both = _course(pipeline, _copy(pipeline.scheduler), steps, [1, 0], world=0)
    except Exception as error:  # whatever it raises when it is not called by its pipeline
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return Noise(random=True, apart=False, repeats=False, scheduler=name, untried=why)
    varies, repeats = not _close(one, other), _close(one, again)
    apart = _close(one, [each[1:] for each in both])
    if not varies:
        apart = apart and _close(one, [each[:1] for each in both])
    return Noise(varies, apart, repeats, name)


def _copy(scheduler: Any) -> Any:
    """A scheduler like this one, without what listens to this one."""
    try:
        made = copy.deepcopy(scheduler)
    except Exception:  # a generator of its own, for one, has no copy
        made = type(scheduler).from_config(scheduler.config)
    for name in ("step", "set_timesteps"):
        vars(made).pop(name, None)
    return made


def _course(
    pipeline: Any, scheduler: Any, steps: int, seeds: Sequence[int], *, world: int
) -> list[Tensor]:
    """The latents after each scheduler step, for rows that differ in their seeds only."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    draw = torch.Generator().manual_seed(0)
    latents = torch.randn(1, *SHAPE, generator=draw).expand(len(seeds), *SHAPE).clone()
    learns = str(scheduler.config.get("variance_type", "")).startswith("learned")
    channels, *sides = SHAPE
    output = torch.randn(1, channels * (1 + learns), *sides, generator=draw)
    output = output.expand(len(seeds), *output.shape[1:])
    options: dict[str, Any] = {}
    takes = inspect.signature(scheduler.set_timesteps).parameters
    if "mu" in takes and scheduler.config.get("use_dynamic_shifting"):
        options["mu"] = 1.0
    extra = _extra(pipeline, generators if len(generators) > 1 else generators[0])
    found = []
    with warnings.catch_warnings(), seeded(world), torch.no_grad():
        warnings.simplefilter("ignore")  # the run itself says what there is to say
        scheduler.set_timesteps(num_inference_steps=steps, **options)
        for level in scheduler.timesteps:
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(latents, level)
            latents = scheduler.step(output, level, latents, return_dict=False, **extra)[0]
            found.append(latents)
    return found


def _extra(pipeline: Any, generator: Any) -> dict[str, Any]:
    """What a pipeline hands to ``scheduler.step`` beside the latents."""
    prepare = getattr(pipeline, "prepare_extra_step_kwargs", None)
    return {} if prepare is None else dict(prepare(generator, 0.0))


def _close(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(
        torch.allclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )
