"""What a method knows of the run that it is to change, and what it changes there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from regard.methods.guide import Guide
from regard.models.text_to_image import TextToImage
from regard.tap import Edit, Select
from regard.trace import Prompt


@dataclass(frozen=True)
class Run:
    """What a method knows of the run that it is to change.

    Attributes:
        model: The model that generates.
        prompt: The words and tokens of the prompt that the image is generated from.
        source: Those of the source image, which is generated beside it as the last image of the
            batch if a method has a prompt of its own; else None.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance.
        seed: Of the initial noise; all randomness of a method follows from it.
    """

    model: TextToImage
    prompt: Prompt
    steps: int
    guidance: float
    seed: int
    source: Prompt | None = None


@dataclass(frozen=True)
class Changes:
    """What a method does in one run.

    Attributes:
        edits: For the tap, in order.
        guide: What it does to the latents, or to the output of the denoiser; None for nothing.
        first_step: The step at which it begins; all before is as without it.
        last_step: The step after which its edits must have found something to change.
        acted: Whether they have; None where that is not checked.
        hidden: Tokens of the prompt that are masked as keys in every text encoder too.
        start: From the initial noise of its image, [channel, ...], to what it begins with instead.
    """

    edits: Sequence[tuple[Select, Edit]] = ()
    guide: Guide | None = None
    first_step: int = 0
    last_step: int = 0
    acted: Callable[[], bool] | None = None
    hidden: Sequence[int] = ()
    start: Callable[[Any], Any] | None = None


Plan = Callable[[Run], Changes]
"""From what is known of a run to what is changed in it; raises if the run cannot be so changed."""
