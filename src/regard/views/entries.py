"""The words of a prompt as the page lists them, and the table of their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from regard.axes import TOKEN
from regard.measures.verdicts import BESIDE, REDUNDANT
from regard.measures.words import LOOKS, unclaimed
from regard.trace import Token, Trace

# What the columns of a table of words mean; any other column is shown under its own name.
MEANINGS = {
    "word": ("word", "A word of the prompt; click a row to see its map"),
    "mass": ("mass", "Share of attention that goes to the word, over all tokens"),
    "entropy": ("entropy", "How spread out the map is: 0 on one patch, 1 perfectly even"),
    "duplicate_of": ("same map as", "Another word whose map is nearly the same"),
    "verdict": (
        "verdict",
        "What leaving the word out showed; without that, why the maps make a word look redundant",
    ),
    "suspicion": (
        "by the maps",
        "Why the maps made the word look redundant, before it was left out",
    ),
    "distance": ("image change", "Perceptual change when the word is hidden, same initial noise"),
    "threshold": ("threshold", "Up to this change the word was not needed"),
    "seen": ("objects seen", "What is seen to change when the word is hidden"),
    "because": ("because", "The first reason why the word was needed: seen, distance or pixels"),
    "pixel_distance": ("pixel change", "Mean change of the pixels when the word is hidden"),
    "pixel_threshold": ("pixel threshold", "The same threshold for the change of the pixels"),
    "own_key_distance": ("at its own key", "Change when only the word's own key is masked"),
    "seeds": ("seeds", "At how many seeds the word was hidden"),
    "redundant_share": ("redundant at", "Share of these seeds at which it was not needed"),
    "share_low": ("at least", "Lower end of the 95 % interval of that share"),
    "share_high": ("at most", "Upper end of the 95 % interval of that share"),
    # Of traces that were saved before words were hidden in the text encoders too.
    "pad_pixel_distance": ("by a pad", "Change when a padding token's key is masked instead"),
    "clip_similarity": ("likeness", "Likeness of the image with and without the word's own key"),
    "pad_clip_similarity": ("without a pad", "Likeness when a padding token is masked instead"),
    "segmenter": ("objects seen", "What the segmenter sees change without the word's own key"),
}
# Words that name nothing to be seen: the page does not open on one of them.
FUNCTION_WORDS = frozenset(
    "a an the and or but nor of in on at by to from with without into onto over under above below "
    "beside behind before between near next through for as is are was were be being its his her "
    "their this that these those there it he she they some any no not very".split()
)
NO_TABLE = "No table of words was stored with this trace."


@dataclass(frozen=True)
class Entry:
    """A word, or all special tokens of one role, as the page lists them."""

    name: str
    role: str
    tokens: tuple[Token, ...]
    kept: tuple[int, ...]
    row: dict[str, Any]


def entries_of(trace: Trace) -> list[Entry]:
    """The words in prompt order, then start, end and padding."""
    first = next(iter(trace.word_maps.values()))
    kept = {int(token) for token in first[TOKEN].values}
    rows = (
        {}
        if trace.table is None
        else {row["word"]: row for row in _records(unclaimed(trace.table))}
    )
    named = groupby(sorted(trace.tokens, key=_place), key=lambda token: token.name)
    return [
        Entry(
            name,
            tokens[0].role,
            tuple(tokens),
            tuple(token.index for token in tokens if token.index in kept),
            rows.get(name, {}),
        )
        for name, tokens in ((name, list(group)) for name, group in named)
    ]


def words_of(entries: Sequence[Entry], kept: Sequence[Entry]) -> list[dict[str, Any]]:
    """What the page shows of each entry; ``column`` is where its map stands among those kept."""
    column = {entry.name: index for index, entry in enumerate(kept)}
    masses = [entry.row.get("mass") or 0.0 for entry in entries if entry.role == "word"]
    top = max(masses, default=0.0) or 1.0
    return [
        {
            "name": entry.name,
            "text": _spelled(entry)[0],
            "nth": _spelled(entry)[1],
            "role": entry.role,
            "content": entry.role == "word" and _spelled(entry)[0].casefold() not in FUNCTION_WORDS,
            "pieces": [token.text.removesuffix("</w>") for token in entry.tokens],
            "tokens": len(entry.kept),
            "column": column.get(entry.name),
            "mass": entry.row.get("mass"),
            "tint": min(1.0, round((entry.row.get("mass") or 0.0) / top, 4)),
            "mark": _mark(entry.row),
            "evidence": _evidence(entry),
        }
        for entry in entries
    ]


def table_of(trace: Trace, entries: Sequence[Entry]) -> dict[str, Any]:
    """The table of words as columns and rows; a row knows the entry that a click on it shows."""
    if trace.table is None:
        return {"columns": [], "rows": [], "note": NO_TABLE}
    units = trace.table.attrs.get("units", {})
    place = {entry.name: index for index, entry in enumerate(entries) if entry.kept}
    tint = {word["name"]: word["tint"] for word in words_of(entries, [])}
    columns = [
        _column(str(name), trace.table[name], units.get(name)) for name in trace.table.columns
    ]
    rows = [
        {
            "name": row["word"],
            "entry": place.get(row["word"]),
            "special": row.get("role", "word") != "word",
            "mark": _mark(row),
            "tint": tint.get(row["word"], 0.0),
            "values": list(row.values()),
        }
        for row in _records(unclaimed(trace.table))
    ]
    return {"columns": columns, "rows": rows, "note": str(trace.table.attrs.get("note", ""))}


def _place(token: Token) -> tuple[int, int]:
    order = ("word", "start", "end", "pad").index(token.role)
    return order, -1 if token.position is None else token.position


def _spelled(entry: Entry) -> tuple[str, int]:
    """What the prompt says, and its occurrence number: ``cat#2`` is ``cat``, 2."""
    if entry.role == "pad" and len(entry.tokens) > 1:
        return f"padding ×{len(entry.tokens)}", 1
    if entry.role != "word":
        return {"pad": "padding"}.get(entry.role, entry.role), 1
    word, _, again = entry.name.rpartition("#")
    return (word, int(again)) if word and again.isdigit() else (entry.name, 1)


