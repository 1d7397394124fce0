"""A sweep as pictures and a page: where taking something away matters, and how it looks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from regard.experiments.store import Done
from regard.experiments.sweeps.ablations import Layer
from regard.experiments.sweeps.judging import UNITS
from regard.experiments.sweeps.result import Sweep, shown
from regard.measures.words import SAME
from regard.stats.ends import LEAST
from regard.views import Plate, Section, contact_sheet, dots, matrix, report

ON_PAGE = 6
"""Sheets that the page shows; the others lie beside it."""

ON_SHEET = 64
"""Pictures on a sheet: eight rows of eight."""

MOST_ROWS = 40
"""Of the summary, on the page and in charts: the strongest."""

NAMES = {
    "perceptual_distance": "perceptual distance from the picture as it is",
    "distance": "mean difference of pixels from the picture as it is",
    "clip_change": "change of the clip score",
    "neglected_change": "change of the share of neglected subjects",
    "still_shown": "subjects that are still shown",
}


def figures_of(sweep: Sweep) -> Iterator[tuple[str, Any]]:
    """All pictures of a sweep with their names: charts of the effects, then a sheet of each cell.

    One after the other, so that no more than one is in memory.
    """
    for name in sweep.effects:
        if sweep.table[name].notna().any():
            yield f"effect-{name}", _chart(sweep, name)
    for number, prompt in enumerate(sweep.recipe["prompts"]):
        for seed in sweep.recipe["seeds"]:
            if (prompt, seed) in sweep.cells:
                done = sweep.cells[prompt, seed]
                yield f"sheet-{number:03}-seed-{seed}", _sheet(done, sweep.effects[0])


def on_page(names: Sequence[str]) -> list[str]:
    """Which of the pictures the page shows: the charts, and the first sheets."""
    sheets = [name for name in names if name.startswith("sheet-")]
    return [name for name in names if name not in sheets[ON_PAGE:]]


def page_of(sweep: Sweep, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        sweep: What was found.
        figures: Pictures that `figures_of` gives, or their PNGs, at least those `on_page`.
    """
    charts = {name: each for name, each in figures.items() if name.startswith("effect-")}
    sheets = [name for name in figures if name.startswith("sheet-")]
    titles = [
        f"'{prompt}', seed {seed}"
        for prompt in sweep.recipe["prompts"]
        for seed in sweep.recipe["seeds"]
        if (prompt, seed) in sweep.cells
    ]
    plain = {
        name: Plate(figures[name], f"{title}: as it is, then without one of the {sweep.over}, the "
                    f"largest {_unit(sweep.effects[0])} first.")
        for name, title in list(zip(sheets, titles, strict=False))[:ON_PAGE]
    }  # fmt: skip
    more = len(titles) - len(plain)
    text = (f"{more} more sheets lie in the folder figures.",) if more > 0 else ()
    plates = {name: Plate(each, _caption(sweep, name)) for name, each in charts.items()}
    sections = [
        Section("Where it matters", plates=plates),
        Section("What it looks like", text, plates=plain),
        Section("Each picture", tables={"table": sweep.table}),
    ]
    drawn = len(sweep.table) + len(sweep.cells)
    recipe = {name: value for name, value in sweep.recipe.items() if name != "scheduler_config"}
    return report(
        f"Which {sweep.over} of {sweep.recipe['model']} matter",
        sections,
        summary=_summary(sweep),
        lead=[*_lead(sweep, drawn), *sweep.notes],
        recipe=recipe,
    )


def _lead(sweep: Sweep, drawn: int) -> list[str]:
    prompts, seeds = len(sweep.recipe["prompts"]), len(sweep.recipe["seeds"])
    during = sweep.recipe["during"]
    when = "in all steps" if during is None else f"in the steps {during[0]} to {during[1] - 1}"
    ablations = sweep.table["ablation"].nunique()
    few = "" if prompts >= LEAST else f" Fewer than {LEAST} prompts give no interval."
    rest = f", the {MOST_ROWS} strongest" if ablations > MOST_ROWS else ""
    return [
        f"{drawn} pictures (prompts: {prompts}, seeds: {seeds}), as they are and without each "
        f"of {ablations} {sweep.over} {when}. Means, with intervals of 95 % over "
        f"prompts{rest}.{few}"
    ]


def _summary(sweep: Sweep) -> pd.DataFrame:
    """The strongest rows as a reader wants them, with paths of layers shortened."""
    table = shown(sweep, MOST_ROWS)
    if "layer" not in table:
        return table
    about = [name for name in ("layer", "place", "kind", "head") if name in table]
    return table.assign(ablation=_labels(table)).drop(columns=about)


def _labels(table: pd.DataFrame) -> list[str]:
    shorts = _shorts(table)
    if "head" not in table:
        return shorts
    return [f"{short}, head {head}" for short, head in zip(shorts, table["head"], strict=True)]


def _shorts(table: pd.DataFrame) -> list[str]:
    about = zip(table["layer"], table["kind"], table["place"], strict=True)
    return [Layer(path, 0, kind, place, reads=False).short for path, kind, place in about]


def _chart(sweep: Sweep, name: str) -> Any:
    """Layers down and heads across, or one dot for each ablation."""
    summary = sweep.summary()
    if sweep.over == "heads":
        return matrix(_grid(sweep, summary, name), units=_unit(name))
    summary = summary.head(MOST_ROWS).copy()
    if "layer" in summary:
        summary["ablation"] = _labels(summary)
    at = None if name == "still_shown" else 0.0
    return dots(summary, "ablation", name, across=_unit(name), at=at)


def _grid(sweep: Sweep, summary: pd.DataFrame, name: str) -> xr.DataArray:
    """Mean effects over layer, in running order, and head."""
    order = sweep.table.drop_duplicates("layer")
    wide = summary.pivot(index="layer", columns="head", values=name).loc[order["layer"]]
    coords = {"layer": _shorts(order), "head": list(wide.columns)}
    return xr.DataArray(wide.to_numpy(float), dims=("layer", "head"), coords=coords)


def _sheet(done: Done, effect: str) -> Any:
    """The bare picture, then those that differ most from it first."""
    order = sorted(range(len(done.rows)), key=lambda row: -done.rows[row][effect])[: ON_SHEET - 1]
    captions = [f"{done.labels[row + 1]}: {_said(done.rows[row], effect)}" for row in order]
    pictures = [done.pictures[0], *(done.pictures[row + 1] for row in order)]
    side = max(done.pictures.shape[1:3])
    return contact_sheet(pictures, [done.labels[0], *captions], scale=max(1, 128 // side))


def _said(row: Mapping[str, Any], effect: str) -> str:
    seen = row.get("segmenter", SAME)
    return f"{row[effect]:.3f}" + ("" if seen == SAME else f"; {seen.split(' -> ')[-1]}")


def _unit(name: str) -> str:
    """A number as its axis names it."""
    unit = "" if UNITS[name] == "1" else f", {UNITS[name]}"
    return name.replace("_", " ") + unit


def _caption(sweep: Sweep, figure: str) -> str:
    name = figure.removeprefix("effect-")
    strongest = sweep.effects[0].replace("_", " ")
    order = "heads across, layers down" if sweep.over == "heads" else f"largest {strongest} first"
    told = f"{NAMES[name]}, mean over prompts and seeds; {order}."
    return told[0].upper() + told[1:]
