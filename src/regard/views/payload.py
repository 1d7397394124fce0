"""What the viewer is given: a trace as plain JSON values, maps as bytes in base64."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.axes import HEAD, LAYER, STEP, TOKEN
from regard.measures.words import LOOKS, LOOKS_BUT_MATTERS, REDUNDANT
from regard.trace import Token, Trace
from regard.views.colour import colours
from regard.views.tiles import Tiles, tiles_of

# What the columns of a table of words mean; any other column is shown under its own name.
MEANINGS = {
    "word": ("word", "A word of the prompt; click a row to see its map"),
    "mass": ("mass", "Share of attention that goes to the word, over all tokens"),
    "entropy": ("entropy", "How spread out the map is: 0 on one patch, 1 perfectly even"),
    "duplicate_of": ("same map as", "Another word whose map is nearly the same"),
    "verdict": ("verdict", "What the numbers, and the proof if there was one, say"),
    "pixel_distance": ("image change", "Change of the image when the word is masked, same seed"),
    "pad_pixel_distance": ("by a pad", "Change when a padding token is masked instead"),
    "clip_similarity": ("likeness", "Likeness of the image with and without the word"),
    "pad_clip_similarity": ("without a pad", "Likeness when a padding token is masked instead"),
    "segmenter": ("objects seen", "What the segmenter sees change when the word is masked"),
}
NO_TABLE = "No table of words was stored with this trace."


@dataclass(frozen=True)
class Entry:
    """A word, or all special tokens of one role, as the page lists them."""

    name: str
    role: str
    tokens: tuple[Token, ...]
    kept: tuple[int, ...]
    row: dict[str, Any]


def payload(trace: Trace) -> dict[str, Any]:
    """Everything that the viewer shows, as plain JSON values.

    Args:
        trace: What was seen.

    Returns:
        The words with their tint and evidence, the axes, the maps in base64, the table, the image
        and the recipe.

    Raises:
        ArgumentError: the layers of the trace were seen at different steps.

    Example:
        >>> from regard.trace import toy_trace
        >>> [word["name"] for word in payload(toy_trace())["words"]]
        ['a', 'cat', 'and', 'a#2', 'dog', '[start]', '[end]', '[pad]']
    """
    entries = _entries(trace)
    kept = [entry for entry in entries if entry.kept]
    tiles = tiles_of(trace, [entry.kept for entry in kept])
    layers = _layers(trace, tiles)
    return {
        **_about(trace),
        **packed(tiles),
        "words": _words(entries, kept),
        "tokens": len(trace.tokens),
        "layers": layers,
        "places": _ordered(layer["place"] for layer in layers),
        "heads": max((layer["heads"] for layer in layers), key=len),
        "steps": _steps(trace, tiles),
        "averaged": _averaged(trace),
        "notices": _notices(trace, tiles),
        "table": _table(trace, entries),
        "colours": base64_of(colours()),
        "image": image_of(trace.image),
    }


# ---------------------------------------------------------------------- words


def _entries(trace: Trace) -> list[Entry]:
    """The words in prompt order, then start, end and padding."""
    first = next(iter(trace.layers.values()))
    kept = {int(token) for token in first[TOKEN].values}
    rows = {} if trace.table is None else {row["word"]: row for row in _records(trace.table)}
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


def _place(token: Token) -> tuple[int, int]:
    order = ("word", "start", "end", "pad").index(token.role)
    return order, -1 if token.position is None else token.position


def _words(entries: Sequence[Entry], kept: Sequence[Entry]) -> list[dict[str, Any]]:
    column = {entry.name: index for index, entry in enumerate(kept)}
    masses = [entry.row.get("mass") or 0.0 for entry in entries if entry.role == "word"]
    top = max(masses, default=0.0) or 1.0
    return [
        {
            "name": entry.name,
            "text": _spelled(entry)[0],
            "nth": _spelled(entry)[1],
            "role": entry.role,
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


def _spelled(entry: Entry) -> tuple[str, int]:
    """What the prompt says, and the how-manieth it is: ``cat#2`` is ``cat``, 2."""
    if entry.role == "pad" and len(entry.tokens) > 1:
        return f"padding ×{len(entry.tokens)}", 1
    if entry.role != "word":
        return {"pad": "padding"}.get(entry.role, entry.role), 1
    word, _, again = entry.name.rpartition("#")
    return (word, int(again)) if word and again.isdigit() else (entry.name, 1)


def _mark(row: dict[str, Any]) -> str:
    """How the page marks a word: by its numbers alone, by proof, or not at all."""
    verdict = str(row.get("verdict") or "")
    if verdict.startswith(REDUNDANT):
        return "proved"
    return "looks" if verdict.startswith(LOOKS) and verdict != LOOKS_BUT_MATTERS else ""


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


# ---------------------------------------------------------------------- axes


