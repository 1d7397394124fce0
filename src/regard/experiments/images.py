"""Experiments on generated images: each case is a baseline and its variants, judged together."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from regard.errors import ArgumentError
from regard.experiments.meter import Meter, Progress
from regard.experiments.plan import Plan, digest
from regard.experiments.result import Kind, Result
from regard.experiments.store import Done, small
from regard.generation import Request, generate
from regard.generation.outcome import refuse_void
from regard.look.recipe import recipe_of

if TYPE_CHECKING:  # these import torch
    from regard.models.text_to_image import TextToImage
    from regard.scores.judges import Judge

GENERATING = "generating images"


@dataclass(frozen=True)
class Variant:
    """One image of a case.

    Attributes:
        label: Short, for contact sheets.
        methods: What is changed; nothing for the baseline.
        columns: What the table says of it beside prompt and seed; None for no row.
    """

    label: str
    methods: tuple[Any, ...] = ()
    columns: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ImageCase:
    """Images of one prompt and seed that are judged together.

    Attributes:
        baseline: The request without methods, decided by the model.
        variants: Of it; the first has no methods, and no two have one label.

    Raises:
        ArgumentError: there is no baseline, or a label comes twice.
    """

    baseline: Request
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        labels = [each.label for each in self.variants]
        if not labels or self.variants[0].methods:
            raise ArgumentError(
                "ImageCase: the first variant must be the baseline, without methods: all others "
                "are compared with it. Put Variant('baseline') first."
            )
        if len(set(labels)) < len(labels):
            twice = next(each for each in labels if labels.count(each) > 1)
            raise ArgumentError(
                f"ImageCase: two variants are called '{twice}'. Give each a label of its own."
            )

    @property
    def name(self) -> tuple[str, int]:
        """Its prompt and seed, which identify it among the cases of a plan."""
        return self.baseline.prompt, self.baseline.seed

    @property
    def requests(self) -> list[Request]:
        """One for each variant."""
        return [replace(self.baseline, methods=each.methods) for each in self.variants]


@dataclass(frozen=True)
class ImagePlan(Plan[ImageCase, Result]):
    """Images to generate and to judge; memory is the images of one case, or of one prompt if timed.

    Attributes:
        kind: Of the experiment.
        model: Which generates.
        cases: In the order of the table; those of one prompt stand together.
        judges: Of the images.
        recipe: With what all is made, as plain JSON values; empty for the prompts, the seeds, the
            variants of each prompt, and what decides the images of this model.
        notes: What is not measured, and why.
        columns: Which columns of the table come first, if not those of the variants.
        timed: Whether each variant is generated alone, for all seeds of a prompt at once, so
            that its seconds can be compared; else all variants of a case are generated at once.
    """

    kind: Kind
    model: "TextToImage"
    cases: Sequence[ImageCase]
    judges: Sequence["Judge"]
    recipe: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    timed: bool = False
    grows: ClassVar = ("prompts", "seeds", "variants")

    def __post_init__(self) -> None:
        rows = [each for case in self.cases for each in case.variants if each.columns is not None]
        by = self.kind.by
        lacking = [each.label for each in rows if by is not None and by not in (each.columns or {})]
        if not rows or lacking:
            what = f"'{lacking[0]}' has no column '{by}'" if lacking else "there are none"
            raise ArgumentError(
                f"ImagePlan: the table has a row for each variant with columns, and {what}. Give "
                f"columns, such as Variant('x2', methods, {{'{by or 'factor'}': 2.0}})."
            )
        if not self.recipe:
            object.__setattr__(self, "recipe", self._recipe_of_all())

    def _recipe_of_all(self) -> dict[str, Any]:
        """Prompts, seeds, the variants of each prompt, and with what all images are made."""
        names = [case.name for case in self.cases]
        methods = {
            case.baseline.prompt: {
                each.label: [method.recipe() for method in each.methods] for each in case.variants
            }
            for case in self.cases
        }
        return {
            "prompts": list(dict.fromkeys(prompt for prompt, _ in names)),
            "seeds": list(dict.fromkeys(seed for _, seed in names)),
            "variants": methods,
            **shared_recipe(self.model, self.cases[0].baseline),
        }

    def decides(self, case: ImageCase) -> Any:
        """As for `Plan`: the model, the judges, the request and the methods of each variant."""
        return {
            "shared": self._shared,
            "baseline": case.baseline.to_json(),
            "variants": [
                [each.label, each.columns, [method.recipe() for method in each.methods]]
                for each in case.variants
            ],
        }

    def meter(self, progress: Progress | None) -> Meter:
        """Counts images."""
        total = sum(len(case.variants) for case in self.cases)
        return Meter(progress, total, GENERATING)

    def groups(self) -> Iterator[list[ImageCase]]:
        """Cases that are generated together."""
        if not self.timed:
            return super().groups()
        return (list(group) for _, group in groupby(self.cases, lambda case: case.name[0]))

    def work(
        self, cases: Sequence[ImageCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Generate cases together, and judge them one by one.

        Raises:
            ArgumentError: an image shows nothing, or its noise cannot be repeated.
        """
        meter.begin(GENERATING)
        requests = [case.requests for case in cases]
        images: list[list[Any]] = [[None] * len(each) for each in requests]
        seconds = np.zeros(len(self.cases[0].variants))
        for batch in self._batches(requests):
            wanted = [requests[case][variant] for case, variant in batch]
            self.model.noise(wanted[0].num_inference_steps).check()
            started = time.perf_counter()
            made = generate(self.model, wanted, progress=meter.share(len(batch)))
            meter.add(len(batch))
            for (case, variant), one in zip(batch, made, strict=True):
                refuse_void([one.void], even=variant == 0)
                images[case][variant] = one.image
            if self.timed:
                seconds[batch[0][1]] = (time.perf_counter() - started) / len(batch)
        return [self._judged(*each, seconds) for each in zip(cases, images, strict=True)]

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Result:
        """One row of the table for each image."""
        table = pd.DataFrame(rows)
        table = table[[*self.columns, *(name for name in table if name not in self.columns)]]
        return Result(self.kind, table, recipe, cases, self.notes, self.units)

    @property
    def units(self) -> dict[str, str]:
        """Of the columns of numbers."""
        told = {"seconds": "s"} if self.timed else {}
        return told | {name: unit for judge in self.judges for name, unit in judge.units.items()}

    @cached_property
    def _shared(self) -> str:
        judges = [each.recipe() for each in self.judges]
        return digest([self.timed, self.model.recipe(), judges])

    def _batches(self, requests: Sequence[Sequence[Any]]) -> list[list[tuple[int, int]]]:
        """Case and variant of each image that one call generates."""
        cases, variants = range(len(requests)), range(len(requests[0]))
        apart = [[(case, variant) for case in cases] for variant in variants]
        return apart if self.timed else [[image for images in apart for image in images]]

    def _judged(self, case: ImageCase, images: Sequence[Any], seconds: np.ndarray) -> Done:
        """The rows and small images of a case."""
        told = [number for number, each in enumerate(case.variants) if each.columns is not None]
        shown, requests = [images[number] for number in told], case.requests
        measured: dict[str, list[Any]] = {}
        for judge in self.judges:
            measured |= judge(shown, [requests[number] for number in told], images[0])
        rows = [
            {
                **(case.variants[number].columns or {}),
                **dict(zip(("prompt", "seed"), case.name, strict=True)),
                **({"seconds": float(seconds[number])} if self.timed else {}),
                **{name: values[row] for name, values in measured.items()},
            }
            for row, number in enumerate(told)
        ]
        labels = [each.label for each in case.variants]
        return Done(rows, labels, np.stack([small(each) for each in images]), len(images))


def shared_recipe(model: Any, request: Request) -> dict[str, Any]:
    """With what all images are made, as plain JSON values: the recipe of one less what is its own.

    Args:
        model: A `TextToImage`.
        request: Decided by the model.
    """
    own = ("prompt", "seed", "negative_prompt")
    return {name: told for name, told in recipe_of(model, request).items() if name not in own}
