"""How a benchmark is averaged and shown: the summary, a chart of each measure, and sheets."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from regard.experiments.result import Kind, Result, is_sheet, paged
from regard.stats.ends import LEAST
from regard.stats.means import bootstrap, paired
from regard.views import Plate, Section, contact_sheet, dots, report

BASELINE, ALL = "baseline", "all"

MEASURES = (
    "neglected", "neglected_subjects", "misbound_colours", "full_prompt",
    "minimum_object_similarity", "caption_similarity", "seconds",
)  # fmt: skip

SHARES = ("neglected", "neglected_subjects", "misbound_colours")
"""Measures between 0 and 1, where five prompts without a fault are no proof that there is none."""

SHOWN_PROMPTS = 8
"""Prompts of each set whose images the page shows."""

NAMES = {
    "neglected": "share of images that neglect a subject",
    "neglected_subjects": "share of subjects that are neglected",
    "misbound_colours": "share of colours that are wrong",
    "full_prompt": "cosine of image and prompt",
    "minimum_object_similarity": "cosine of image and the subject it fits least",
    "caption_similarity": "cosine of caption and prompt",
    "seconds": "seconds of one image",
}


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
    sets = [*dict.fromkeys(found.table["set"]), ALL]
    rows = [
        {"set": part, "method": method, "measure": measure, **told}
        for part in sets
        for method in methods_of(found)
        for measure in found.measures
        for told in [_told(found.table, part, method, measure, level, seed)]
    ]
    return pd.DataFrame(rows)


def figures_of(found: Result) -> Iterator[tuple[str, Any]]:
    """All figures of a benchmark by name: a chart of each measure, a sheet of each set."""
    summary = found.summary()
    known = set(summary["measure"][summary["mean"].notna()])
    for name in found.measures:
        if name in known:
            yield f"chart-{name}", _chart(summary, name)
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
    rows = summary[summary["set"] == part]
    methods = list(dict.fromkeys(rows["method"]))
    table = pd.DataFrame({"method": methods})
    for measure in dict.fromkeys(rows["measure"]):
        of_one = rows[rows["measure"] == measure].set_index("method").reindex(methods)
        for column, end in (("mean", ""), ("low", "_low"), ("high", "_high")):
            table[f"{measure}{end}"] = of_one[column].to_numpy()
        if measure == "seconds":
            table["cost"] = of_one["ratio"].to_numpy()
    return table


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


def _chart(summary: pd.DataFrame, measure: str) -> Any:
    rows = summary[(summary["measure"] == measure) & summary["mean"].notna()]
    told = rows.rename(columns={"low": "mean_low", "high": "mean_high"})
    told = told.assign(of=told["set"] + ", " + told["method"])
    return dots(told, "of", "mean", title=NAMES[measure], across=measure.replace("_", " "))


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


def _told(
    table: pd.DataFrame, part: str, method: str, measure: str, level: float, seed: int
) -> dict[str, float]:
    mine, first = _rows(table, part, method), _rows(table, part, BASELINE)
    how: dict[str, Any] = {"clusters": mine["prompt"].tolist(), "level": level, "seed": seed}
    values, before = mine[measure].to_numpy(float), first[measure].to_numpy(float)
    if not np.isfinite(values).any():  # animals alone name no colours: nothing to average
        return {}
    share = measure in SHARES
    found = bootstrap(values, **how, bounds=(0.0, 1.0) if share else None)
    told = {"mean": found.mean, "low": found.low, "high": found.high}
    known = np.isfinite(before)
    at_first = float(before[known].mean()) if known.any() else np.nan
    told["ratio"] = found.mean / at_first if at_first else np.nan
    if method == BASELINE or not (known & np.isfinite(values)).any():  # no pair to compare
        return told
    against = paired(before, values, **how, bounds=(-1.0, 1.0) if share else None)
    return {
        **told,
        "difference": against.interval.mean,
        "difference_low": against.interval.low,
        "difference_high": against.interval.high,
        "p": against.p,
    }


def _rows(table: pd.DataFrame, part: str, method: str) -> pd.DataFrame:
    rows = table[table["method"] == method]
    return rows if part == ALL else rows[rows["set"] == part]


BENCHMARK = Kind("benchmark", summary_of, paged(figures_of, page_of), MEASURES)
