"""One call: the figures that the card of a bundled model quotes, measured again."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pandas as pd

from regard.arguments import pathlike
from regard.errors import unknown
from regard.experiments.evaluations.task import CardTask, Chunk
from regard.experiments.meter import Meter, Progress
from regard.experiments.plan import Plan
from regard.experiments.result import Kind, Result, paged
from regard.experiments.run import run
from regard.experiments.store import Done
from regard.progress import check_progress
from regard.views import Plate, Section, contact_sheet, report
from regard.zoo import recipes, weights_folder
from regard.zoo.cards import FIGURES, GOALS

_TASKS = {
    "openmoji-clip": "regard.experiments.evaluations.scenes:CLIP",
    "openmoji-autoencoder": "regard.experiments.evaluations.scenes:AUTOENCODER",
    "openmoji-segmenter": "regard.experiments.evaluations.scenes:SEGMENTER",
    "openmoji-captioner": "regard.experiments.evaluations.scenes:CAPTIONER",
    "openmoji": "regard.experiments.evaluations.openmoji:OPENMOJI",
    "fashion-vit": "regard.experiments.evaluations.clothes:CLASSIFIER",
}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """What `evaluate` measured.

    Attributes:
        kind: `EVALUATION`.
        table: One row for each figure: figure, what it is, value, the ends of its interval and the
            goal; NaN where there is none.
        recipe: Model, weights, whether quick, and versions.
        cases: What each chunk of images gave.
        figures: Every figure by its key, with the ends of intervals; shares in 0..1.
    """

    figures: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Evaluation({self.recipe['model']}: {len(self.table)} figures)"

    def to_json(self) -> dict[str, Any]:
        """Every figure by its key, one flat object."""
        return dict(self.figures)


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
    if name not in _TASKS:
        raise unknown("bundled model", name, recipes())
    store = None if store is None else pathlike(store, "store", "evaluate")
    plan = EvaluationPlan.of(name, quick=quick)
    found = run(plan, store=store, overwrite=overwrite, progress=progress)
    assert isinstance(found, Evaluation)
    return found


@dataclass(frozen=True)
class EvaluationPlan(Plan[Chunk]):
    """The evaluation of one model.

    Attributes:
        task: How its figures are measured.
        cases: The images, in chunks.
        recipe: With what they are measured, as plain JSON values.
    """

    task: CardTask
    cases: Sequence[Chunk]
    recipe: dict[str, Any]

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """`EVALUATION`."""
        return EVALUATION

    @classmethod
    def of(cls, name: str, *, quick: bool) -> "EvaluationPlan":
        """The plan of a bundled model.

        Args:
            name: Of the model.
            quick: Whether a subset is taken.
        """
        module, attribute = _TASKS[name].split(":")
        task: CardTask = getattr(import_module(module), attribute)
        recipe = {
            "model": name,
            "weights_sha256": {each: _files_sha256(each) for each in (name, *task.judges)},
            "quick": quick,
            "versions": {each: version(each) for each in ("regard", "torch", "diffusers")},
        }
        return cls(task, task.chunks(quick), recipe)

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


def table_of(figures: Mapping[str, float]) -> pd.DataFrame:
    """One row for each figure that a card quotes.

    Args:
        figures: As `Evaluation.figures` has them.

    Returns:
        figure, meaning, value, value_low, value_high and goal.

    Example:
        >>> table_of({"psnr_db": 31.5})[["figure", "value", "goal"]].values.tolist()
        [['psnr_db', 31.5, 28.0]]
    """
    nothing = float("nan")
    return pd.DataFrame(
        [
            {
                "figure": key,
                "meaning": meaning,
                "value": figures[key],
                "value_low": figures.get(f"{key}_low", nothing),
                "value_high": figures.get(f"{key}_high", nothing),
                "goal": GOALS.get(key, nothing),
            }
            for key, meaning in FIGURES.items()
            if key in figures
        ]
    )


def figures_of(found: Evaluation) -> Iterator[tuple[str, Any]]:
    """A sheet of the images of each chunk that generated some."""
    for number, done in enumerate(found.cases.values()):
        if done.labels:
            yield f"sheet-{number:03}", contact_sheet(list(done.images), done.labels, scale=2)


def page_of(found: Evaluation, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The evaluation.
        figures: Its sheets of images, as `figures_of` gives them, or their PNGs.
    """
    caption = "What was generated: its prompt, and in brackets what the segmenter finds."
    plates = {name: Plate(each, caption) for name, each in figures.items()}
    sections = [Section("What it looks like", plates=plates)] if plates else []
    quick = "A quick subset, not to be quoted. " if found.recipe["quick"] else ""
    lead = [f"{quick}Measured on what was never trained on; intervals are of 95 %."]
    title = f"The figures of {found.recipe['model']}"
    return report(title, sections, summary=found.table, lead=lead, recipe=found.recipe)


EVALUATION = Kind("evaluate", lambda found, level, seed: found.table, paged(figures_of, page_of))
