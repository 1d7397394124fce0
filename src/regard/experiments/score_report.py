"""What `score` found, and how it is shown: the numbers, and the images of the extremes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from regard.data.pictures import Pictures
from regard.experiments.result import FIGURES, PAGE, SUMMARY, TABLE, Files, Kind, Result, plain_rows
from regard.experiments.store import small
from regard.views import Plate, Section, contact_sheet, report
from regard.views.report import png_of

SHOWN = 8
"""Images on a sheet of those with the lowest, or the highest, score."""


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Result):
    """What `score` found.

    Attributes:
        kind: `SCORE`.
        table: One row per number: measure, of (images, against, images - against, pairs or sets),
            value, low and high (ends of the interval), p, n (images or pairs), clusters, unit
            and warning. NaN, or an empty warning, where there is none.
        recipe: Encoder, SHA-256 of its weights, scale, prefix, level and seed.
        notes: What was left out, and why.
        images: One row per image: image (its file name), prompt (the first, if it has one) and its
            own value of each measure; as `regard.stats.comparison.compare` takes it.
        files: The images themselves, read when they are shown.
    """

    images: pd.DataFrame = field(default_factory=pd.DataFrame)
    files: Pictures = field(default_factory=lambda: Pictures(()))

    def __repr__(self) -> str:
        return f"Scores({len(self.table)} numbers of {len(self.images)} images)"

    def to_json(self) -> dict[str, Any]:
        """Recipe, numbers and notes as plain JSON values."""
        return {**self.recipe, "scores": plain_rows(self.table), "notes": list(self.notes)}


def files_of(found: Scores) -> Files:
    """The numbers, the values of each image, sheets of the extremes, and the report."""
    yield SUMMARY, found.table
    yield TABLE, found.images
    figures = {name: png_of(sheet) for name, sheet in sheets_of(found)}
    yield from ((f"{FIGURES}/{name}.png", png) for name, png in figures.items())
    yield PAGE, page_of(found, figures)


def sheets_of(found: Scores) -> Iterator[tuple[str, Any]]:
    """For each measure of single images, the images with the lowest and the highest value."""
    for name in [each for each in found.images if each not in ("image", "prompt")]:
        order = found.images[name].dropna().sort_values(kind="stable").index
        if not len(order):
            continue
        for end, rows in (("lowest", order[:SHOWN]), ("highest", order[::-1][:SHOWN])):
            shown = found.images.loc[rows]
            texts = shown["prompt"] if "prompt" in shown else shown["image"]
            captions = [
                f"{value:.3f} {text}" for value, text in zip(shown[name], texts, strict=True)
            ]
            images = [small(found.files[row]) for row in rows]
            yield f"sheet-{name}-{end}", contact_sheet(images, captions, columns=4)


def page_of(found: Scores, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The scores.
        figures: As `sheets_of` gives them, or their PNGs.
    """
    plates = {
        name: Plate(each, f"The images with the {end} {measure.replace('_', ' ')}.")
        for name, each in figures.items()
        for measure, end in [name.removeprefix("sheet-").rsplit("-", 1)]
    }
    sections = [
        Section("What it looks like", plates=plates),
        Section("Each image", tables={"table": found.images}),
    ]
    of = f"{len(found.images)} images, scored by {found.recipe['encoder']}"
    lead = [f"{of}. Intervals of {found.recipe['level']:.0%} are over prompts.", *found.notes]
    return report("Scores of images", sections, summary=found.table, lead=lead, recipe=found.recipe)


SCORE = Kind("score", lambda found, level, seed: found.table, files_of)
