"""A trace as one HTML file that opens from disk and needs no network."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

from regard.trace import Trace
from regard.views.payload import payload
from regard.views.scale import check_scale

PARTS = (
    "text.js",
    "maps.js",
    "draw.js",
    "skeleton.js",
    "view.js",
    "entries.js",
    "controls.js",
    "stage.js",
    "caption.js",
    "export.js",
    "kinds.js",
    "mount.js",
)
"""The scripts of the viewer in the order in which they are joined: they share one scope."""

START = """
const data = JSON.parse(document.getElementById("regard-data").textContent);
regard.mount(document.getElementById("regard"), data, { permalink: true, keyboard: true });
"""


def page(trace: Trace, *, title: str | None = None, scale: str = "each") -> str:
    """One self-contained HTML document in which the trace can be explored.

    The trace of a prompt shows which patches attend to each word, that of an image where each patch
    attends.

    Maps travel as bytes, each with its own range; a trace too large for a page is averaged over
    heads and then over neighbouring steps, and the page says so. The same trace gives the same
    bytes. A policy inside the file forbids all network access and every script but the viewer.

    Args:
        trace: What was seen, with its image, table of words and recipe.
        title: The name of the document; the prompt, or the likeliest label, when left out.
        scale: What the colour scale is at first: that of ``each`` view, or one ``shared`` by all
            words (or queries), layers, heads and steps. The page can change it.

    Returns:
        HTML text; write it as UTF-8.

    Raises:
        ArgumentError: the layers of the trace have no step in common.
        UnknownName: there is no such scale.

    Example:
        >>> from regard.trace import toy_trace
        >>> page(toy_trace(), title="two animals").count("<title>two animals</title>")
        1
    """
    check_scale("page", scale)
    data = {**payload(trace), "scale": scale}
    script, style = viewer_script() + START, viewer_style()
    parts = {
        "title": html.escape(title or f"{data['prompt']} · regard"),
        "data": _safe_json(data),
        "script": script,
        "script_hash": _hash(script),
        "style": style,
        "style_hash": _hash(style),
    }
    # One pass, so that a prompt that reads like a place to fill in stays a prompt.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def viewer_script() -> str:
    """The viewer as JavaScript without imports, which defines ``regard.mount`` and nothing else.

    ``regard.mount(element, data, {permalink: true, keyboard: true})`` shows what `payload` gives
    inside an element and returns ``{destroy}``; both options are off unless they are given. The
    element needs the rules of `viewer_style`.

    Example:
        >>> viewer_script().count("const regard =")
        1
    """
    joined = "\n".join(map(_part, PARTS))
    return f'\nconst regard = (() => {{\n"use strict";\n\n{joined}\nreturn {{ mount }};\n}})();\n'


def viewer_style() -> str:
    """The rules of the viewer, which touch nothing outside of it.

    Example:
        >>> ":root" in viewer_style()
        False
    """
    return "\n" + _part("viewer.css")


def _part(name: str) -> str:
    return (files("regard.views") / "viewer" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _safe_json(data: object) -> str:
    """JSON that can stand inside a script element: no text of a prompt can end the element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
