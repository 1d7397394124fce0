"""Two ways of making images, on the same prompts."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from regard.axes import PROMPT, SEED
from regard.errors import ArgumentError
from regard.stats.means import holm, paired


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    on: Sequence[str] = (PROMPT, SEED),
    cluster: str = PROMPT,
    values: Sequence[str] | None = None,
    level: float = 0.95,
    seed: int = 0,
    repeats: int = 10_000,
) -> pd.DataFrame:
    """Two ways of making images, on the same prompts and seeds, measure by measure.

    Args:
        first: One row per image, with the columns ``on`` and one column per measure.
        second: The same for the other way; the order of its rows does not matter.
        on: Columns that say which rows belong together.
        cluster: Column whose equal values are one cluster; seeds of one prompt are not
            independent.
        values: Columns to compare; by default all columns of numbers that both have.
        level: As for `bootstrap`.
        seed: As for `bootstrap`.
        repeats: As for `paired`.

    Returns:
        One row per measure: measure, first, second (means), difference (second less first), low,
        high, p, p_holm (for as many tests as there are rows), n, clusters and undefined (pairs
        with a NaN, which count in no column).

    Raises:
        ArgumentError: a column is missing, a row is there twice, or one table has rows that the
            other has not.

    Example:
        >>> first = pd.DataFrame({"prompt": ["cat", "dog"], "seed": 0, "score": [0.1, 0.3]})
        >>> compare(first, first.assign(score=[0.2, 0.6]))[["difference", "p"]].round(3)
           difference    p
        0         0.2  0.5

    Source:
        `paired` and `holm`.
    """
    for table, name in ((first, "first"), (second, "second")):
        _check_table(table, name, [*on, cluster, *(values or [])], on)
    columns = list(values) if values is not None else _shared_numbers(first, second, on)
    both = first.merge(second, on=list(on), how="outer", suffixes=("", " "), indicator="in")
    if (lonely := both["in"] != "both").any():
        where = "first" if (both["in"] == "left_only").any() else "second"
        raise ArgumentError(
            f"compare: {int(lonely.sum())} rows are in one table only, such as one of the {where}: "
            f"{both.loc[lonely, list(on)].iloc[0].to_dict()}. Give the same prompts and seeds."
        )
    options = {"clusters": both[cluster].tolist(), "level": level, "seed": seed, "repeats": repeats}
    rows = [_compared(name, both[name], both[f"{name} "], options) for name in columns]
    found = pd.DataFrame(rows)
    found.insert(7, "p_holm", holm(found["p"].to_numpy()))
    return found


def _compared(
    name: str, one: "pd.Series[Any]", two: "pd.Series[Any]", options: Any
) -> dict[str, Any]:
    there = one.notna() & two.notna()
    found = paired(one.to_numpy(), two.to_numpy(), **options)
    of = found.interval
    return {
        "measure": name,
        "first": one[there].mean(),
        "second": two[there].mean(),
        "difference": of.mean,
        "low": of.low,
        "high": of.high,
        "p": found.p,
        "n": of.n,
        "clusters": of.clusters,
        "undefined": of.undefined,
    }


def _check_table(table: pd.DataFrame, name: str, needed: list[str], on: Sequence[str]) -> None:
    for column in needed:
        if column not in table.columns:
            raise ArgumentError(
                f"compare: the {name} table has no column '{column}'; "
                f"it has {list(table.columns)}. Name the columns with on=, cluster= and values=."
            )
    if (twice := table.duplicated(list(on))).any():
        raise ArgumentError(
            f"compare: the {name} table has {table.loc[twice, list(on)].iloc[0].to_dict()} twice. "
            f"Give one row per image."
        )


def _shared_numbers(first: pd.DataFrame, second: pd.DataFrame, on: Sequence[str]) -> list[str]:
    numbers = [set(each.select_dtypes("number").columns) for each in (first, second)]
    shared = [name for name in first.columns if name in numbers[0] & numbers[1] - set(on)]
    if not shared:
        raise ArgumentError(
            f"compare: the tables share no column of numbers beside {list(on)}. "
            f"Add one per measure."
        )
    return shared