def _layers(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    layers, first_byte, first_range = [], 0, 0
    for name, maps in trace.layers.items():
        tile = tiles.layers[name]
        rows, columns = tile.shape[-2:]
        place = maps.attrs.get("place")
        layers.append(
            {
                "name": name,
                "label": f"{place} {rows}×{columns}" if place else f"{rows}×{columns}",
                "place": place,
                "kind": maps.attrs.get("kind") or "cross",
                "grid": [rows, columns],
                "heads": [0] if tiles.heads_averaged else [int(head) for head in maps[HEAD].values],
                "firstByte": first_byte,
                "firstRange": first_range,
            }
        )
        first_byte += tile.size
        first_range += tiles.lows[name].size
    return numbered(layers)


def numbered(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers that would have the same label get a number each."""
    labels = [layer["label"] for layer in layers]
    for index, layer in enumerate(layers):
        if labels.count(labels[index]) > 1:
            layer["label"] += f" · {labels[: index + 1].count(labels[index])}"
    return layers


def _steps(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    first = next(iter(trace.layers.values()))
    times = first.coords.get("timestep")
    at = {
        int(step): None if times is None else float(times.values[index])
        for index, step in enumerate(first[STEP].values)
    }
    return [_step(group, at) for group in tiles.steps]


def _step(group: tuple[int, ...], at: dict[int, float | None]) -> dict[str, Any]:
    label = str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}"
    time = at[group[0]]
    known = time is not None and np.isfinite(time)
    return {
        "label": label,
        "text": f"step {label}, t = {time:.4g}" if known else f"step {label}",
        "python": str(group[0]) if len(group) == 1 else str(list(group)),
    }


def _averaged(trace: Trace) -> list[str]:
    first = next(iter(trace.layers.values()))
    return [axis for axis in (STEP, HEAD, LAYER) if axis in first.attrs.get("averaged", ())]


def _notices(trace: Trace, tiles: Tiles) -> list[str]:
    notices = []
    if tiles.heads_averaged:
        notices.append("To keep this page small, heads are averaged in it.")
    merged = max(len(group) for group in tiles.steps)
    if merged > 1:
        notices.append(f"To keep this page small, every {merged} steps are averaged in it.")
    if notices:
        notices.append("The trace has them all.")
    return notices


# ---------------------------------------------------------------------- table, recipe, image


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


def _table(trace: Trace, entries: Sequence[Entry]) -> dict[str, Any]:
    if trace.table is None:
        return {"columns": [], "rows": [], "note": NO_TABLE}
    units = trace.table.attrs.get("units", {})
    place = {entry.name: index for index, entry in enumerate(entries) if entry.kept}
    tint = {word["name"]: word["tint"] for word in _words(entries, [])}
    columns = [
        _column(str(name), trace.table[name], units.get(name)) for name in trace.table.columns
    ]
    rows = [
        {
            "name": row["word"],
            "word": place.get(row["word"]),
            "special": row.get("role", "word") != "word",
            "mark": _mark(row),
            "tint": tint.get(row["word"], 0.0),
            "values": list(row.values()),
        }
        for row in _records(trace.table)
    ]
    return {"columns": columns, "rows": rows, "note": str(trace.table.attrs.get("note", ""))}


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


def _about(trace: Trace) -> dict[str, Any]:
    recipe = trace.recipe
    known = {
        "seed": "seed {}",
        "steps": "{} steps",
        "guidance_scale": "guidance {:g}",
        "scheduler": "{}",
    }
    run = [text.format(recipe[key]) for key, text in known.items() if recipe.get(key) is not None]
    return {
        "prompt": str(recipe.get("prompt", "")),
        "model": str(recipe.get("model", "unknown model")),
        "run": [str(recipe.get("model", "unknown model")), *run],
        "parity": parity_text(recipe.get("parity_error")),
        "cut": str(recipe.get("cut") or ""),
        "saved": "trace.zarr",
        "recipe": [
            [name.replace("_", " "), said(recipe[name])]
            for name in sorted(recipe)
            if recipe[name] not in (None, "", [], {})
        ],
    }


def parity_text(error: float | None) -> str:
    """The greatest difference that was measured, in words."""
    if error is None:
        return "not measured"
    return f"{error:.1e}: greatest difference between weights × values and the model's own output"


def said(value: Any) -> str:
    """A value of a recipe as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {said(value[key])}" for key in sorted(value))
    if isinstance(value, list | tuple):
        return ", ".join(said(item) for item in value)
    return str(value)


def image_of(image: np.ndarray | None) -> dict[str, Any] | None:
    """A picture as PNG, with its rows and columns."""
    if image is None:
        return None
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return {
        "source": "data:image/png;base64," + base64_of(file.getvalue()),
        "size": list(image.shape[:2]),
    }


def packed(tiles: Tiles) -> dict[str, str]:
    """The bytes of the tiles, and their ranges as little-endian float32, in base64."""
    little = np.dtype("<f4")
    parts = {"lows": tiles.lows, "spans": tiles.spans}
    ranges = {
        name: base64_of(b"".join(part.astype(little).tobytes() for part in layers.values()))
        for name, layers in parts.items()
    }
    tiled = b"".join(np.ascontiguousarray(part).tobytes() for part in tiles.layers.values())
    return {"tiles": base64_of(tiled), **ranges}


def base64_of(data: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(data).decode("ascii")


def _ordered(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
