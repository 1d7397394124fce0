"""A study as one HTML file that opens from disk and needs no network and no script."""

import base64
import hashlib
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

MOST_ROWS = 60
"""Rows of a table that a page shows; of longer ones it names the file."""

Picture = Any
"""PNG as bytes, an image of PIL, or a figure of matplotlib."""


@dataclass(frozen=True)
class Plate:
    """An image and what it shows.

    Args:
        image: PNG as bytes, an image of PIL, or a figure of matplotlib.
        caption: What one sees, in a sentence.
    """

    image: Picture
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Args:
        title: Its heading.
        text: Paragraphs, in plain words.
        tables: By name; the name is also that of their file.
        plates: By name, likewise.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plates: Mapping[str, Plate] = field(default_factory=dict)


def report(
    title: str,
    sections: Sequence[Section],
    *,
    summary: pd.DataFrame,
    lead: Sequence[str] = (),
    recipe: Mapping[str, Any] | None = None,
) -> str:
    """One self-contained HTML document: what was found on top, then the parts.

    A policy inside the file forbids all network access and every script.

    Args:
        title: The heading.
        sections: The parts, in order.
        summary: The table on top; a column ``verdict`` is set in bold.
        lead: Paragraphs before it.
        recipe: With what all this was made, shown at the end.

    Returns:
        HTML text; write it as UTF-8. The same input gives the same text.

    Example:
        >>> table = pd.DataFrame({"claim": ["1 < 2"], "verdict": ["holds"]})
        >>> "<td>1 &lt; 2</td>" in report("Numbers", [Section("One")], summary=table)
        True
    """
    style = _STYLE
    parts = [f"<h1>{html.escape(title)}</h1>", *_paragraphs(lead), _table(summary)]
    if sections:
        links = "".join(
            f'<li><a href="#part-{n}">{html.escape(each.title)}</a></li>'
            for n, each in enumerate(sections, start=1)
        )
        parts.append(f"<nav><ol>{links}</ol></nav>")
    for number, each in enumerate(sections, start=1):
        parts += _section(number, each)
    if recipe:
        rows = pd.DataFrame({"": list(recipe), "value": [_plain(v) for v in recipe.values()]})
        parts += ["<h2>Recipe</h2>", _table(rows)]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    return _PAGE.format(title=html.escape(title), policy=policy, style=style, body="\n".join(parts))


def png_of(image: Picture) -> bytes:
    """An image as PNG; the same image gives the same bytes.

    Example:
        >>> from PIL import Image
        >>> png_of(Image.new("RGB", (1, 1)))[1:4]
        b'PNG'
    """
    if isinstance(image, bytes):
        return image
    written = io.BytesIO()
    if hasattr(image, "savefig"):
        image.savefig(written, format="png", metadata={"Software": None})
    else:
        image.save(written, format="png")
    return written.getvalue()


def _section(number: int, section: Section) -> list[str]:
    parts = [f'<h2 id="part-{number}">{number}. {html.escape(section.title)}</h2>']
    parts += _paragraphs(section.text)
    parts += [_plate(each) for each in section.plates.values()]
    for name, table in section.tables.items():
        shown = _table(table) if len(table) <= MOST_ROWS else ""
        rows = "" if shown else f", {len(table)} rows"
        parts.append(f'<figure class="table">{shown}<figcaption>{name}.csv{rows}</figcaption>')
        parts.append("</figure>")
    return parts


def _plate(plate: Plate) -> str:
    data = base64.b64encode(png_of(plate.image)).decode()
    told = html.escape(plate.caption)
    image = f'<img src="data:image/png;base64,{data}" alt="{told}">'
    return f"<figure>{image}<figcaption>{told}</figcaption></figure>"


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [f"<p>{html.escape(text)}</p>" for text in texts]


def with_ends(table: pd.DataFrame) -> pd.DataFrame:
    """The columns NAME, NAME_low and NAME_high as one, as a reader wants them.

    Example:
        >>> table = pd.DataFrame({"x": [0.5], "x_low": [0.25], "x_high": [float("nan")]})
        >>> with_ends(table)["x"].tolist()
        ['0.5 [0.25, –]']
    """
    with_both = [n for n in table if {f"{n}_low", f"{n}_high"} <= set(table)]
    ends = {f"{name}_{end}" for name in with_both for end in ("low", "high")}
    shown = table[[name for name in table if name not in ends]].copy()
    for name in with_both:
        columns = (table[f"{name}{end}"].astype(float) for end in ("", "_low", "_high"))
        shown[name] = [
            "{} [{}, {}]".format(*(_plain(value, 3) for value in row))
            for row in zip(*columns, strict=True)
        ]
    return shown


def _table(table: pd.DataFrame) -> str:
    table = with_ends(table)
    numbers = {name for name in table if pd.api.types.is_numeric_dtype(table[name])}
    heads = "".join(
        f'<th{_class(name, numbers)} scope="col">{html.escape(str(name).replace("_", " "))}</th>'
        for name in table
    )
    lines = []
    for row in table.itertuples(index=False):
        cells = zip(table.columns, row, strict=True)
        told = "".join(_cell(name, value, numbers) for name, value in cells)
        lines.append(f"<tr>{told}</tr>")
    body = "\n".join(lines)
    return f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table>"


def _cell(name: Any, value: Any, numbers: set[Any]) -> str:
    told = html.escape(_plain(value))
    if name == "verdict":
        told = f'<strong class="{told}">{told}</strong>'
    return f"<td{_class(name, numbers)}>{told}</td>"


def _class(name: Any, numbers: set[Any]) -> str:
    return ' class="number"' if name in numbers else ""


def _plain(value: Any, digits: int = 4) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{digits}g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return str(value)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="regard">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""

_STYLE = """
html { background: #fbfaf8; }
main {
  max-width: 1080px; margin: 0 auto; padding: 24px 32px 64px; color: #1d1b20;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 26px; line-height: 1.25; }
h2 { font-size: 19px; margin: 44px 0 8px; padding-top: 12px; border-top: 1px solid #e5e1dc; }
p { max-width: 75ch; }
nav { font-size: 14px; }
a { color: #762474; }
figure { margin: 20px 0; }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid #e5e1dc; }
figcaption { color: #5d5865; font-size: 13px; max-width: 90ch; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; }
tr { border-bottom: 1px solid #e5e1dc; }
th { color: #5d5865; font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
.holds { color: #00643f; }
.fails { color: #9d2b00; }
.undecided { color: #5d5865; }
"""
