"""A finished study, and the folder it is saved as: complete under its name, or not there."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regard.experiments.result import plain_rows
from regard.experiments.store import begun
from regard.saved.folder import RECIPE, SavedFolder, unlisted
from regard.views.report import Plate, Section, png_of, report, with_ends

PAGE, SUMMARY, FINDINGS = "report.html", "summary.md", "findings.json"
TABLES, FIGURES = "tables", "figures"

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

STAMP = "regard-study"
FOLDER = SavedFolder("Study.save", "study", partial(unlisted, stamp=STAMP))
check_folder = FOLDER.check
begin = partial(begun, FOLDER)

SHOWN = {
    "claim": "claim", "predicted": "predicted beforehand", "measured": "measured [95 %]",
    "p_holm": "p (Holm)", "verdict": "verdict", "answer": "answer",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """What a study found.

    Attributes:
        name: Of the study, such as 'vit'.
        title: Of the report.
        findings: One row per hypothesis, as `regard.experiments.studies.finding.table_of` has it.
        sections: The parts of the report, with tables and images.
        recipe: Model, data, numbers of images, seed and versions, as plain values.
        notes: What a reader must know before the findings.
    """

    name: str
    title: str
    findings: pd.DataFrame
    sections: tuple[Section, ...]
    recipe: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        counts = self.findings["verdict"].value_counts()
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return f"Study({self.name}: {len(self.findings)} hypotheses, {told})"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name, the findings first."""
        parts = {name: table for each in self.sections for name, table in each.tables.items()}
        return {"findings": self.findings, **parts}

    @property
    def figures(self) -> dict[str, Any]:
        """All images by name: figures of matplotlib, or images of PIL."""
        return {
            name: plate.picture for each in self.sections for name, plate in each.plates.items()
        }

    def markdown(self) -> str:
        """The findings and the text of all parts, as a page of Markdown without images."""
        lines = [f"# {self.title}", "", *_apart(self.notes), "## What was found", ""]
        lines += _markdown_table(_summary(self.findings).drop(columns="answer"))
        for each in self.findings.itertuples():
            lines += ["", f"**{each.claim}** {each.answer}"]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", *_apart(section.text)]
            for name, table in section.tables.items():
                if len(table) <= MOST_IN_MARKDOWN:
                    lines += [f"`{name}.csv`", "", *_markdown_table(table), ""]
        return "\n".join(lines).rstrip() + "\n"

    def html(self) -> str:
        """The report as one HTML file."""
        return report(
            self.title, self.sections, summary=_summary(self.findings), lead=self.notes,
            recipe=self.recipe,
        )  # fmt: skip

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write report.html, summary.md, findings.json, recipe.json, tables and figures.

        Args:
            folder: Where to; complete when it is there, and not there before.
            overwrite: Whether a study that was saved there may be replaced.

        Returns:
            The folder.

        Raises:
            OutputError: something is there already, or writing failed.
        """
        return FOLDER.write(folder, lambda fresh: _fill(self, fresh), overwrite=overwrite)


MOST_IN_MARKDOWN = 16
"""Rows of a table that the summary shows: one a class, or one a layer."""


def _fill(study: Study, folder: Path) -> None:
    for name in (TABLES, FIGURES):
        (folder / name).mkdir(parents=True)
    # Drawn once, for the files and for the page.
    drawn = replace(study, sections=tuple(_drawn(each) for each in study.sections))
    for name, table in study.tables.items():
        table.to_csv(folder / TABLES / f"{name}.csv", index=False, float_format="%.6g")
    for name, png in drawn.figures.items():
        (folder / FIGURES / f"{name}.png").write_bytes(png)
    (folder / PAGE).write_text(drawn.html(), encoding="utf-8")
    (folder / SUMMARY).write_text(study.markdown(), encoding="utf-8")
    found = plain_rows(study.findings)
    (folder / FINDINGS).write_text(json.dumps(found, indent=1), encoding="utf-8")
    files = [PAGE, SUMMARY, FINDINGS, RECIPE]
    files += [f"{TABLES}/{name}.csv" for name in study.tables]
    files += [f"{FIGURES}/{name}.png" for name in study.figures]
    recipe = {"format": STAMP, "study": study.name, **study.recipe, "files": files}
    (folder / RECIPE).write_text(json.dumps(recipe, indent=1), encoding="utf-8")


def _drawn(section: Section) -> Section:
    plates = {
        name: Plate(png_of(plate.picture), plate.caption) for name, plate in section.plates.items()
    }
    return replace(section, plates=plates)


def _summary(findings: pd.DataFrame) -> pd.DataFrame:
    """The findings as a reader wants them: numbers with their interval in one column."""
    names = {"value": "measured", "low": "measured_low", "high": "measured_high"}
    shown = with_ends(findings.rename(columns=names))
    shown["p_holm"] = [_chance(p) for p in findings["p_holm"]]
    return shown[list(SHOWN)].rename(columns=SHOWN)


def _chance(p: float) -> str:
    if np.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def _markdown_table(table: pd.DataFrame) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(_told(each) for each in cells) + " |"

    shown = with_ends(table)
    heads = [str(name).replace("_", " ") for name in shown]
    rows = [line(row) for row in shown.itertuples(index=False)]
    return [line(heads), "|---" * len(heads) + "|", *rows]


def _told(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def _apart(texts: Sequence[str]) -> list[str]:
    """Paragraphs with an empty line after each."""
    return [line for text in texts for line in (text, "")]
