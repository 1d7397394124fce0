"""How a comparison of models is averaged and shown: summary, charts, and images side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from regard.experiments.contenders import NAMES, across, chart, means_of
from regard.experiments.result import Kind, Result, is_sheet, paged
from regard.stats.ends import LEAST
from regard.views import Plate, Section, contact_sheet, report

MEASURES = (
    "neglected", "neglected_subjects", "misbound_colours", "miscounted_subjects", "full_prompt",
    "minimum_object_similarity", "seconds",
)  # fmt: skip

ON_SHEET = 8
"""Prompts of one sheet of images."""


def models_of(found: Result) -> list[str]:
    """Their names, that of the first one first."""
    return list(found.recipe["models"])


def summary_of(found: Result, level: float, seed: int) -> pd.DataFrame:
    """Means of each model with intervals, and how they differ from the first one's.

    Args:
        found: The comparison.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        seed: Of the bootstrap, which resamples whole prompts.

    Returns:
        A row for each model and measure, as `regard.experiments.contenders.means_of` gives it;
        ends are NaN with fewer than five prompts.
    """
    return pd.DataFrame(means_of(found.table, "model", found.measures, level=level, seed=seed))


def figures_of(found: Result) -> Iterator[tuple[str, Any]]:
    """All figures of a comparison by name: a chart of each measure, sheets of images."""
    summary = found.summary()
    known = set(summary["measure"][summary["mean"].notna()])
    for name in found.measures:
        if name in known:
            yield f"chart-{name}", chart(summary, name, summary["model"])
    prompts, names = found.recipe["prompts"], models_of(found)
    for number, first in enumerate(range(0, len(prompts), ON_SHEET)):
        images, captions = [], []
        for prompt in prompts[first : first + ON_SHEET]:
            for name in names:
                images.append(found.cases[name, prompt, found.recipe["seeds"][0]].images[0])
                captions.append(prompt if name == names[0] else name)
        yield f"sheet-{number:02}", contact_sheet(images, captions, columns=2 * len(names))


def page_of(found: Result, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The comparison.
        figures: As `figures_of` gives them, or their PNGs.
    """
    order = ", then ".join(models_of(found))
    charts = {
        name: Plate(each, f"{NAMES[name.removeprefix('chart-')]}, with intervals of 95 %.")
        for name, each in figures.items()
        if name.startswith("chart-")
    }
    sheets = {
        name: Plate(each, f"Two prompts in a row, seed {found.recipe['seeds'][0]}: {order}.")
        for name, each in figures.items()
        if is_sheet(name)
    }
    summary = found.summary()
    sections = [
        Section("Each measure", plates=charts),
        Section("What it looks like", plates=sheets),
        Section("All means", tables={"summary": summary}),
    ]
    return report(
        f"{order.replace(', then', ' and')}, compared",
        sections,
        summary=across(summary, "model"),
        lead=[_lead(found), *found.notes],
        recipe={name: _sampling(made) for name, made in found.recipe["models"].items()},
    )


def _sampling(made: Mapping[str, Any]) -> str:
    """With what a model generated, in a line."""
    told = {
        "steps": made.get("num_inference_steps"),
        "guidance": made.get("guidance_scale"),
        "scheduler": made.get("scheduler"),
    }
    return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)


def _lead(found: Result) -> str:
    prompts, seeds = len(found.recipe["prompts"]), len(found.recipe["seeds"])
    return (
        f"{prompts} prompt{'s' * (prompts != 1)}, {seeds} seed{'s' * (seeds != 1)}: "
        f"{len(found.table)} images. Means over images; intervals of 95 % are over prompts, and "
        f"fewer than {LEAST} prompts have none. 'cost' is the time of an image against that of "
        f"{models_of(found)[0]} in this run. Differences are to {models_of(found)[0]}."
    )


COMPARE = Kind("comparison", summary_of, paged(figures_of, page_of), MEASURES)
