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

from regard.experiments.store import Done
from regard.experiments.unfinished import begun
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.views.report import png_of, with_ends

TABLE, SUMMARY, PAGE, FIGURES = "table.csv", "summary.csv", "report.html", "figures"

ON_PAGE = 6
"""Sheets of images that the page shows; the others lie beside it."""

IN_NOTEBOOK = 12
"""Rows of the summary that a notebook shows."""


Content = bytes | str | pd.DataFrame
"""Of a file: PNG, text or a table."""

Files = Iterator[tuple[str, Content]]
"""Paths inside a folder, and what stands there."""


@dataclass(frozen=True)
class Kind:
    """One kind of experiment: how its results are averaged, and which files show them.

    Attributes:
        name: Of the verb, such as ``sweep``.
        summary: From a result, a level and a seed to means with intervals.
        files: From a result to the files of its folder, one after the other, but for the recipe.
        measures: Columns of the table that are averaged, if they were measured.
        by: A column that every row of the table must have, if means are taken by one.
    """

    name: str
    summary: Callable[[Any, float, int], pd.DataFrame]
    files: Callable[[Any], Files]
    measures: tuple[str, ...] = ()
    by: str | None = None

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
        """Hold the place of a result; see `regard.experiments.unfinished.begun`."""
        return begun(self.folder, folder, overwrite=overwrite)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What an experiment found.

    Attributes:
        kind: Of the experiment.
        table: One row for each image; what could not be measured has no column, and `notes` say
            why.
        recipe: With what it was made, plain JSON values.
        cases: What each case gave, such as its rows and small images, the baseline first, by its
            name, such as its prompt and seed; with a store they are read from there one at a time.
        notes: What was not measured, and why.
        units: Of the columns of numbers.
    """

    kind: Kind
    table: pd.DataFrame
    recipe: dict[str, Any]
    cases: Mapping[Any, Done] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Result({self.kind.name}: {len(self.table)} rows of {len(self.cases)} cases)"

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
            seed: Of the bootstrap, which resamples whole prompts.

        Returns:
            A table; ends of intervals are NaN with fewer than five prompts.
        """
        return self.kind.summary(self, level, seed)

    def to_json(self) -> dict[str, Any]:
        """Recipe, notes and summary as plain JSON values."""
        told = {"notes": list(self.notes), "summary": plain_rows(self.summary())}
        return {**self.recipe, **told}

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the report, its tables and figures, and the recipe.

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
        names = []
        for name, content in self.kind.files(self):
            _write(folder / name, content)
            names.append(name)
        told = {"format": self.kind.stamp, **self.recipe, "notes": list(self.notes)}
        text = json.dumps({**told, "files": [*names, RECIPE]}, indent=1) + "\n"
        (folder / RECIPE).write_text(text, encoding="utf-8")


def _write(file: Path, content: Content) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    else:
        content.to_csv(file, index=False, float_format="%.6g")


def paged(
    figures: Callable[[Any], Iterator[tuple[str, Any]]],
    page: Callable[[Any, Mapping[str, Any]], str],
) -> Callable[[Any], Files]:
    """The files of a result with one table: table.csv, summary.csv, figures and report.html.

    Args:
        figures: From a result to its figures by name, one after the other; sheets of images are
            named ``sheet-...``.
        page: From a result and its figures, as PNGs, to the report as one HTML file.
    """

    def files(found: "Result") -> Files:
        yield TABLE, found.table
        yield SUMMARY, found.summary()
        shown: dict[str, bytes] = {}
        sheets = 0
        for name, figure in figures(found):
            png = png_of(figure)
            sheets += is_sheet(name)
            if sheets <= ON_PAGE or not is_sheet(name):  # of many sheets the page needs a few
                shown[name] = png
            yield f"{FIGURES}/{name}.png", png
        yield PAGE, page(found, shown)

    return files


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
