"""One prompt in several variants: each image with its own methods, in as few runs as possible."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.errors import ArgumentError
from regard.look.denoiser import Denoiser, denoiser_of, preparing, pushed
from regard.look.generate import (
    Course,
    Made,
    check,
    check_seeded,
    generate,
    guided_apart,
    part_of,
    rows_at_once,
)
from regard.look.noise import noise_of
from regard.look.prompt import read
from regard.look.settings import Progress, Settings
from regard.look.turns import in_turn
from regard.methods import Changes, Guide, Method, Run
from regard.methods.text import spelled
from regard.tap import Edit, Observer, Select, Tap, attention_layers
from regard.trace import Prompt


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
        place: Its place among the variants; None for a source that is drawn beside them.
        seed: Of its first noise.
        variant: What was asked for.
        changes: One for each method.
        prompt: What it reads, if a source has to be beside it; None for the prompt of all.
    """

    place: int | None
    seed: int
    variant: Variant
    changes: tuple[Changes, ...] = ()
    prompt: str | None = None

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


@in_turn
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
    any of them begins are made once for all, unless the scheduler draws noise; one by one where it
    draws noise for a whole batch at once. Variants with guides share a batch only if their
    methods are the same. Variants that read a prompt of their own have a bare picture, the source,
    as the last of their batch, from the same noise.

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
        ArgumentError: as for `generate`; or a method is for a kind of attention that the first step
            does not show; or there are several variants and the scheduler draws noise that no
            seed decides.
    """
    run = run_of(pipeline, settings, prompt)
    planned = [_planned(place, variant, run, settings) for place, variant in enumerate(variants)]
    check(pipeline, settings)
    noise = noise_of(pipeline, settings.steps)
    if len(variants) > 1:
        noise.check(settings.caller)
    if any(each.prompt is not None for each in planned):
        noise.check_together(settings.caller)
    batches = _batches(planned, rows_at_once(noise))
    made: dict[int, Made] = {}
    for number, batch in enumerate(batches):
        advance = part_of(progress, number, len(batches))
        together = _made(pipeline, settings, batch, observe, start, advance, shares=not noise.drawn)
        check_seeded(together, pipeline, settings.caller)
        for row, each in enumerate(batch):
            latents = None if together.latents is None else together.latents[row : row + 1]
            if each.place is not None:
                own = {"images": [together.images[row]], "latents": latents}
                made[each.place] = replace(together, **own, void=together.void[row : row + 1])
    return [made[place] for place in range(len(variants))]


def run_of(pipeline: Any, settings: Settings, prompt: Prompt) -> Run:
    """What methods are told about a run."""
    layers = attention_layers(pipeline)
    return Run(pipeline, prompt, settings.steps, settings.guidance, settings.seed, layers)


def prompt_under(methods: Sequence[Method], prompt: str) -> str:
    """What a picture under some methods reads: a prompt of theirs, or else that of the run.

    Raises:
        ArgumentError: two of them have one.
    """
    own = [each.prompt for each in methods if each.prompt is not None]
    if len(own) > 1:
        raise ArgumentError(
            f"methods: a picture reads one prompt, and {len(own)} of its methods have one: "
            f"{', '.join(map(repr, own))}. Draw one picture for each."
        )
    return own[0] if own else prompt


def _planned(place: int, variant: Variant, run: Run, settings: Settings) -> _Planned:
    """What the methods of a variant do in a run; all see the prompt that its picture reads."""
    seed = settings.seed if variant.seed is None else variant.seed
    own = None
    if any(each.prompt is not None for each in variant.methods):
        own = prompt_under(variant.methods, settings.prompt)
        text = read(run.pipeline, replace(settings, prompt=own))
        run = replace(run, prompt=text, source=run.prompt)
    changes = tuple(each.plan(run) for each in variant.methods)
    return _Planned(place, seed, variant, changes, own)


def _batches(planned: Sequence[_Planned], most: int) -> list[list[_Planned]]:
    """Variants that can be made together; where one has to be beside them, the source is last."""
    groups: dict[Any, list[_Planned]] = {}
    for each in planned:
        # A guide moves all latents of a batch, so they must be meant to move alike.
        methods = [method.recipe() for method in each.variant.methods] if each.guides else None
        noise = None if each.prompt is None else each.seed
        groups.setdefault((repr(methods), noise), []).append(each)
    batches = []
    for (_, noise), group in groups.items():
        source = [] if noise is None else [_Planned(None, noise, Variant(seed=noise))]
        room = most - len(source)
        batches += [[*group[first : first + room], *source] for first in range(0, len(group), room)]
    return batches


def _made(
    pipeline: Any,
    settings: Settings,
    batch: Sequence[_Planned],
    observe: Sequence[Observer | tuple[Select, Observer]],
    start: Tensor | None,
    progress: Progress,
    *,
    shares: bool,
) -> Made:
    guides, beside = batch[0].guides, batch[-1].place is None
    # One list of edits serves all rows, or each row has its own.
    alike = len(batch) == 1 or (bool(guides) and not beside)
    entries = batch[0].entries(None) if alike else _each_its_own(batch)
    if beside:
        entries = [(_of_all(select, len(batch)), edit) for select, edit in entries]
    alone = shares and not (alike or beside)
    course = _course(pipeline, settings, batch, start, alone=alone)
    if beside:
        reads = [settings.prompt if each.prompt is None else each.prompt for each in batch]
        course = replace(course, prompts=reads)
    if not (entries or observe or guides):  # then the bare pipeline, at its own speed
        return generate(pipeline, settings, rows=len(batch), progress=progress, course=course)
    seen = _denoiser(pipeline, settings, course, len(batch)) if guides else None
    watching = [*observe, *(each for guide in guides for each in guide.observe)]
    with ExitStack() as opened:
        tap = opened.enter_context(Tap(pipeline, observe=watching, edit=entries))
        if seen is not None:
            moved = slice(None, -1) if beside else slice(None)
            course = _guided(pipeline, seen, guides, settings, course, tap, moved, opened)

        def advance(done: int, steps: int) -> None:
            _check_kinds(batch, tap, pipeline)
            _check_acted(batch, done)
            progress(done, steps)

        return generate(pipeline, settings, rows=len(batch), progress=advance, course=course)


def _check_kinds(batch: Sequence[_Planned], tap: Tap, pipeline: Any) -> None:
    """Refuse methods for a kind of attention that a step has not shown: they would change nothing.

    Raises:
        ArgumentError: there is such a method; the message has the kinds that there are.
    """
    for method in (each for planned in batch for each in planned.variant.methods):
        kind = method.kind
        if kind is not None and kind not in tap.kinds:
            raise ArgumentError(
                f"{method.name}: kind is '{kind}', and the attention of {type(pipeline).__name__} "
                f"is {' and '.join(tap.kinds)}, so nothing would change. Ask for that, or leave "
                f"kind out."
            )


def _check_acted(batch: Sequence[_Planned], done: int) -> None:
    """Refuse methods that found nothing to change, once they should have.

    Raises:
        ArgumentError: there is such a method; the message has its settings.
    """
    for planned in batch:
        for method, change in zip(planned.variant.methods, planned.changes, strict=False):
            if change.acted is not None and done > change.last_step and not change.acted():
                told = spelled(method).partition(" ")[2]
                raise ArgumentError(
                    f"{method.name}: this model has no attention that {told or 'it'} is for, so "
                    f"nothing changed. Ask for other layers or steps, or for the other "
                    f"branch of the guidance."
                )


def _each_its_own(batch: Sequence[_Planned]) -> list[tuple[Select, Edit]]:
    return [entry for row, each in enumerate(batch) for entry in each.entries(row)]


def _of_all(select: Select, images: int) -> Select:
    """The same calls, if all images are there: a guide may evaluate some without their source."""
    when = select.when
    return replace(select, when=lambda call: call.images == images and (when is None or when(call)))


def _course(
    pipeline: Any,
    settings: Settings,
    batch: Sequence[_Planned],
    start: Tensor | None,
    *,
    alone: bool,
) -> Course:
    seeds = [each.seed for each in batch]
    shared = _shared_steps(batch, settings.steps) if alone and len(set(seeds)) == 1 else 0
    if shared and not guided_apart(pipeline, settings):
        return Course(seeds=seeds[:1], alone=shared, start=start)
    if start is not None:
        start = start.expand(len(batch), *start.shape[1:])
    return Course(seeds=seeds, start=start)


def _shared_steps(batch: Sequence[_Planned], steps: int) -> int:
    """How many first steps are the same for all rows; the last is always each row's own."""
    begins = [each.first_step for each in batch if each.first_step is not None]
    return min([*begins, steps - 1])


