"""Guides at work: latents updated between steps, and the denoiser's output guided away."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import ArgumentError
from regard.methods import Extra, Guide, Moment
from regard.methods.guide import Before
from regard.models.capture import Captured, first_of, preparing, rows_of, with_first
from regard.models.text_to_image import TextToImage
from regard.tap import AttentionCall, Tap


@dataclass(frozen=True)
class Guiding:
    """The guides of a batch.

    Attributes:
        model: The model.
        captured: How its pipeline calls the denoiser.
        tap: Watches it.
        guides: In the order in which they change latents.
        images: Which rows of the batch they change.
        scale: The pipeline's guidance scale.
        apart: Whether the unconditional branch is an evaluation of its own.
    """

    model: TextToImage
    captured: Captured
    tap: Tap
    guides: Sequence[Guide]
    images: slice
    scale: float
    apart: bool

    def open(self, opened: ExitStack) -> Callable[[int, Tensor], Tensor] | None:
        """Open what the guides need; what they make of latents after so many steps, if anything."""
        extras = [guide.extra for guide in self.guides if guide.extra is not None]
        if extras:
            opened.enter_context(self._guided_away(extras))
        for guide in self.guides:
            if guide.before is not None:
                opened.enter_context(self._seen_before(guide.before))
        begin = [guide.latents for guide in self.guides if guide.latents is not None]
        end = [guide.after for guide in self.guides if guide.after is not None]

        def move(done: int, latents: Tensor) -> Tensor:
            now = latents
            for each in end if done else ():
                now = each(done - 1, now)
            for each in begin if done < self.captured.steps else ():
                now = each(self._moment(done, now)).detach()
            return torch.cat([now[self.images], latents[len(now[self.images]) :]])

        if begin:
            first = move(0, self.captured.first)
            opened.enter_context(preparing(self.model, lambda latents: first))
        return move if begin or end else None

    def _moment(self, step: int, latents: Tensor) -> Moment:
        """What a guide gets to see before a step."""
        captured = self.captured
        position = self.tap.steps.position if step else captured.begin
        timestep = captured.scheduler.timesteps[position]

        def evaluate(
            moved: Tensor,
            images: Sequence[int] | None = None,
            scheduler: Any = captured.scheduler,
            level: Tensor = timestep,
        ) -> Tensor:
            # Some schedulers scale latents for the denoiser; a gradient has to go through that.
            scaled = getattr(scheduler, "scale_model_input", lambda sample, _: sample)
            own = captured.branch("cond", images)
            own[captured.latents] = scaled(moved, level)
            own["timestep"] = self._as_given(level, own["timestep"])
            output: Tensor = first_of(captured.model(**own))
            return output

        return Moment(step, captured.steps, timestep, latents, evaluate, self.tap)

    def _as_given(self, timestep: Tensor, first: Any) -> Any:
        """A timestep in the form, and on the scale, that the pipeline gives it."""
        if not torch.is_tensor(first):
            return timestep
        start = self.captured.scheduler.timesteps[self.captured.begin]
        scale = float(first.flatten()[0]) / float(start) if float(start) else 1.0
        return (timestep * scale).to(first.dtype).expand(first.shape) if first.ndim else timestep

    @contextmanager
    def _seen_before(self, before: Before) -> Iterator[None]:
        """Let the denoiser see the inputs of some steps once more, before and without edits."""
        denoiser, tap = self.captured.model, self.tap

        def first(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            if tap.beside or tap.step not in before.steps:
                return
            parts = tuple(dict.fromkeys(tap.labels))
            aside = tap.aside(conditions=parts, observe=before.observe, unedited=True)
            with torch.no_grad(), aside:
                denoiser(*args, **kwargs)

        hook = denoiser.register_forward_pre_hook(first, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def _guided_away(self, extras: Sequence[Extra]) -> Iterator[None]:
        """Guide the conditional output of the denoiser away from that of further evaluations."""
        denoiser, tap = self.captured.model, self.tap
        names = list(inspect.signature(denoiser.forward).parameters)

        def after(_: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
            step, labels, level = tap.step, tap.labels, tap.steps.level
            if tap.beside or "cond" not in labels:  # a guide's own, or the unconditional branch
                return None
            here = [each for each in extras if each.steps is None or step in each.steps]
            due = [(each, scale) for each in here if (scale := each.scale(step, level))]
            if not due:
                return None
            given = dict(zip(names, args, strict=False)) | kwargs
            own = rows_of(given, labels, per_token=self.captured.per_token)
            rows = [row for row, label in enumerate(labels) if label == "cond"]
            whole = first_of(output)
            moved = whole.clone()
            guided = self.apart or "uncond" in labels
            for each, scale in due:
                apart = whole[rows] - _evaluated(denoiser, own, tap, each)
                apart = apart * (scale / self.scale if guided else scale)
                moved[rows[self.images]] += apart[self.images]
            return with_first(output, moved)

        hook = denoiser.register_forward_hook(after, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def _evaluated(model: nn.Module, inputs: Mapping[str, Any], tap: Tap, extra: Extra) -> Tensor:
    """The output under the edits of an extra evaluation; refused if they change no layer."""
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
