"""Images from requests.

* `Request`: one image, fully described; `Sampling`: the keyword arguments that describe one.
* `generate`: an image for each request, in as few runs of the pipeline as possible.
* `StepEvent`: what ``on_step`` is called with after each denoising step.
"""

from typing import TYPE_CHECKING

from regard.generation.request import Request, Sampling
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.generation.batches import generate
    from regard.generation.events import StepEvent
    from regard.generation.run import Generated

__all__ = ["Generated", "Request", "Sampling", "StepEvent", "generate"]

hand_out(  # these import torch
    __name__,
    {
        "Generated": "regard.generation.run:Generated",
        "StepEvent": "regard.generation.events:StepEvent",
        "generate": "regard.generation.batches:generate",
    },
)
