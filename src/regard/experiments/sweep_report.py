"""How a sweep is averaged and shown: where an ablation matters, and what the images show."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.axes import SAMPLE
from regard.experiments.result import ON_PAGE, Kind, Result, is_sheet, paged
from regard.experiments.store import Done
from regard.measures.verdicts import SAME
from regard.stats.ends import LEAST
from regard.stats.means import intervals
from regard.views import Plate, Section, contact_sheet, dots, matrix, report

ON_SHEET = 64
"""Images on a sheet: eight rows of eight."""

EFFECTS = ("perceptual_distance", "distance", "clip_change", "neglected_change", "still_shown")
"""What is averaged; the first that was measured is what a sweep is sorted by."""

BOUNDS = {"neglected_change": (-1.0, 1.0), "still_shown": (0.0, 1.0)}
"""What no value of an effect lies beyond."""

OF_ABLATION = ("layer", "stage", "kind", "head", "word")

MOST_ROWS = 40
"""Of the summary, on the page and in charts: the strongest."""

NAMES = {
    "perceptual_distance": "perceptual distance from the baseline",
    "distance": "mean difference of pixels from the baseline",
    "clip_change": "change of the clip score",
    "neglected_change": "change of the share of neglected subjects",
    "still_shown": "subjects that are still shown",
}


def summary_of(found: Result, level: float, seed: int) -> pd.DataFrame:
    """One row for each ablation, the strongest first: mean effects with their intervals.

    Args:
        found: The sweep.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        seed: Of the bootstrap, which resamples whole prompts.

    Returns:
        ablation and what it is, ``images``, and for each effect its mean with the ends of its
        interval, NAME_low and NAME_high: NaN with fewer than five prompts.
    """
    about = [name for name in OF_ABLATION if name in found.table]
    groups = found.table.groupby("ablation", sort=False)
    told = groups[about].first()
    told["images"] = groups.size()
    for name in found.measures:
        spread = _spread(found.table, name, level, seed)
        for end in ("mean", "low", "high"):
            column = name if end == "mean" else f"{name}_{end}"
            told[column] = spread[end].reindex(told.index)
    return told.sort_values(found.measures[0], ascending=False, kind="stable").reset_index()


def shown(found: Result, most: int) -> pd.DataFrame:
    """The strongest rows of the summary; ends of intervals only where there are any."""
    table = found.summary().head(most)
    ends = [f"{name}_{end}" for name in found.measures for end in ("low", "high")]
    return table.drop(columns=[name for name in ends if table[name].isna().all()])


def figures_of(found: Result) -> Iterator[tuple[str, Any]]:
    """All figures of a sweep by name: charts of the effects, then a sheet of each case.

    One after the other, so that no more than one is in memory.
    """
    for name in found.measures:
        if found.table[name].notna().any():
            yield f"effect-{name}", _chart(found, name)
    for number, prompt in enumerate(found.recipe["prompts"]):
        for seed in found.recipe["seeds"]:
            if (prompt, seed) in found.cases:
                done = found.cases[prompt, seed]
                yield f"sheet-{number:03}-seed-{seed}", _sheet(done, found.measures[0])


def page_of(found: Result, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The sweep.
        figures: What `figures_of` gives, or PNGs; of sheets at least the first `ON_PAGE`.
    """
    charts = {name: each for name, each in figures.items() if name.startswith("effect-")}
    sheets = [name for name in figures if is_sheet(name)]
    titles = [
        f"'{prompt}', seed {seed}"
        for prompt in found.recipe["prompts"]
        for seed in found.recipe["seeds"]
        if (prompt, seed) in found.cases
    ]
    plain = {
        name: Plate(figures[name], f"{title}: the baseline, then without one of the "
                    f"{found.recipe['over']}, the largest {_unit(found, found.measures[0])} first.")
        for name, title in list(zip(sheets, titles, strict=False))[:ON_PAGE]
    }  # fmt: skip
    more = len(titles) - len(plain)
    text = (f"{more} more sheets lie in the folder figures.",) if more > 0 else ()
    plates = {name: Plate(each, _caption(found, name)) for name, each in charts.items()}
    sections = [
        Section("Where it matters", plates=plates),
        Section("What it looks like", text, plates=plain),
        Section("Each image", tables={"table": found.table}),
    ]
    drawn = len(found.table) + len(found.cases)
    recipe = {name: value for name, value in found.recipe.items() if name != "scheduler_config"}
    return report(
        f"Which {found.recipe['over']} of {found.recipe['model']} matter",
        sections,
        summary=_summary(found),
        lead=[*_lead(found, drawn), *found.notes],
        recipe=recipe,
    )


