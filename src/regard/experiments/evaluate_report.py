"""What `evaluate` measured, and how it is shown: figures with their goals, and the images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from regard.experiments.result import Kind, Result, paged
from regard.views import Plate, Section, contact_sheet, report
from regard.zoo.cards import FIGURES, GOALS


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


EVALUATION = Kind("evaluation", lambda found, level, seed: found.table, paged(figures_of, page_of))
