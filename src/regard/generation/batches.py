"""Images from requests: each with its own methods, in as few runs of the pipeline as possible."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.errors import ArgumentError
from regard.generation.events import OnStep, Progress, StepEvent, part_of
from regard.generation.guides import Guiding
from regard.generation.outcome import refuse_void
from regard.generation.request import Request
from regard.generation.rows import Planner, Row
from regard.generation.run import BatchPlan, Generated, run
from regard.generation.turns import in_turn
from regard.methods import Changes, Method
from regard.methods.run import Computed
from regard.methods.text import spelled
from regard.models.capture import Captured, capture, preparing
from regard.models.masking import encoders_mask
from regard.models.text_to_image import TextToImage
from regard.tap import Edit, Observer, Select, Tap

ROWS = 16
"""Images made at a time: a batch saves time up to about here, and then only takes memory."""

Observers = Sequence[Observer | tuple[Select, Observer]]


@in_turn
def generate(
    model: TextToImage,
    requests: Sequence[Request],
    *,
    observe: Observers = (),
    on_step: OnStep | None = None,
    progress: Progress | None = None,
) -> list[Generated]:
    """Generate an image for each request; one without methods is what the pipeline makes alone.

    Requests are made in batches of up to `ROWS`, each row with its own prompt, seed and edits, and
    the steps before any of them begins are made once for all, unless the scheduler draws noise; one
    by one where it draws noise for a whole batch at once. Requests with guides share a batch only
    if their methods are the same. Where a method has the image read another prompt, the image of
    the request's own prompt, the source, is made beside it as the last of its batch.

    Args:
        model: The model.
        requests: What to generate.
        observe: For the tap; they see whole batches.
        on_step: Called after each step of each batch.
        progress: Called after each step with the steps done and the steps there are.

    Returns:
        One `Generated` for each request.

    Raises:
        RegardError: what a method raises about this request, before the pipeline runs.
        ArgumentError: as for `TextToImage.decide` and `regard.generation.run.run`; or a method is
            for a kind of attention that the first step does not show; or there are several requests
            and the scheduler draws noise that no seed decides.
        Cancelled: ``on_step`` raised it.

    Example:
        >>> model = TextToImage.of("openmoji")
        >>> made = generate(model, [Request("a cat", num_inference_steps=1)])
        >>> made[0].image.size
        (64, 64)
    """
    plan = Planner(model)
    rows = [plan(place, model.decide(each)) for place, each in enumerate(requests)]
    noises = {each.request.num_inference_steps: model.noise(each.steps) for each in rows}
    for noise in noises.values():
        if len(requests) > 1:
            noise.check()
        if any(each.companions for each in rows):
            noise.check_together()
    batches = _batches(rows, plan, {steps: ROWS if n.apart else 1 for steps, n in noises.items()})
    made: dict[int, Generated] = {}
    for number, batch in enumerate(batches):
        advance = _telling(on_step, part_of(progress, number, len(batches)))
        drawn = noises[batch[0].request.num_inference_steps].random
        together = _Batch(model, batch, observe, advance).run(shares=not drawn)
        made |= {
            row.place: one
            for row, one in zip(batch, together, strict=True)
            if row.place is not None
        }
    # An image that others attend to may have been asked for twice.
    same = {row.request: row.place for row in rows if row.place in made}
    return [made[same[row.request]] if row.place not in made else made[row.place] for row in rows]


def generate_to_compare(
    model: TextToImage, requests: Sequence[Request], *, progress: Progress | None = None
) -> list[Any]:
    """The images of some requests, which are to be compared with one another.

    Returns:
        One PIL image for each request.

    Raises:
        ArgumentError: as for `generate`; or the scheduler draws noise that no seed decides; or an
            image was blackened, or is NaN.
    """
    for steps in {model.decide(each).num_inference_steps for each in requests}:
        model.noise(steps).check()
    made = generate(model, requests, progress=progress)
    refuse_void([each.void for each in made], even=False)
    return [each.image for each in made]


# Inside


def _batches(rows: Sequence[Row], plan: Planner, most: dict[int | None, int]) -> list[list[Row]]:
    """Rows that can be made together; their companions are the last of each batch."""
    groups: dict[Any, list[Row]] = {}
    masks = any(row.hidden for row in rows)
    for row in rows:
        # What is masked in a text encoder is found by what it reads, so that must be one prompt.
        groups.setdefault((*row.together, row.request.read if masks else None), []).append(row)
    batches = []
    for group in groups.values():
        last = [plan(None, each) for each in group[0].companions]
        own = [row for row in group if row.request not in group[0].companions]
        room = max(1, most[group[0].steps] - len(last))
        # Without any image but companions there is one batch of these.
        firsts = range(0, len(own), room) if own else [0]
        parts = [[*own[first : first + room], *last] for first in firsts]
        batches += [_with_asked(parts[0], group), *parts[1:]]
    return batches


def _with_asked(batch: list[Row], group: Sequence[Row]) -> list[Row]:
    """A batch in which companions that are asked for themselves have their places."""
    asked = {row.request: row for row in group}
    return [asked.get(row.request, row) if row.place is None else row for row in batch]


def _telling(on_step: OnStep | None, progress: Progress) -> OnStep:
    def after(event: StepEvent) -> None:
        progress(event.step + 1, event.total)
        if on_step is not None:
            on_step(event)

    return after


class _Batch:
    """Rows that are run at once."""

    def __init__(
        self, model: TextToImage, rows: Sequence[Row], observe: Observers, on_step: OnStep
    ) -> None:
        self.model, self.rows, self.observe, self.on_step = model, rows, observe, on_step
        self.group = _changes_of_all(rows)
        self.request = rows[0].request
        self.guides = [*rows[0].guides, *(each.guide for _, each in self.group if each.guide)]
        self.beside = rows[-1].place is None and not self.group

    def run(self, *, shares: bool) -> list[Generated]:
        """Run them; ``shares`` says whether equal rows stay equal until a method begins."""
        # One list of edits serves all rows, or each row has its own.
        alone = not (self.beside or self.group)
        alike = len(self.rows) == 1 or (bool(self.guides) and alone)
        entries = self.rows[0].entries(None) if alike else self._each_its_own()
        entries += [entry for _, each in self.group for entry in each.edits]
        if not alone:
            entries = [(_of_all(select, len(self.rows)), edit) for select, edit in entries]
        plan = self._plan(alone=shares and alone and not alike)
        captured = self._captured(plan) if self.guides else None
        watching = [*self.observe, *(each for guide in self.guides for each in guide.observe)]
        with ExitStack() as opened:
            self._prepare(opened)
            if not (entries or watching or self.guides):  # the pipeline alone, at its own speed
                return run(self.model, plan, self.on_step)
            tap = opened.enter_context(Tap(self.model.pipeline, observe=watching, edit=entries))
            if captured is not None:
                plan = replace(plan, move=self._guiding(captured, tap).open(opened))

            for path, see in [each for _, changes in self.group for each in changes.outputs]:
                opened.enter_context(_shown_to(see, self.model, path, tap))

            def after(event: StepEvent) -> None:
                _check_kinds(self.rows, tap, self.model)
                _check_acted([*self._changes(), *self.group], event.step + 1)
                self.on_step(event)

            for _ in range(1, max((changes.passes for _, changes in self.group), default=1)):
                run(self.model, plan, after)
            return run(self.model, plan, after)

    def _changes(self) -> Iterator[tuple[Method, Changes]]:
        """The changes of single rows, each with its method."""
        for row in self.rows:
            yield from zip(row.request.methods, row.changes, strict=False)

    def _each_its_own(self) -> list[tuple[Select, Edit]]:
        return [entry for row, each in enumerate(self.rows) for entry in each.entries(row)]

    def _plan(self, *, alone: bool) -> BatchPlan:
        prompts = [row.request.read for row in self.rows]
        seeds = [row.request.seed for row in self.rows]
        same = len(set(seeds)) == 1 and len(set(prompts)) == 1
        shared = self._shared_steps() if alone and same else 0
        start = self.request.latents
        if shared and not self.model.guided_apart(self.request):
            return BatchPlan(self.request, prompts, seeds, alone=shared, start=start)
        if start is not None:
            start = start.expand(len(self.rows), *start.shape[1:])
        return BatchPlan(self.request, prompts, seeds, start=start)

    def _shared_steps(self) -> int:
        """How many first steps are the same for all rows; the last is always each row's own."""
        begins = [each.first_step for each in self.rows if each.first_step is not None]
        return min([*begins, self.rows[0].steps - 1])

    def _prepare(self, opened: ExitStack) -> None:
        """Change initial noise, and mask tokens in the text encoders, of the rows that ask for it.

        Raises:
            CannotMask: a text encoder cannot mask tokens; said when the pipeline runs.
        """
        if any(row.starts for row in self.rows):
            opened.enter_context(preparing(self.model, self._started))
        if any(row.hidden for row in self.rows):
            run = next(row.run for row in self.rows if row.hidden)
            assert run is not None, "a method has read it"
            groups = [row.hidden for row in self.rows]
            masked = encoders_mask(self.model.pipeline, self.model.denoiser, run.prompt, groups)
            opened.enter_context(masked)

    def _started(self, latents: Tensor) -> Tensor:
        rows = []
        for row, own in zip(self.rows, latents, strict=True):
            for change in row.starts:
                own = change(own)
            rows.append(own)
        return torch.stack(rows)

    def _captured(self, plan: BatchPlan) -> Captured:
        return capture(self.model, lambda: run(self.model, plan))

    def _guiding(self, captured: Captured, tap: Tap) -> Guiding:
        images = slice(None, -1) if self.beside else slice(None)
        assert self.request.guidance_scale is not None, "the model decides it"
        return Guiding(
            self.model, captured, tap, self.guides, images, self.request.guidance_scale,
            self.model.guided_apart(self.request),
        )  # fmt: skip


