"""What a study found: hypotheses with their verdicts, parts of a report, and its files."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from regard.experiments.result import FIGURES, PAGE, Files, Kind, Result, plain_rows
from regard.views.report import Plate, Section, png_of, report, with_ends

SUMMARY, FINDINGS, TABLES = "summary.md", "findings.json", "tables"

MOST_IN_MARKDOWN = 16
"""Rows of a table that the summary shows: one a class, or one a layer."""

SHOWN = {
    "claim": "claim", "predicted": "predicted beforehand", "measured": "measured [95 %]",
    "p_holm": "p (Holm)", "verdict": "verdict", "answer": "answer",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Study(Result):
    """What a study found; its table is that of the findings, one row per hypothesis.

    Attributes:
        kind: `STUDY`.
        table: As `regard.experiments.studies.finding.table_of` has it.
        recipe: The study's name, model, data, numbers of images, seed and versions.
        cases: What each part of the study, or each prompt and seed, gave.
        notes: What a reader must know before the findings.
        title: Of the report.
        sections: The parts of the report, with tables and images.
    """

    title: str = ""
    sections: tuple[Section, ...] = ()

    def __repr__(self) -> str:
        counts = self.findings["verdict"].value_counts()
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return f"Study({self.name}: {len(self.findings)} hypotheses, {told})"

    def _repr_html_(self) -> str:
        shown = _summary(self.findings).drop(columns="answer")
        return f"<p>{html.escape(repr(self))}</p>{shown.to_html(index=False)}"

    @property
    def name(self) -> str:
        """Of the study, such as 'vit'."""
        return str(self.recipe["study"])

    @property
    def findings(self) -> pd.DataFrame:
        """One row per hypothesis: the verdict, the number with its interval, and p."""
        return self.table

    def to_json(self) -> dict[str, Any]:
        """Recipe, notes and findings as plain JSON values."""
        told = {"notes": list(self.notes), "findings": plain_rows(self.findings)}
        return {**self.recipe, **told}

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name, the findings first."""
        parts = {name: table for each in self.sections for name, table in each.tables.items()}
        return {"findings": self.findings, **parts}

    @property
    def figures(self) -> dict[str, Any]:
        """All images by name: figures of matplotlib, or images of PIL."""
        return {name: plate.image for each in self.sections for name, plate in each.plates.items()}

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


def files_of(study: Study) -> Files:
    """The report, its summary in Markdown, the findings, and every table and figure."""
    # Rendered once, for the files and for the page.
    rendered = replace(study, sections=tuple(_rendered(each) for each in study.sections))
    yield PAGE, rendered.html()
    yield SUMMARY, study.markdown()
    yield FINDINGS, json.dumps(plain_rows(study.findings), indent=1)
    yield from ((f"{TABLES}/{name}.csv", table) for name, table in study.tables.items())
    yield from ((f"{FIGURES}/{name}.png", png) for name, png in rendered.figures.items())


STUDY = Kind("study", lambda study, level, seed: study.findings, files_of)


def _rendered(section: Section) -> Section:
    plates = {
        name: Plate(png_of(plate.image), plate.caption) for name, plate in section.plates.items()
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
