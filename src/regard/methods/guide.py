"""Guides: what changes a generation beside its attention, through two seams of any pipeline.

* `Guide.latents` moves the latents before a step, `Guide.after` those that a step ended with.
* `Guide.extra` evaluates the denoiser once more in each step, with edits of its own, and pushes
  its conditional output away from what came out.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from torch import Tensor

from regard.tap import Edit, Observer, Select, Tap


@dataclass(frozen=True)
class Moment:
    """The latents before a step, and what a guide needs to evaluate the denoiser on them.

    Attributes:
        step: Which step comes next, from 0.
        steps: How many there are.
        timestep: Its noise level, as the scheduler has it.
        latents: [image, ...], not scaled for the denoiser.
        evaluate: The denoiser's output on latents of that shape, the prompt's half alone;
            differentiable. With the numbers of some images of the batch, on latents of those; with
            a scheduler and one of its timesteps, at that noise level.
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
    """One more evaluation of the prompt's half in each step, away from which the output is pushed.

    With the guidance scale w and the output c of the prompt's half, p that of the extra
    evaluation, the pipeline ends with u + w (c - u) + s (c - p); without guidance, c + s (c - p).

    Attributes:
        scale: The factor s, by step and noise level, as the scheduler has it; where it is 0,
            nothing is evaluated.
        edits: What is different in that evaluation.
        steps: In which steps; None for all.
        who: Who asks, for messages.
    """

    scale: Callable[[int, float], float]
    edits: Sequence[tuple[Select, Edit]]
    steps: Container[int] | None = None
    who: str = "a guide"


@dataclass(frozen=True)
class Guide:
    """What a method does beside editing attention.

    Attributes:
        latents: From the latents before a step to those that it starts from instead.
        extra: An extra evaluation.
        after: From the number of a step, from 0, and the latents that it ended with to those that
            are taken instead; after the last step too.
        observe: What it looks at in the evaluations of the generation itself, to know what to do.

    A picture drawn beside others for a method with a prompt of its own is never moved.
    """

    latents: Callable[[Moment], Tensor] | None = None
    extra: Extra | None = None
    after: Callable[[int, Tensor], Tensor] | None = None
    observe: Sequence[tuple[Select, Observer]] = ()