def _denoiser(pipeline: Any, settings: Settings, course: Course, rows: int) -> Denoiser:
    def run() -> None:
        generate(pipeline, settings, rows=rows, course=course)

    return denoiser_of(pipeline, run, apart=guided_apart(pipeline, settings))


def _guided(
    pipeline: Any,
    denoiser: Denoiser,
    guides: Sequence[Guide],
    settings: Settings,
    course: Course,
    tap: Tap,
    moved: slice,
    opened: ExitStack,
) -> Course:
    """Open what guides need, and let them move the latents of these rows."""
    extras = [guide.extra for guide in guides if guide.extra is not None]
    if extras:
        opened.enter_context(pushed(denoiser, tap, extras, settings.guidance, moved))
    begin = [guide.latents for guide in guides if guide.latents is not None]
    end = [guide.after for guide in guides if guide.after is not None]

    def move(done: int, latents: Tensor) -> Tensor:
        now = latents
        for each in end if done else ():
            now = each(done - 1, now)
        for each in begin if done < denoiser.steps else ():
            now = each(denoiser.moment(done, now, tap)).detach()
        return torch.cat([now[moved], latents[len(now[moved]) :]])

    if begin:
        first = move(0, denoiser.first)
        opened.enter_context(preparing(pipeline, lambda latents: first))
    return replace(course, move=move) if begin or end else course
