"""A trace as one HTML file that opens from disk and needs no network."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

from regard.trace import Trace
from regard.views.payload import payload
from regard.views.picture import payload as picture_payload
from regard.views.scale import check_scale


def page(trace: Trace, *, title: str | None = None, scale: str = "each") -> str:
    """One self-contained HTML document in which the trace can be explored.

    The trace of a prompt shows where each word was looked at, that of a picture where each patch
    looks.

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
    if trace.layers:
        data, script = payload(trace), _part("viewer.js") + _start("view")
    else:
        data = picture_payload(trace)
        script = _part("viewer.js") + _part("picture.js") + _start("viewPicture")
    data["scale"] = scale
    style = "\n" + _part("viewer.css")
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


def _start(view: str) -> str:
    return f"""
const root = document.getElementById("regard");
{view}(root, JSON.parse(document.getElementById("regard-data").textContent));
"""


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
