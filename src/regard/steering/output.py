"""Steering as a folder: both looks, what changed, and how to do it again."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regard.look import Look
from regard.look.output import FOLDER as LOOK
from regard.saved.folder import SavedFolder, stranger
from regard.steering.table import finest_map

BEFORE, AFTER, MAPS, TABLE, RECIPE, PAGE = (
    "before", "after", "maps.png", "table.csv", "recipe.json", "page.html",
)  # fmt: skip
PARTS = {BEFORE, AFTER, MAPS, TABLE, RECIPE, PAGE}


def _foreign(folder: Path) -> str | None:
    """Something in a folder that is no part of a saved steering; None if all of it is."""
    found = stranger(folder, PARTS, PARTS)
    for part in (BEFORE, AFTER) if found is None else ():
        inside = LOOK.foreign(folder / part)
        if inside is not None:
            return f"{part}/{inside}"
    return found


FOLDER = SavedFolder("Steered.save", "steering", _foreign)
check_folder = FOLDER.check


def write(
    before: Look,
    after: Look,
    table: pd.DataFrame,
    recipe: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    overwrite: bool,
) -> None:
    """Write the folder, complete or not at all.

    Raises:
        OutputError: something is there already, or writing failed.
    """

    def fill(fresh: Path) -> None:
        fresh.mkdir()
        before.save(fresh / BEFORE)
        after.save(fresh / AFTER)
        figure = maps(before, after)
        figure.savefig(fresh / MAPS, metadata={"Software": None})
        table.to_csv(fresh / TABLE, index=False, float_format="%.6g")
        (fresh / RECIPE).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
        page = _page(figure, table, recipe)
        (fresh / PAGE).write_text(page, encoding="utf-8")

    FOLDER.write(folder, fill, overwrite=overwrite)


def maps(before: Look, after: Look) -> Any:
    """Images and words' maps of both looks with their differences, as a figure."""
    from regard.views import differences

    words = {name: _pair(before, after, *both) for name, both in paired(before, after).items()}
    first, second = (np.asarray(each.image.convert("RGB")) for each in (before, after))
    return differences(words, images=(first, second))


def paired(before: Look, after: Look) -> dict[str, tuple[str | None, str | None]]:
    """The words to compare: word for word in prompts of as many, else those of the same name."""
    first, second = before.trace.word_names, after.trace.word_names
    if len(first) == len(second):
        both = zip(first, second, strict=True)
        return {a if a == b else f"{a} \N{RIGHTWARDS ARROW} {b}": (a, b) for a, b in both}
    return {
        word: (word if word in first else None, word if word in second else None)
        for word in dict.fromkeys([*first, *second])
    }


def _pair(before: Look, after: Look, first: str | None, second: str | None) -> Any:
    """The maps of a word before and after; None where its prompt lacks the word."""
    maps = [
        None if word is None else finest_map(look, word)
        for look, word in ((before, first), (after, second))
    ]
    there = next(each for each in maps if each is not None)
    return tuple(there * 0 if each is None else each for each in maps)


def _page(figure: Any, table: pd.DataFrame, recipe: Mapping[str, Any]) -> str:
    from regard.views import Plate, Section, report

    told = [f"{each['method']}: {_settings(each)}" for each in recipe["methods"]]
    whole = table[table["word"] == ""].drop(columns="word")
    caption = (
        "Images and words' maps before and after, from the same noise. Maps are means over the "
        "layers of the finest grid, all steps and heads, on one scale."
    )
    sections = [
        Section("Images and maps", plates={"maps": Plate(figure, caption)}),
        Section("Words", tables={"table": table[table["word"] != ""]}),
    ]
    return report(
        recipe["prompt"], sections, summary=whole, lead=["Changed: " + "; ".join(told)],
        recipe={name: value for name, value in recipe.items() if name != "methods"},
    )  # fmt: skip


def _settings(method: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in method.items() if name != "method"}
    return json.dumps(rest, ensure_ascii=False) if rest else "as it is"
