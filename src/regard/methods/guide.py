"""Guides: what changes a generation beside its attention, through two seams of any pipeline.

* `Guide.latents` updates the latents before a step, `Guide.after` those that a step ended with.
* `Guide.extra` makes one more forward pass of the denoiser in each step, with edits of its own, and
  steers the conditional prediction away from its result.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from torch import Tensor

from regard.tap import Edit, Observer, Select, Tap


@dataclass(frozen=True)
class Moment:
    """The latents before a step, and what a guide needs for a forward pass on them.

    Attributes:
        step: Which step comes next, from 0.
        steps: How many there are.
        timestep: Its timestep, as the scheduler has it.
        latents: [image, ...], not scaled for the denoiser.
        evaluate: The conditional prediction on latents of that shape; differentiable. With the
            numbers of some images of the batch, on latents of those; with a scheduler and one of
            its timesteps, at that timestep.
        tap: Watches the denoiser; see `Tap.aside`.
    """

    step: int
    steps: int
    timestep: Tensor
    latents: Tensor
    evaluate: Callable[..., Tensor]
    tap: Tap


@dataclass(frozen=True)
class Extra:
    """One more conditional forward pass in each step, to steer away from.

    With the guidance scale w, the predictions u and c of the unconditional and the conditional
    branch, and p that of the extra pass, the pipeline ends with u + w (c - u) + s (c - p); without
    guidance, with c + s (c - p).

    Attributes:
        scale: The factor s, by step and timestep, as the scheduler has it; where it is 0, there is
            no extra pass.
        edits: What is different in that pass.
        steps: In which steps; None for all.
        who: The method, for messages.
    """

    scale: Callable[[int, float], float]
    edits: Sequence[tuple[Select, Edit]]
    steps: Container[int] | None = None
    who: str = "a guide"


@dataclass(frozen=True)
class Before:
    """One more forward pass on the inputs of a step, before its own and without any edit.

    Attributes:
        observe: What it is made for.
        steps: In which steps.
    """

    observe: Sequence[tuple[Select, Observer]]
    steps: Container[int]


@dataclass(frozen=True)
class Guide:
    """What a method does beside editing attention.

    Attributes:
        latents: From the latents before a step to those that it starts from instead.
        extra: An extra forward pass.
        after: From the number of a step, from 0, and the latents that it ended with to those that
            are taken instead; after the last step too.
        before: A forward pass before that of a step.
        observe: What it observes in the forward passes of the generation itself.

    The source image of a method with a prompt of its own is never changed.
    """

    latents: Callable[[Moment], Tensor] | None = None
    extra: Extra | None = None
    after: Callable[[int, Tensor], Tensor] | None = None
    before: Before | None = None
    observe: Sequence[tuple[Select, Observer]] = ()
