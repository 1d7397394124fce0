"""What a sweep gives: a row for each thing taken away, prompt and seed; means with intervals."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.axes import SAMPLE
from regard.experiments.store import Done, begun
from regard.experiments.studies.study import plain_rows
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.stats.means import intervals

TABLE, SUMMARY, PAGE, FIGURES = "table.csv", "summary.csv", "report.html", "figures"

STAMP = "regard-sweep"
FOLDER = SavedFolder("Sweep.save", "sweep", partial(unlisted, stamp=STAMP))
check_folder = FOLDER.check
begin = partial(begun, FOLDER)

EFFECTS = ("perceptual_distance", "distance", "clip_change", "neglected_change", "still_shown")
"""What is averaged; the first that was measured is what a sweep is sorted by."""

BOUNDS = {"neglected_change": (-1.0, 1.0), "still_shown": (0.0, 1.0)}
"""What no value of an effect lies beyond."""

OF_ABLATION = ("layer", "place", "kind", "head", "word")


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """What became of pictures without each head, layer, word or place.

    Attributes:
        over: ``heads``, ``layers``, ``words`` or ``places``.
        table: One row for each ablation, prompt and seed: ablation, what it is (layer, place, kind
            and head; or word), prompt, seed, and against the bare picture: ``distance`` (mean
            absolute difference, share of full scale), ``perceptual_distance``, ``clip_score`` and
            ``clip_change`` (cosine), ``neglected`` (share of the prompt's subjects) and
            ``neglected_change``, ``still_shown`` (share of the subjects of the bare picture) and
            ``segmenter`` (``same``, or what was seen before and after). What nobody could measure
            has no column; `notes` say why.
        cells: For each prompt and seed its rows, labels and small pictures, the bare one first;
            with a store they are read from there one at a time.
        recipe: With what it was made, plain JSON values.
        notes: What was not measured, and why.
    """

    over: str
    table: pd.DataFrame
    cells: Mapping[tuple[str, int], Done]
    recipe: dict[str, Any]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        cells = f"{len(self.recipe['prompts'])} prompts x {len(self.recipe['seeds'])} seeds"
        return f"Sweep({self.over}: {self.table['ablation'].nunique()} ablations, {cells})"

    @property
    def effects(self) -> list[str]:
        """The columns of the table that are averaged; by the first of them a sweep is sorted."""
        return [name for name in EFFECTS if name in self.table]

    def summary(self, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """One row for each ablation, the strongest first: mean effects with their intervals.

        Args:
            level: Share of such intervals that hold the true mean, between 0 and 1.
            seed: Of the bootstrap, which draws whole prompts.

        Returns:
            ablation and what it is, ``pictures``, and for each of `effects` its mean with the ends
            of its interval, NAME_low and NAME_high: NaN with fewer than five prompts.
        """
        about = [name for name in OF_ABLATION if name in self.table]
        groups = self.table.groupby("ablation", sort=False)
        told = groups[about].first()
        told["pictures"] = groups.size()
        for name in self.effects:
            spread = self._spread(name, level, seed)
            for end in ("mean", "low", "high"):
                column = name if end == "mean" else f"{name}_{end}"
                told[column] = spread[end].reindex(told.index)
        return told.sort_values(self.effects[0], ascending=False, kind="stable").reset_index()

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write table.csv, summary.csv, report.html, recipe.json and figures.

        Args:
            folder: Where to; complete when it is there, and not there before.
            overwrite: Whether a sweep that was saved there may be replaced.

        Returns:
            The folder.

        Raises:
            OutputError: something is there already, or writing failed.
        """
        return FOLDER.write(folder, lambda fresh: _fill(self, fresh), overwrite=overwrite)

    def _spread(self, name: str, level: float, seed: int) -> pd.DataFrame:
        """Mean, low and high of one effect for each ablation."""
        wide = self.table.pivot(index=["prompt", "seed"], columns="ablation", values=name)
        if not wide.notna().to_numpy().any():
            return pd.DataFrame(np.nan, index=wide.columns, columns=["mean", "low", "high"])
        values = xr.DataArray(wide.to_numpy(float), dims=(SAMPLE, "ablation"))
        prompts = list(wide.index.get_level_values("prompt"))
        how: dict[str, Any] = {"clusters": prompts, "level": level, "seed": seed}
        found = intervals(values, **how, bounds=BOUNDS.get(name))
        ends = {end: found[end].values for end in ("mean", "low", "high")}
        return pd.DataFrame(ends, index=wide.columns)


def _fill(sweep: Sweep, folder: Path) -> None:
    from regard.experiments.sweeps.report import figures_of, on_page, page_of
    from regard.views.report import png_of

    (folder / FIGURES).mkdir(parents=True)
    names: list[str] = []
    shown: dict[str, bytes] = {}
    for name, picture in figures_of(sweep):
        png = png_of(picture)
        (folder / FIGURES / f"{name}.png").write_bytes(png)
        names.append(name)
        if on_page(names)[-1] == name:
            shown[name] = png
    sweep.table.to_csv(folder / TABLE, index=False, float_format="%.6g")
    sweep.summary().to_csv(folder / SUMMARY, index=False, float_format="%.6g")
    (folder / PAGE).write_text(page_of(sweep, shown), encoding="utf-8")
    files = [TABLE, SUMMARY, RECIPE, PAGE, *(f"{FIGURES}/{name}.png" for name in names)]
    told = {"format": STAMP, **sweep.recipe, "notes": list(sweep.notes), "files": files}
    (folder / RECIPE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def shown(sweep: Sweep, most: int) -> pd.DataFrame:
    """The strongest rows of the summary; ends of intervals only where there are any."""
    table = sweep.summary().head(most)
    ends = [f"{name}_{end}" for name in sweep.effects for end in ("low", "high")]
    return table.drop(columns=[name for name in ends if table[name].isna().all()])


def json_of(sweep: Sweep) -> dict[str, Any]:
    """Recipe, notes and summary as plain JSON values."""
    rows = plain_rows(sweep.summary())
    return {**sweep.recipe, "notes": list(sweep.notes), "summary": rows}
