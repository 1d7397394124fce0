"""What an experiment gives: a table, its summary, and the folder that both are saved as."""

import html
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from regard.experiments.store import Done, begun
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.views.report import png_of, with_ends

TABLE, SUMMARY, PAGE, FIGURES = "table.csv", "summary.csv", "report.html", "figures"

ON_PAGE = 6
"""Sheets of images that the page shows; the others lie beside it."""

IN_NOTEBOOK = 12
"""Rows of the summary that a notebook shows."""


@dataclass(frozen=True)
class Kind:
    """One experiment: how its results are averaged, and how they are shown.

    Attributes:
        name: Of the verb, such as ``sweep``.
        measures: Columns of the table that are averaged, if somebody measured them.
        summary: From a result, a level and a seed to means with intervals.
        figures: From a result to its figures by name, one after the other; sheets of images are
            named ``sheet-...``.
        page: From a result and its figures, as PNGs, to the report as one HTML file.
    """

    name: str
    measures: tuple[str, ...]
    summary: Callable[["Result", float, int], pd.DataFrame]
    figures: Callable[["Result"], Iterator[tuple[str, Any]]]
    page: Callable[["Result", Mapping[str, Any]], str]

    @property
    def stamp(self) -> str:
        """What the recipe of a folder says that it holds."""
        return f"regard-{self.name}"

    @property
    def folder(self) -> SavedFolder:
        """The folders that its results are saved as."""
        return SavedFolder("Result.save", self.name, partial(unlisted, stamp=self.stamp))

    def begin(
        self, folder: str | os.PathLike[str], *, overwrite: bool
    ) -> AbstractContextManager[tuple[Path, Path]]:
        """Hold the place of a result; see `regard.experiments.store.begun`."""
        return begun(self.folder, folder, overwrite=overwrite)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What an experiment found.

    Attributes:
        kind: Of the experiment.
        table: One row for each image; what nobody could measure has no column, and `notes` say
            why.
        recipe: With what it was made, plain JSON values.
        cells: For each prompt and seed its rows, labels and small images, the baseline first; with
            a store they are read from there one at a time.
        notes: What was not measured, and why.
        units: Of the columns of numbers.
    """

    kind: Kind
    table: pd.DataFrame
    recipe: dict[str, Any]
    cells: Mapping[tuple[str, int], Done] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Result({self.kind.name}: {len(self.table)} rows of {len(self.cells)} cells)"

    def _repr_html_(self) -> str:
        shown = with_ends(self.summary().head(IN_NOTEBOOK))
        return f"<p>{html.escape(repr(self))}</p>{shown.to_html(index=False, na_rep='')}"

    @property
    def measures(self) -> list[str]:
        """The columns of the table that are averaged."""
        return [name for name in self.kind.measures if name in self.table]

    def summary(self, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """Means with their intervals, as the verb describes them.

        Args:
            level: Share of such intervals that hold the true mean, between 0 and 1.
            seed: Of the bootstrap, which draws whole prompts.

        Returns:
            A table; ends of intervals are NaN with fewer than five prompts.
        """
        return self.kind.summary(self, level, seed)

    def to_json(self) -> dict[str, Any]:
        """Recipe, notes and summary as plain JSON values."""
        told = {"notes": list(self.notes), "summary": plain_rows(self.summary())}
        return {**self.recipe, **told}

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write table.csv, summary.csv, report.html, recipe.json and figures.

        Args:
            folder: Where to; complete when it is there, and not there before.
            overwrite: Whether a result of the same kind that was saved there may be replaced.

        Returns:
            The folder.

        Raises:
            OutputError: something is there already, or writing failed.
        """
        return self.kind.folder.write(folder, self._fill, overwrite=overwrite)

    def _fill(self, folder: Path) -> None:
        (folder / FIGURES).mkdir(parents=True)
        names: list[str] = []
        shown: dict[str, bytes] = {}
        for name, figure in self.kind.figures(self):
            png = png_of(figure)
            (folder / FIGURES / f"{name}.png").write_bytes(png)
            names.append(name)
            # Of many sheets only those of the page are kept in memory.
            if sum(is_sheet(each) for each in names) <= ON_PAGE or not is_sheet(name):
                shown[name] = png
        self.table.to_csv(folder / TABLE, index=False, float_format="%.6g")
        self.summary().to_csv(folder / SUMMARY, index=False, float_format="%.6g")
        (folder / PAGE).write_text(self.kind.page(self, shown), encoding="utf-8")
        files = [TABLE, SUMMARY, RECIPE, PAGE, *(f"{FIGURES}/{name}.png" for name in names)]
        told = {"format": self.kind.stamp, **self.recipe, "notes": list(self.notes), "files": files}
        (folder / RECIPE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def is_sheet(name: str) -> bool:
    """Whether a figure is a sheet of images.

    Example:
        >>> is_sheet("sheet-000-seed-0")
        True
    """
    return name.startswith("sheet-")


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as JSON takes them: no NaN, and no number of NumPy.

    Example:
        >>> plain_rows(pd.DataFrame({"p": [0.5, float("nan")]}))
        [{'p': 0.5}, {'p': None}]
    """
    return [
        {name: None if value != value else value for name, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]
