"""What a benchmark gives: a row for each picture, and means with intervals for each method."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regard.experiments.store import Done, begun
from regard.experiments.studies.study import plain_rows
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.stats.means import bootstrap, paired

TABLE, SUMMARY, PAGE, FIGURES = "table.csv", "summary.csv", "report.html", "figures"

STAMP = "regard-benchmark"
FOLDER = SavedFolder("Benchmark.save", "benchmark", partial(unlisted, stamp=STAMP))
check_folder = FOLDER.check
begin = partial(begun, FOLDER)

BARE, ALL = "bare", "all"

MEASURES = (
    "neglected", "neglected_subjects", "misbound_colours", "full_prompt", "weaker_half",
    "caption_similarity", "seconds",
)  # fmt: skip


SHARES = ("neglected", "neglected_subjects", "misbound_colours")
"""Measures between 0 and 1, where five prompts without a fault are no proof that there is none."""


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """Pictures of the same prompts and seeds, bare and under methods, and what they show.

    Attributes:
        table: One row for each picture: set, prompt, seed, method, ``seconds`` (of one picture,
            the mean of its batch); by the segmenter ``neglected`` (1 if a subject is missing, else
            0), ``neglected_subjects`` and ``misbound_colours`` (shares); by the encoder
            ``full_prompt`` and ``weaker_half``, and with a captioner ``caption_similarity``
            (cosines) and ``caption``. What nobody could measure has no column; `notes` say why.
        recipe: With what it was made, plain JSON values.
        notes: What was not measured, and why.
        cells: For each prompt its rows, labels and small pictures; with a store they are read
            from there one at a time.
    """

    table: pd.DataFrame
    recipe: dict[str, Any]
    notes: tuple[str, ...]
    cells: Mapping[str, Done]

    def __repr__(self) -> str:
        methods = ", ".join(self.methods)
        return f"Benchmark({len(self.cells)} prompts x {self.recipe['seeds']} seeds: {methods})"

    @property
    def methods(self) -> list[str]:
        """Their names, that of the bare run first."""
        return list(dict.fromkeys(self.table["method"]))

    @property
    def measures(self) -> list[str]:
        """The columns of the table that are averaged."""
        return [name for name in MEASURES if name in self.table]

    def summary(self, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """Means with intervals, for each set and method, and how they differ from the bare run.

        Args:
            level: Share of such intervals that hold the true mean, between 0 and 1.
            seed: Of the bootstrap, which draws whole prompts.

        Returns:
            A row for each set (``all`` last), method and measure: ``mean`` with its ends ``low``
            and ``high``; ``ratio`` to the mean of the bare run; ``difference`` from it, picture by
            picture, with its ends and ``p``. Ends are NaN with fewer than five prompts.
        """
        sets = [*dict.fromkeys(self.table["set"]), ALL]
        rows = [
            {"set": part, "method": method, "measure": measure, **told}
            for part in sets
            for method in self.methods
            for measure in self.measures
            for told in [self._told(part, method, measure, level, seed)]
        ]
        return pd.DataFrame(rows)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write table.csv, summary.csv, report.html, recipe.json and figures.

        Args:
            folder: Where to; complete when it is there, and not there before.
            overwrite: Whether a benchmark that was saved there may be replaced.

        Returns:
            The folder.

        Raises:
            OutputError: something is there already, or writing failed.
        """
        return FOLDER.write(folder, lambda fresh: _fill(self, fresh), overwrite=overwrite)

    def _told(
        self, part: str, method: str, measure: str, level: float, seed: int
    ) -> dict[str, float]:
        mine, bare = self._rows(part, method), self._rows(part, BARE)
        how: dict[str, Any] = {"clusters": mine["prompt"].tolist(), "level": level, "seed": seed}
        values, before = mine[measure].to_numpy(float), bare[measure].to_numpy(float)
        if not np.isfinite(values).any():  # animals alone name no colours: nothing to average
            return {}
        share = measure in SHARES
        found = bootstrap(values, **how, bounds=(0.0, 1.0) if share else None)
        told = {"mean": found.mean, "low": found.low, "high": found.high}
        known = np.isfinite(before)
        at_first = float(before[known].mean()) if known.any() else np.nan
        told["ratio"] = found.mean / at_first if at_first else np.nan
        if method == BARE or not (known & np.isfinite(values)).any():  # no pair to compare
            return told
        against = paired(before, values, **how, bounds=(-1.0, 1.0) if share else None)
        return {
            **told,
            "difference": against.interval.mean,
            "difference_low": against.interval.low,
            "difference_high": against.interval.high,
            "p": against.p,
        }

    def _rows(self, part: str, method: str) -> pd.DataFrame:
        rows = self.table[self.table["method"] == method]
        return rows if part == ALL else rows[rows["set"] == part]


def json_of(found: Benchmark) -> dict[str, Any]:
    """Recipe, notes and summary as plain JSON values."""
    return {**found.recipe, "notes": list(found.notes), "summary": plain_rows(found.summary())}


def _fill(found: Benchmark, folder: Path) -> None:
    from regard.experiments.benchmark.report import figures_of, page_of
    from regard.views.report import png_of

    (folder / FIGURES).mkdir(parents=True)
    figures = {name: png_of(picture) for name, picture in figures_of(found).items()}
    for name, png in figures.items():
        (folder / FIGURES / f"{name}.png").write_bytes(png)
    found.table.to_csv(folder / TABLE, index=False, float_format="%.6g")
    found.summary().to_csv(folder / SUMMARY, index=False, float_format="%.6g")
    (folder / PAGE).write_text(page_of(found, figures), encoding="utf-8")
    files = [TABLE, SUMMARY, RECIPE, PAGE, *(f"{FIGURES}/{name}.png" for name in figures)]
    told = {"format": STAMP, **found.recipe, "notes": list(found.notes), "files": files}
    (folder / RECIPE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
