"""A kind for experiments of your own: means for each value of a column, and sheets of images."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from regard.experiments.result import Kind, Result, is_sheet, paged
from regard.stats.means import bootstrap
from regard.views import Plate, Section, contact_sheet, report


def plain_kind(name: str, by: str) -> Kind:
    """A kind whose results are averaged for each value of one column.

    Args:
        name: Of the experiment; it stands in its messages and folders.
        by: A column of the table, as `Variant.columns` fills it: what the variants differ in.

    Returns:
        A `Kind`. The summary has a row for each value of ``by``: ``images``, and for each column
        of numbers that a judge gives its mean, with the ends of its interval over prompts,
        NAME_low and NAME_high: NaN with fewer than five prompts.

    Example:
        >>> plain_kind("loudness", "factor").stamp
        'regard-loudness'
    """

    def summary(found: Result, level: float, seed: int) -> pd.DataFrame:
        rows = []
        for value, part in found.table.groupby(by, sort=False):
            row: dict[str, Any] = {by: value, "images": len(part)}
            for column in [each for each in found.units if each in part]:
                clusters = part["prompt"].tolist()
                mean = bootstrap(part[column], clusters=clusters, level=level, seed=seed)
                row |= {column: mean.mean, f"{column}_low": mean.low, f"{column}_high": mean.high}
            rows.append(row)
        return pd.DataFrame(rows)

    return Kind(name, summary, paged(_sheets, _page), by=by)


def _sheets(found: Result) -> Iterator[tuple[str, Any]]:
    for number, done in enumerate(found.cases.values()):
        yield f"sheet-{number:03}", contact_sheet(list(done.images), done.labels, scale=2)


def _page(found: Result, figures: Mapping[str, Any]) -> str:
    captions = [f"'{prompt}', seed {seed}" for prompt, seed in found.cases]
    sheets = [each for each in figures if is_sheet(each)]
    plates = {
        name: Plate(figures[name], f"{caption}: the baseline first.")
        for name, caption in zip(sheets, captions, strict=False)
    }
    sections = [
        Section("What it looks like", plates=plates),
        Section("Each image", tables={"table": found.table}),
    ]
    lead = [f"{len(found.table)} images. Intervals of 95 % are over prompts.", *found.notes]
    title = f"What the experiment {found.kind.name} found"
    return report(title, sections, summary=found.summary(), lead=lead, recipe=found.recipe)
