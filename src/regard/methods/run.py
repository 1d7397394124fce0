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
class Anchor:
    """An image that others of its batch attend to, generated beside them under the same methods.

    Attributes:
        prompt: What it shows.
        seed: Of its initial noise.
    """

    prompt: str
    seed: int


@dataclass(frozen=True)
class Computed:
    """What a module of the denoiser computed in one forward pass.

    Attributes:
        run: In which generation of the batch, from 0.
        step: In which denoising step, from 0.
        level: The timestep, as the scheduler has it.
        labels: The branch of each row: 'uncond' or 'cond'.
        output: The tensor, with a row for each of these.
    """

    run: int
    step: int
    level: float
    labels: Sequence[str | None]
    output: Any


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
        anchors: Images that have to be in the same batch, as its last ones, in this order.
        passes: How often the batch is generated; the last time counts.
        outputs: Modules of the denoiser by their path, and what sees their output of each forward
            pass of the generation.
        together: For a method that acts on a whole batch: from what is known of each of its
            images, in their order, to what is changed in it; None for one that acts on an image
            alone.
    """

    edits: Sequence[tuple[Select, Edit]] = ()
    guide: Guide | None = None
    first_step: int = 0
    last_step: int = 0
    acted: Callable[[], bool] | None = None
    hidden: Sequence[int] = ()
    start: Callable[[Any], Any] | None = None
    anchors: Sequence[Anchor] = ()
    passes: int = 1
    outputs: Sequence[tuple[str, Callable[[Computed], None]]] = ()
    together: "Callable[[Sequence[Run]], Changes] | None" = None


Plan = Callable[[Run], Changes]
"""From what is known of a run to what is changed in it; raises if the run cannot be so changed."""
