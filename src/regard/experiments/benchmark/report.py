"""A benchmark as pictures and a page: the summary, a chart of each measure, and what was drawn."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from regard.experiments.benchmark.result import ALL, BARE, Benchmark
from regard.stats.ends import LEAST
from regard.views import Plate, Section, contact_sheet, dots, report

SHOWN_PROMPTS = 8
"""Prompts of each set whose pictures the page shows."""

NAMES = {
    "neglected": "share of pictures that neglect a subject",
    "neglected_subjects": "share of subjects that are neglected",
    "misbound_colours": "share of colours that are wrong",
    "full_prompt": "cosine of picture and prompt",
    "weaker_half": "cosine of picture and weaker half of the prompt",
    "caption_similarity": "cosine of caption and prompt",
    "seconds": "seconds of one picture",
}


def figures_of(found: Benchmark) -> dict[str, Any]:
    """All pictures of a benchmark by name: a chart of each measure, a sheet of each set."""
    summary = found.summary()
    known = set(summary["measure"][summary["mean"].notna()])
    charts = {f"chart-{name}": _chart(summary, name) for name in found.measures if name in known}
    sheets = {f"sheet-{part}": _sheet(found, part) for part in dict.fromkeys(found.table["set"])}
    return {**charts, **sheets}


def page_of(found: Benchmark, figures: Mapping[str, Any]) -> str:
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
                    f"the seed 0, {', then '.join(found.methods)}.")
        for name, each in figures.items()
        if name.startswith("sheet-")
    }  # fmt: skip
    summary = found.summary()
    sections = [
        Section("Each measure", plates=charts),
        Section("What was drawn", plates=sheets),
        Section("Each set", tables={"summary": summary}),
    ]
    recipe = {name: value for name, value in found.recipe.items() if name != "scheduler_config"}
    return report(
        "The Attend-and-Excite benchmark",
        sections,
        summary=table_of(summary),
        lead=[_lead(found), *found.notes],
        recipe={**recipe, "prompts": len(found.cells)},
    )


def table_of(summary: pd.DataFrame, part: str = ALL) -> pd.DataFrame:
    """The means of one set as a reader wants them: a row for each method, measures across.

    Args:
        summary: As `Benchmark.summary` gives it.
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


def _lead(found: Benchmark) -> str:
    few = len(found.cells) < len(_published())
    part = f"{len(found.cells)} of the {len(_published())}" if few else f"All {len(_published())}"
    seeds, steps = found.recipe["seeds"], found.recipe["num_inference_steps"]
    return (
        f"{part} prompts, {seeds} seed{'s' * (seeds != 1)}, {steps} steps: "
        f"{len(found.table)} pictures. Means over pictures; the intervals of 95 % are over "
        f"prompts, and fewer than {LEAST} prompts have none. 'cost' is the time of a picture "
        f"against that of the bare pipeline in this run."
    )


def _published() -> tuple[str, ...]:
    from regard.data.prompts import prompts

    return prompts()


def _chart(summary: pd.DataFrame, measure: str) -> Any:
    rows = summary[(summary["measure"] == measure) & summary["mean"].notna()]
    told = rows.rename(columns={"low": "mean_low", "high": "mean_high"})
    told = told.assign(of=told["set"] + ", " + told["method"])
    return dots(told, "of", "mean", title=NAMES[measure], across=measure.replace("_", " "))


def _sheet(found: Benchmark, part: str) -> Any:
    """A row for each of a few prompts: the first seed of each method."""
    rows = found.table[found.table["set"] == part]
    prompts = list(dict.fromkeys(rows["prompt"]))[:SHOWN_PROMPTS]
    pictures, captions = [], []
    for prompt in prompts:
        done = found.cells[prompt]
        for number, row in enumerate(done.rows):
            if row["seed"] == 0:
                pictures.append(done.pictures[number])
                captions.append(prompt if row["method"] == BARE else row["method"])
    return contact_sheet(pictures, captions, columns=len(found.methods))
