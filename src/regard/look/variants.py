"""One prompt in several variants: each image with its own methods, in as few runs as possible."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from regard.look.denoiser import Denoiser, denoiser_of, preparing, pushed
from regard.look.generate import ROWS, Course, Made, generate
from regard.look.settings import Progress, Settings
from regard.methods import Changes, Guide, Method, Run
from regard.tap import Edit, Observer, Select, Tap, attention_layers
from regard.trace import Prompt

STOCHASTIC = ("Ancestral", "SDE", "DDPM", "LCM", "TCD", "Stochastic")
"""In the names of schedulers that draw noise in every step."""


@dataclass(frozen=True)
class Variant:
    """One image: a prompt's picture under some methods.

    Attributes:
        methods: In the order in which they edit.
        seed: Of the first noise; None for that of the settings.
    """

    methods: tuple[Method, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class _Planned:
    """A variant, and what its methods do in the run.

    Attributes:
        place: Its place among the variants.
        variant: What was asked for.
        changes: One for each method.
    """

    place: int
    variant: Variant
    changes: tuple[Changes, ...]

    @property
    def guides(self) -> list[Guide]:
        return [each.guide for each in self.changes if each.guide is not None]

    @property
    def first_step(self) -> int | None:
        """The step at which it begins to differ from the bare run; None if it never does."""
        return min((each.first_step for each in self.changes), default=None)

    def entries(self, sample: int | None) -> list[tuple[Select, Edit]]:
        """Its edits, for one image of a batch or for all."""
        return [
            (select if sample is None else replace(select, sample=sample), edit)
            for each in self.changes
            for select, edit in each.edits
        ]


def generate_variants(
    pipeline: Any,
    settings: Settings,
    prompt: Prompt,
    variants: Sequence[Variant],
    *,
    observe: Sequence[Observer | tuple[Select, Observer]] = (),
    start: Tensor | None = None,
    progress: Progress | None = None,
) -> list[Made]:
    """Make an image for each variant; a variant without methods is what the bare pipeline makes.

    Images are made in batches of up to `ROWS`, each row with its own edits, and the steps before
    any of them begins are made once for all. Variants with guides share a batch only if their
    methods are the same.

    Args:
        pipeline: A diffusers pipeline.
        settings: What to make.
        prompt: The words and tokens of its prompt.
        variants: At least one.
        observe: For the tap; they see whole batches.
        start: The first noise, [1, channel, y, x]; None to draw it from the seeds.
        progress: Called after each step with the steps done and the steps there are.

    Returns:
        One `Made` a variant, of one image each.

    Raises:
        RegardError: what a method raises about this run, before the pipeline runs.
        ArgumentError: as for `generate`.
    """
    run = run_of(pipeline, settings, prompt)
    planned = [
        _Planned(place, variant, tuple(each.plan(run) for each in variant.methods))
        for place, variant in enumerate(variants)
    ]
    batches = _batches(planned)
    made: dict[int, Made] = {}
    for number, batch in enumerate(batches):

        def advance(done: int, steps: int, before: int = number) -> None:
            if progress is not None:
                progress(before * steps + done, len(batches) * steps)

        together = _made(pipeline, settings, batch, observe, start, advance)
        for row, each in enumerate(batch):
            latents = None if together.latents is None else together.latents[row : row + 1]
            made[each.place] = Made([together.images[row]], latents)
    return [made[place] for place in range(len(variants))]


def run_of(pipeline: Any, settings: Settings, prompt: Prompt) -> Run:
    """What methods are told about a run."""
    layers = attention_layers(pipeline)
    return Run(pipeline, prompt, settings.steps, settings.guidance, settings.seed, layers)


def _batches(planned: Sequence[_Planned]) -> list[list[_Planned]]:
    """Variants that can be made together."""
    groups: dict[Any, list[_Planned]] = {}
    for each in planned:
        # A guide moves all latents of a batch, so they must be meant to move alike.
        methods = [method.recipe() for method in each.variant.methods] if each.guides else None
        groups.setdefault(repr(methods), []).append(each)
    return [
        group[first : first + ROWS]
        for group in groups.values()
        for first in range(0, len(group), ROWS)
    ]


def _made(
    pipeline: Any,
    settings: Settings,
    batch: Sequence[_Planned],
    observe: Sequence[Observer | tuple[Select, Observer]],
    start: Tensor | None,
    progress: Progress,
) -> Made:
    guides = batch[0].guides
    # One list of edits serves all rows, or each row has its own.
    alike = len(batch) == 1 or bool(guides)
    entries = batch[0].entries(None) if alike else _each_its_own(batch)
    course = _course(pipeline, settings, batch, start, alone=not alike)
    if not (entries or observe or guides):  # then the bare pipeline, at its own speed
        return generate(pipeline, settings, rows=len(batch), progress=progress, course=course)
    seen = _denoiser(pipeline, settings, course, len(batch)) if guides else None
    with ExitStack() as opened:
        tap = opened.enter_context(Tap(pipeline, observe=observe, edit=entries))
        if seen is not None:
            course = _guided(pipeline, seen, guides, settings.guidance, course, tap, opened)
        return generate(pipeline, settings, rows=len(batch), progress=progress, course=course)


def _each_its_own(batch: Sequence[_Planned]) -> list[tuple[Select, Edit]]:
    return [entry for row, each in enumerate(batch) for entry in each.entries(row)]


def _course(
    pipeline: Any,
    settings: Settings,
    batch: Sequence[_Planned],
    start: Tensor | None,
    *,
    alone: bool,
) -> Course:
    seeds = [settings.seed if each.variant.seed is None else each.variant.seed for each in batch]
    shared = _shared_steps(batch, settings.steps) if alone and len(set(seeds)) == 1 else 0
    if shared and not _draws_noise(pipeline.scheduler):
        return Course(seeds=seeds[:1], alone=shared, start=start)
    if start is not None:
        start = start.expand(len(batch), *start.shape[1:])
    return Course(seeds=seeds, start=start)


def _shared_steps(batch: Sequence[_Planned], steps: int) -> int:
    """How many first steps are the same for all rows; the last is always each row's own."""
    begins = [each.first_step for each in batch if each.first_step is not None]
    return min([*begins, steps - 1])


def _draws_noise(scheduler: Any) -> bool:
    """Whether its steps are random, so that rows made together would not be what they are alone."""
    algorithm = str(scheduler.config.get("algorithm_type", ""))
    return "sde" in algorithm or any(part in type(scheduler).__name__ for part in STOCHASTIC)


def _denoiser(pipeline: Any, settings: Settings, course: Course, rows: int) -> Denoiser:
    def run() -> None:
        generate(pipeline, settings, rows=rows, course=course)

    return denoiser_of(pipeline, run)


def _guided(
    pipeline: Any,
    denoiser: Denoiser,
    guides: Sequence[Guide],
    guidance: float,
    course: Course,
    tap: Tap,
    opened: ExitStack,
) -> Course:
    """Open what guides need, and let them move the latents."""
    for guide in guides:
        if guide.extra is not None:
            opened.enter_context(pushed(denoiser.model, tap, guide.extra, guidance))
    moves = [guide.latents for guide in guides if guide.latents is not None]
    if not moves:
        return course

    def move(step: int, latents: Tensor) -> Tensor:
        for each in moves:
            latents = each(denoiser.moment(step, latents, tap)).detach()
        return latents

    first = move(0, denoiser.first)
    opened.enter_context(preparing(pipeline, lambda latents: first))
    return replace(course, move=move)