def _mark(row: dict[str, Any]) -> str:
    """How the page marks a word: by its numbers alone, by verification, or not at all."""
    verdict = str(row.get("verdict") or "")
    if verdict.startswith(BESIDE):
        return "looks"
    if verdict.startswith(REDUNDANT):
        return "verified"
    return "looks" if verdict.startswith(f"{LOOKS}:") else ""


def _evidence(entry: Entry) -> str:
    parts = [
        f"{_label(name)[0]} {value:.3g}"
        if isinstance(value, float)
        else f"{_label(name)[0]} {value}"
        for name, value in entry.row.items()
        if name not in ("word", "role", "verdict") and value not in (None, "")
    ]
    verdict = entry.row.get("verdict")
    text = "; ".join([*([str(verdict)] if verdict else []), ", ".join(parts)])
    return text if entry.kept else "its maps were not kept" + (f"; {text}" if text else "")


def _column(name: str, values: "pd.Series[Any]", unit: str | None) -> dict[str, Any]:
    label, title = _label(name)
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return {
        "name": name,
        "label": label,
        "title": f"{title} ({unit})" if unit not in (None, "1") else title,
        "numeric": bool(numeric),
        "hidden": name == "role",
        "bar": name == "mass",
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    """A cell as JSON can hold it; nothing where there is no number."""
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, np.generic):
        return _plain(value.item())
    return value if isinstance(value, bool | int | float | str) else str(value)


def _label(name: str) -> tuple[str, str]:
    return MEANINGS.get(name, (name.replace("_", " "), name))