def _lead(found: Result, drawn: int) -> list[str]:
    prompts, seeds = len(found.recipe["prompts"]), len(found.recipe["seeds"])
    during = found.recipe["during"]
    when = "in all steps" if during is None else f"in the steps {during[0]} to {during[1] - 1}"
    ablations = found.table["ablation"].nunique()
    few = "" if prompts >= LEAST else f" Fewer than {LEAST} prompts give no interval."
    rest = f", the {MOST_ROWS} strongest" if ablations > MOST_ROWS else ""
    return [
        f"{drawn} images (prompts: {prompts}, seeds: {seeds}), baselines and without each of "
        f"{ablations} {found.recipe['over']} {when}. Means, with intervals of 95 % over "
        f"prompts{rest}.{few}"
    ]


def _summary(found: Result) -> pd.DataFrame:
    """The strongest rows as a reader wants them, with paths of layers shortened."""
    table = shown(found, MOST_ROWS)
    if "layer" not in table:
        return table
    about = [name for name in ("layer", "stage", "kind", "head") if name in table]
    return table.assign(ablation=_labels(table)).drop(columns=about)


def _labels(table: pd.DataFrame) -> list[str]:
    shorts = _shorts(table)
    if "head" not in table:
        return shorts
    return [f"{short}, head {head}" for short, head in zip(shorts, table["head"], strict=True)]


def _shorts(table: pd.DataFrame) -> list[str]:
    from regard.experiments.ablations import Layer  # which imports torch

    about = zip(table["layer"], table["kind"], table["stage"], strict=True)
    return [Layer(path, 0, kind, stage, reads=False).short for path, kind, stage in about]


def _chart(found: Result, name: str) -> Any:
    """Layers down and heads across, or one dot for each ablation."""
    summary = found.summary()
    if found.recipe["over"] == "heads":
        return matrix(_grid(found, summary, name), units=_unit(found, name))
    summary = summary.head(MOST_ROWS).copy()
    if "layer" in summary:
        summary["ablation"] = _labels(summary)
    at = None if name == "still_shown" else 0.0
    return dots(summary, "ablation", name, across=_unit(found, name), at=at)


def _grid(found: Result, summary: pd.DataFrame, name: str) -> xr.DataArray:
    """Mean effects over layer, in running order, and head."""
    order = found.table.drop_duplicates("layer")
    wide = summary.pivot(index="layer", columns="head", values=name).loc[order["layer"]]
    coords = {"layer": _shorts(order), "head": list(wide.columns)}
    return xr.DataArray(wide.to_numpy(float), dims=("layer", "head"), coords=coords)


def _sheet(done: Done, effect: str) -> Any:
    """The baseline, then those that differ most from it first."""
    order = sorted(range(len(done.rows)), key=lambda row: -done.rows[row][effect])[: ON_SHEET - 1]
    captions = [f"{done.labels[row + 1]}: {_said(done.rows[row], effect)}" for row in order]
    images = [done.images[0], *(done.images[row + 1] for row in order)]
    side = max(done.images.shape[1:3])
    return contact_sheet(images, [done.labels[0], *captions], scale=max(1, 128 // side))


def _said(row: Mapping[str, Any], effect: str) -> str:
    seen = row.get("segmenter", SAME)
    return f"{row[effect]:.3f}" + ("" if seen == SAME else f"; {seen.split(' -> ')[-1]}")


def _unit(found: Result, name: str) -> str:
    """A number as its axis names it."""
    told = found.units[name]
    unit = "" if told == "1" else f", {told}"
    return name.replace("_", " ") + unit


def _caption(found: Result, figure: str) -> str:
    name = figure.removeprefix("effect-")
    strongest = found.measures[0].replace("_", " ")
    heads = found.recipe["over"] == "heads"
    order = "heads across, layers down" if heads else f"largest {strongest} first"
    told = f"{NAMES[name]}, mean over prompts and seeds; {order}."
    return told[0].upper() + told[1:]


def _spread(table: pd.DataFrame, name: str, level: float, seed: int) -> pd.DataFrame:
    """Mean, low and high of one effect for each ablation."""
    wide = table.pivot(index=["prompt", "seed"], columns="ablation", values=name)
    if not wide.notna().to_numpy().any():
        return pd.DataFrame(np.nan, index=wide.columns, columns=["mean", "low", "high"])
    values = xr.DataArray(wide.to_numpy(float), dims=(SAMPLE, "ablation"))
    prompts = list(wide.index.get_level_values("prompt"))
    how: dict[str, Any] = {"clusters": prompts, "level": level, "seed": seed}
    found = intervals(values, **how, bounds=BOUNDS.get(name))
    ends = {end: found[end].values for end in ("mean", "low", "high")}
    return pd.DataFrame(ends, index=wide.columns)


SWEEP = Kind("sweep", summary_of, paged(figures_of, page_of), EFFECTS)
