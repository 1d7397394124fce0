"""How contenders that generated the same prompts are compared: means, differences, charts."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from regard.stats.means import bootstrap, paired
from regard.views import dots

SHARES = ("neglected", "neglected_subjects", "misbound_colours", "miscounted_subjects")
"""Measures between 0 and 1, where five prompts without a fault are no proof that there is none."""

NAMES = {
    "neglected": "share of images that neglect a subject",
    "neglected_subjects": "share of subjects that are neglected",
    "misbound_colours": "share of colours that are wrong",
    "miscounted_subjects": "share of counted subjects in another number",
    "full_prompt": "cosine of image and prompt",
    "minimum_object_similarity": "cosine of image and the subject it fits least",
    "caption_similarity": "cosine of caption and prompt",
    "seconds": "seconds of one image",
}
"""What each measure is called in charts."""


def means_of(
    table: pd.DataFrame, by: str, measures: Sequence[str], *, level: float, seed: int
) -> Iterator[dict[str, Any]]:
    """Means of each contender with intervals, and how they differ from the first one's.

    Args:
        table: A row for each image, with ``prompt``; contenders in the same order of prompts and
            seeds.
        by: The column that names the contender.
        measures: Columns of numbers.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        seed: Of the bootstrap, which resamples whole prompts.

    Yields:
        For each contender and measure ``by``, ``measure``, ``mean`` with its ends ``low`` and
        ``high``; ``ratio`` to the mean of the first; ``difference`` from it, image by image, with
        its ends and ``p``.
    """
    names = list(dict.fromkeys(table[by]))
    first = table[table[by] == names[0]]
    for name in names:
        mine = table[table[by] == name]
        for measure in measures:
            against = None if name == names[0] else first
            told = _told(mine, against, measure, level=level, seed=seed)
            yield {by: name, "measure": measure, **told}


def _told(
    mine: pd.DataFrame, first: pd.DataFrame | None, measure: str, *, level: float, seed: int
) -> dict[str, float]:
    how: dict[str, Any] = {"clusters": mine["prompt"].tolist(), "level": level, "seed": seed}
    values = mine[measure].to_numpy(float)
    if not np.isfinite(values).any():  # animals alone name no colours: nothing to average
        return {}
    share = measure in SHARES
    found = bootstrap(values, **how, bounds=(0.0, 1.0) if share else None)
    told = {"mean": found.mean, "low": found.low, "high": found.high}
    before = values if first is None else first[measure].to_numpy(float)
    known = np.isfinite(before)
    at_first = float(before[known].mean()) if known.any() else np.nan
    told["ratio"] = found.mean / at_first if at_first else np.nan
    if first is None or not (known & np.isfinite(values)).any():  # no pair to compare
        return told
    against = paired(before, values, **how, bounds=(-1.0, 1.0) if share else None)
    return {
        **told,
        "difference": against.interval.mean,
        "difference_low": against.interval.low,
        "difference_high": against.interval.high,
        "p": against.p,
    }


def across(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Means as a reader wants them: a row for each contender, measures across.

    Args:
        rows: As `means_of` gives them.
        by: The column that names the contender.
    """
    names = list(dict.fromkeys(rows[by]))
    table = pd.DataFrame({by: names})
    for measure in dict.fromkeys(rows["measure"]):
        of_one = rows[rows["measure"] == measure].set_index(by).reindex(names)
        for column, end in (("mean", ""), ("low", "_low"), ("high", "_high")):
            table[f"{measure}{end}"] = of_one[column].to_numpy()
        if measure == "seconds":
            table["cost"] = of_one["ratio"].to_numpy()
    return table


def chart(rows: pd.DataFrame, measure: str, of: Any) -> Any:
    """The means of one measure with their intervals, one under the other.

    Args:
        rows: As `means_of` gives them.
        measure: One of them.
        of: What each row is called.
    """
    known = (rows["measure"] == measure) & rows["mean"].notna()
    told = rows.assign(of=of)[known].rename(columns={"low": "mean_low", "high": "mean_high"})
    return dots(told, "of", "mean", title=NAMES[measure], across=measure.replace("_", " "))
