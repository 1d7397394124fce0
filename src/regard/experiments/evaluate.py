"""One call: the figures that the card of a bundled model quotes, measured again."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from regard.arguments import pathlike
from regard.experiments.evaluate_report import EVALUATION, Evaluation, table_of
from regard.experiments.evaluations.task import CardTask, Chunk
from regard.experiments.meter import Meter, Progress
from regard.experiments.plan import Plan
from regard.experiments.result import Kind
from regard.experiments.run import run
from regard.experiments.store import Done
from regard.progress import check_progress
from regard.zoo import recipe, weights_folder

_TASKS = {
    "contrastive": "regard.experiments.evaluations.scenes:clip",
    "autoencoder": "regard.experiments.evaluations.scenes:autoencoder",
    "segmenter": "regard.experiments.evaluations.scenes:segmenter",
    "captioner": "regard.experiments.evaluations.scenes:captioner",
    "diffusion": "regard.experiments.evaluations.openmoji:diffusion",
    "joint": "regard.experiments.evaluations.openmoji:diffusion",
    "classifier": "regard.experiments.evaluations.clothes:classifier",
}
"""By the task of a recipe: what makes its `CardTask`."""


def evaluate(
    name: str,
    *,
    quick: bool = False,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Evaluation:
    """Measure every figure that the card of a bundled model quotes.

    Args:
        name: A name of `regard.zoo.recipes`.
        quick: Take a subset that needs less than a minute; ``images`` says how many images.
        store: A folder to which what each chunk of images gave is written at once; a call with the
            same settings and folder goes on from there. None keeps all in memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with what is being done, the images done and the images there are.

    Returns:
        An `Evaluation`; its ``figures`` is one flat mapping of shares and accuracies in 0..1,
        ``psnr_db`` in decibels, and ends of intervals.

    Raises:
        UnknownName: no bundled model has this name.
        DataError: its weights, or those of a judge, are not there.
        OutputError: the store holds something else, or cannot be written.
    """
    check_progress(progress)
    recipe(name)  # or there is none of this name
    store = None if store is None else pathlike(store, "store", "evaluate")
    plan = EvaluationPlan.of(name, quick=quick)
    return run(plan, store=store, overwrite=overwrite, progress=progress)


@dataclass(frozen=True)
class EvaluationPlan(Plan[Chunk, Evaluation]):
    """The evaluation of one model.

    Attributes:
        task: How its figures are measured.
        cases: The images, in chunks.
        recipe: With what they are measured, as plain JSON values.
    """

    task: CardTask
    cases: Sequence[Chunk]
    recipe: dict[str, Any]
    kind: Kind = EVALUATION

    @classmethod
    def of(cls, name: str, *, quick: bool) -> "EvaluationPlan":
        """The plan of a bundled model.

        Args:
            name: Of the model.
            quick: Whether a subset is taken.
        """
        trained = recipe(name)
        module, attribute = _TASKS[trained.task].split(":")
        task: CardTask = getattr(import_module(module), attribute)(trained)
        settings = {
            "model": name,
            "weights_sha256": {each: _files_sha256(each) for each in (name, *trained.judges)},
            "quick": quick,
            "versions": {each: version(each) for each in ("regard", "torch", "diffusers")},
        }
        return cls(task, task.chunks(quick), settings)

    def decides(self, case: Chunk) -> Any:
        """Which images; the recipe decides the rest."""
        return list(case.name)

    def meter(self, progress: Progress | None) -> Meter:
        """Counts images."""
        total = sum(len(chunk) for chunk in self.cases)
        return Meter(progress, total, f"{self.task.doing} {total:,} images")

    def work(
        self, cases: Sequence[Chunk], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Measure some chunks."""
        made = []
        for chunk in cases:
            made.append(self.task.measure(chunk))
            meter.add(len(chunk))
        return made

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Evaluation:
        """The figures, rounded to four digits."""
        found = self.task.figures({chunk: cases[chunk.name] for chunk in self.cases})
        figures = {key: round(float(value), 4) for key, value in found.items()}
        return Evaluation(self.kind, table_of(figures), recipe, cases, figures=figures)


def _files_sha256(name: str) -> str:
    """SHA-256 over the files of a bundled model's weights."""
    found = hashlib.sha256()
    for file in sorted(weights_folder(name).rglob("*.safetensors")):
        found.update(file.read_bytes())
    return found.hexdigest()