def _changes_of_all(rows: Sequence[Row]) -> list[tuple[Method, Changes]]:
    """What methods change in the whole batch; all of its rows have the same ones."""
    runs = [row.run for row in rows if row.run is not None]
    both = zip(rows[0].request.methods, rows[0].changes, strict=False)
    return [(method, each.together(runs)) for method, each in both if each.together is not None]


@contextmanager
def _shown_to(
    see: Callable[[Computed], None], model: TextToImage, path: str, tap: Tap
) -> Iterator[None]:
    """Let a function see what a module of the denoiser computes in the generation itself."""

    def after(_: Any, args: Any, output: Any) -> None:
        if not tap.beside:
            tensor = output if torch.is_tensor(output) else output[-1]
            see(Computed(tap.run, tap.step, float(tap.steps.level), tap.labels, tensor))

    hook = model.denoiser.get_submodule(path).register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()


def _of_all(select: Select, images: int) -> Select:
    """The same calls, if all images are there: a guide may evaluate some without their source."""
    when = select.when
    return replace(select, when=lambda call: call.images == images and (when is None or when(call)))


def _check_kinds(rows: Sequence[Row], tap: Tap, model: TextToImage) -> None:
    """Refuse methods for a kind of attention that no step has shown: they would change nothing.

    Raises:
        ArgumentError: there is such a method; the message lists the kinds.
    """
    for method in (each for row in rows for each in row.request.methods):
        kind = method.kind
        if kind is not None and kind not in tap.kinds:
            raise ArgumentError(
                f"{method.name}: kind is '{kind}', and the attention of "
                f"{type(model.pipeline).__name__} is {' and '.join(tap.kinds)}, so nothing would "
                f"change. Ask for that, or leave kind out."
            )


def _check_acted(changes: Sequence[tuple[Method, Changes]], done: int) -> None:
    """Refuse methods that found nothing to change, once they should have.

    Raises:
        ArgumentError: there is such a method; the message has its settings.
    """
    for method, change in changes:
        if change.acted is not None and done > change.last_step and not change.acted():
            settings = spelled(method).partition(" ")[2] or "it"
            raise ArgumentError(
                f"{method.name}: this model has no attention that {settings} is for, so nothing "
                f"changed. Ask for other layers or steps, or for the other branch of the guidance."
            )
