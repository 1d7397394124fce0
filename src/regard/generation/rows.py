"""A request, and what its methods do: a row of a batch."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.generation.request import Request
from regard.methods import Changes, Guide, Run
from regard.models.text_to_image import TextToImage
from regard.tap import Edit, Select


@dataclass(frozen=True)
class Row:
    """A request, and what its methods do.

    Attributes:
        place: Its place among the requests; None for one that is made beside others.
        request: Decided by the model.
        changes: One for each method.
        companions: What has to be made in the same batch, as its last images.
        run: What its methods know of it; None where it has none.
    """

    place: int | None
    request: Request
    changes: tuple[Changes, ...] = ()
    companions: tuple[Request, ...] = ()
    run: Run | None = None

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
        return (*shared, latents, guided, tuple(each.key for each in self.companions))

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

    def __call__(self, place: int | None, request: Request) -> Row:
        """All methods of a request see the prompt that its image reads.

        Raises:
            ArgumentError: one method has anchors, and another a guide or a source image.
        """
        if not request.methods:
            return Row(place, request)
        run = self.run(request)
        changes = tuple(each.plan(run) for each in request.methods)
        anchors = [anchor for each in changes for anchor in each.anchors]
        companions = [replace(request, prompt=each.prompt, seed=each.seed) for each in anchors]
        if run.source is not None or any(each.guide is not None for each in changes):
            if anchors:
                names = " and ".join(method.name for method in request.methods)
                raise ArgumentError(
                    f"{caller()}: of {names}, one lets images of several prompts attend to each "
                    f"other, and another is made for one prompt alone, so they cannot be taken "
                    f"together. Take one of them."
                )
            companions = [] if run.source is None else [request.baseline]
        return Row(place, request, changes, tuple(companions), run)

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
