"""How a benchmark is averaged and shown: the summary, a chart of each measure, and sheets."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from regard.experiments.contenders import NAMES, across, chart, means_of
from regard.experiments.result import Kind, Result, is_sheet, paged
from regard.stats.ends import LEAST
from regard.views import Plate, Section, contact_sheet, report

BASELINE, ALL = "baseline", "all"

MEASURES = (
    "neglected", "neglected_subjects", "misbound_colours", "full_prompt",
    "minimum_object_similarity", "caption_similarity", "seconds",
)  # fmt: skip

SHOWN_PROMPTS = 8
"""Prompts of each set whose images the page shows."""


def methods_of(found: Result) -> list[str]:
    """Their names, the baseline first."""
    return list(dict.fromkeys(found.table["method"]))


def summary_of(found: Result, level: float, seed: int) -> pd.DataFrame:
    """Means with intervals, for each set and method, and how they differ from the baseline.

    Args:
        found: The benchmark.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        seed: Of the bootstrap, which resamples whole prompts.

    Returns:
        A row for each set (``all`` last), method and measure: ``mean`` with its ends ``low``
        and ``high``; ``ratio`` to the mean of the baseline; ``difference`` from it, image by
        image, with its ends and ``p``. Ends are NaN with fewer than five prompts.
    """
    rows = [
        {"set": part, **told}
        for part in [*dict.fromkeys(found.table["set"]), ALL]
        for of_one in [found.table if part == ALL else found.table[found.table["set"] == part]]
        for told in means_of(of_one, "method", found.measures, level=level, seed=seed)
    ]
    return pd.DataFrame(rows)


def figures_of(found: Result) -> Iterator[tuple[str, Any]]:
    """All figures of a benchmark by name: a chart of each measure, a sheet of each set."""
    summary = found.summary()
    known = set(summary["measure"][summary["mean"].notna()])
    for name in found.measures:
        if name in known:
            yield f"chart-{name}", chart(summary, name, summary["set"] + ", " + summary["method"])
    for part in dict.fromkeys(found.table["set"]):
        yield f"sheet-{part}", _sheet(found, part)


def page_of(found: Result, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The benchmark.
        figures: As `figures_of` gives them, or their PNGs.
    """
    charts = {
        name: Plate(each, f"{NAMES[name.removeprefix('chart-')]}, with intervals of 95 %.")
        for name, each in figures.items()
        if name.startswith("chart-")
    }
    sheets = {
        name: Plate(each, f"Prompts of the set {name.removeprefix('sheet-')}: a row for each, "
                    f"the seed 0, {', then '.join(methods_of(found))}.")
        for name, each in figures.items()
        if is_sheet(name)
    }  # fmt: skip
    summary = found.summary()
    sections = [
        Section("Each measure", plates=charts),
        Section("What it looks like", plates=sheets),
        Section("Each set", tables={"summary": summary}),
    ]
    recipe = {name: value for name, value in found.recipe.items() if name != "scheduler_config"}
    return report(
        "The Attend-and-Excite benchmark",
        sections,
        summary=table_of(summary),
        lead=[_lead(found), *found.notes],
        recipe={**recipe, "prompts": _prompts(found)},
    )


def table_of(summary: pd.DataFrame, part: str = ALL) -> pd.DataFrame:
    """The means of one set as a reader wants them: a row for each method, measures across.

    Args:
        summary: As `summary_of` gives it.
        part: Name of the set.
    """
    return across(summary[summary["set"] == part], "method")


def _lead(found: Result) -> str:
    asked, all_of_them = _prompts(found), len(_published())
    part = f"{asked} of the {all_of_them}" if asked < all_of_them else f"All {all_of_them}"
    seeds, steps = found.recipe["seeds"], found.recipe["num_inference_steps"]
    return (
        f"{part} prompts, {seeds} seed{'s' * (seeds != 1)}, {steps} steps: "
        f"{len(found.table)} images. Means over images; the intervals of 95 % are over "
        f"prompts, and fewer than {LEAST} prompts have none. 'cost' is the time of an image "
        f"against that of the baseline in this run."
    )


def _prompts(found: Result) -> int:
    return found.table["prompt"].nunique()


def _published() -> tuple[str, ...]:
    from regard.data.prompts import prompts

    return prompts()


def _sheet(found: Result, part: str) -> Any:
    """A row for each of a few prompts: the first seed of each method."""
    rows = found.table[found.table["set"] == part]
    prompts = list(dict.fromkeys(rows["prompt"]))[:SHOWN_PROMPTS]
    shown = [
        (image, prompt if row["method"] == BASELINE else row["method"])
        for prompt in prompts
        for done in [found.cases[prompt, 0]]
        for image, row in zip(done.images, done.rows, strict=True)
    ]
    images, captions = zip(*shown, strict=True)
    return contact_sheet(images, captions, columns=len(methods_of(found)))


BENCHMARK = Kind("benchmark", summary_of, paged(figures_of, page_of), MEASURES)
