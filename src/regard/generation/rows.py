"""A request, and what its methods do: a row of a batch."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from regard.generation.request import Request
from regard.methods import Changes, Guide, Run
from regard.models.text_to_image import TextToImage
from regard.tap import Edit, Select
from regard.trace import Prompt


@dataclass(frozen=True)
class Row:
    """A request, and what its methods do.

    Attributes:
        place: Its place among the requests; None for one that is made beside others.
        request: Decided by the model.
        changes: One for each method.
        companion: What has to be made in the same batch, as its last image; None for nothing.
        text: The words and tokens that the image reads; None where no method asks.
    """

    place: int | None
    request: Request
    changes: tuple[Changes, ...] = ()
    companion: Request | None = None
    text: Prompt | None = None

    @property
    def steps(self) -> int:
        """Denoising steps."""
        steps = self.request.num_inference_steps
        assert steps is not None, "the model decides it"
        return steps

    @property
    def guides(self) -> list[Guide]:
        """The guides of its methods."""
        return [each.guide for each in self.changes if each.guide is not None]

    @property
    def hidden(self) -> list[int]:
        """Tokens that are masked in the text encoders too."""
        return [token for each in self.changes for token in each.hidden]

    @property
    def starts(self) -> list[Callable[[Tensor], Tensor]]:
        """What its initial noise is changed by."""
        return [each.start for each in self.changes if each.start is not None]

    @property
    def first_step(self) -> int | None:
        """The step at which it begins to differ from the baseline; None if it never does."""
        return min((each.first_step for each in self.changes), default=None)

    @property
    def together(self) -> tuple[Any, ...]:
        """What rows of one batch have in common."""
        request = self.request
        shared = (request.negative_prompt, self.steps, request.guidance_scale, request.size)
        latents = None if request.latents is None else id(request.latents)
        # A guide changes all latents of a batch, so it must be meant for all of them alike.
        guided = None
        if self.guides:
            guided = repr([method.recipe() for method in request.methods]), request.read
        beside = None if self.companion is None else self.companion.key
        return (*shared, latents, guided, beside)

    def entries(self, sample: int | None) -> list[tuple[Select, Edit]]:
        """Its edits, for one image of a batch or for all."""
        return [
            (select if sample is None else replace(select, sample=sample), edit)
            for each in self.changes
            for select, edit in each.edits
        ]


class Planner:
    """From a request to what its methods do; prompts are read once for all."""

    def __init__(self, model: TextToImage) -> None:
        self.model, self.read = model, functools.cache(model.tokenize)

    def __call__(self, place: int, request: Request) -> Row:
        """All methods of a request see the prompt that its image reads."""
        if not request.methods:
            return Row(place, request)
        run = self.run(request)
        changes = tuple(each.plan(run) for each in request.methods)
        companion = None if run.source is None else request.baseline
        return Row(place, request, changes, companion, run.prompt)

    def run(self, request: Request) -> Run:
        """What the methods of a decided request know of it."""
        beside = any(each.prompt is not None for each in request.methods)
        assert request.num_inference_steps is not None, "the model decides it"
        assert request.guidance_scale is not None, "the model decides it"
        return Run(
            self.model,
            self.read(request.read if beside else request.prompt),
            request.num_inference_steps,
            request.guidance_scale,
            request.seed,
            self.read(request.prompt) if beside else None,
        )
