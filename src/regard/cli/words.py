"""``regard words``, and the table of words that ``regard look`` shows too."""

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer


def words(
    trace: Annotated[Path, typer.Argument(help="A trace.zarr that regard look wrote.")],
) -> None:
    """Show what each word of a saved trace counts for."""
    from regard.measures.words import unclaimed
    from regard.trace import Trace

    found = Trace.load(trace)
    typer.echo(found.recipe.get("prompt", ""))
    typer.echo(text_of(unclaimed(found.words())))
    note = found.recipe.get("verification") or found.recipe.get("proof")  # its name in older traces
    if note:
        typer.echo(f"\n{wrapped(note)}")


def shown_as(trace: Any) -> str:
    """Which maps of words are shown first, in words, and why these.

    Example:
        >>> from regard.trace import toy_trace
        >>> shown_as(toy_trace())
        'each word at its own tokens, in all layers'
    """
    reading = trace.reading
    tokens = "its own and the next token" if reading["carriers"] else "its own tokens"
    layers = f"layers {', '.join(reading['layers'])}" if reading["layers"] else "all layers"
    why = (trace.recipe.get("reading") or {}).get("why")
    return f"each word at {tokens}, in {layers}" + (f" ({why})" if why else "")


COLUMNS = {
    "word": "",
    "mass": "mass",
    "entropy": "entropy",
    "distance": "change",
    "pixel_distance": "pixels",
    "seen": "seen",
    "redundant_share": "redundant at",
    "share": "95 %",
    "suspicion": "by the maps",
    "verdict": "verdict",
}
"""What the columns that the terminal shows are called there."""

LEFT = ("word", "seen", "suspicion", "verdict")
"""Columns of text."""


def text_of(table: Any) -> str:
    """A table of words for the terminal: what the maps say, then what leaving it out says.

    Each change stands beside the threshold that it is held to, as in ``0.273 > 0.100``.
    """
    if "seeds" not in table:
        return _columns(table, ["word", "mass", "entropy", "verdict"])
    maps = table[table["role"] != "together"]
    checked = table[table["seeds"].notna()].copy()
    for name, limit in (("distance", "threshold"), ("pixel_distance", "pixel_threshold")):
        pairs = zip(checked[name], checked[limit], strict=True)
        checked[name] = [_held(value, against) for value, against in pairs]
    share = zip(checked["share_low"], checked["share_high"], strict=True)
    checked["share"] = [f"{low:.0%}-{high:.0%}" for low, high in share]
    several = ["redundant_share", "share"] if (checked["seeds"] > 1).any() else []
    shown = [name for name in ("distance", "seen") if checked[name].ne("").any()]
    first = _columns(maps, ["word", "mass", "entropy", "suspicion"])
    second = _columns(checked, ["word", *shown, "pixel_distance", *several, "verdict"])
    return f"{first}\n\nwith the word hidden:\n{second}"


def _held(value: float, against: float) -> str:
    if value != value:
        return ""
    return f"{value:.3f} {'>' if value > against else '<'} {against:.3f}"


def _columns(table: Any, names: list[str]) -> str:
    columns = [[COLUMNS[name], *(_cell(name, value) for value in table[name])] for name in names]
    wide = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(
            cell.ljust(size) if name in LEFT else cell.rjust(size)
            for name, cell, size in zip(names, row, wide, strict=True)
        ).rstrip()
        for row in rows
    )


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if name == "entropy" else f"{value:.1%}"


def wrapped(text: str) -> str:
    """Text in lines of at most 100 characters."""
    return "\n".join(textwrap.wrap(text, 100))
