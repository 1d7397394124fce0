"""What the pages of a prompt and of an image are given alike, as plain JSON values.

Maps are bytes in base64.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from regard.axes import HEAD
from regard.trace.labels import path_of
from regard.views.tiles import Layers, Tiles

PLACES = {
    "down": "The layers on the way down",
    "mid": "The layers in the middle",
    "up": "The layers on the way up",
}


@dataclass(frozen=True)
class Side:
    """All that a page has of words, or all that it has of patches.

    Args:
        of: ``words`` or ``patches``.
        layers: The layers of the trace that are shown.
        tiles: Their maps.
        entries: The words or patches, each with the column of its map.
        described: What the page says of each layer.
        groups: Layers that are averaged at a click.
        first: The group that is shown at first, or ``all``.
        averaged: The axes that were averaged while the model ran.
        notices: What was averaged or left out to keep the page small.
        more: What only this side has.
    """

    of: str
    layers: Layers
    tiles: Tiles
    entries: list[dict[str, Any]]
    described: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    first: str
    averaged: list[str]
    notices: list[str]
    more: dict[str, Any] = field(default_factory=dict)


def packed(sides: Sequence[Tiles]) -> dict[str, str]:
    """The bytes of all tiles, their ranges and their peaks, in base64.

    Ranges and peaks are little-endian float32; the places of peaks among all bytes are uint32.
    """
    parts = [(tiles, name) for tiles in sides for name in tiles.layers]
    tiled = [np.ascontiguousarray(tiles.layers[name]) for tiles, name in parts]
    starts = np.cumsum([0, *(part.size for part in tiled)])
    peaks = [tiles.peaks[name] for tiles, name in parts]
    at = [place + start for (place, _), start in zip(peaks, starts[:-1], strict=True)]
    return {
        "tiles": _joined(tiled, "u1"),
        "lows": _joined([tiles.lows[name] for tiles, name in parts], "<f4"),
        "spans": _joined([tiles.spans[name] for tiles, name in parts], "<f4"),
        "peakPlaces": _joined(at, "<u4"),
        "peakValues": _joined([values for _, values in peaks], "<f4"),
    }


def _joined(parts: Sequence[np.ndarray], kind: str) -> str:
    return base64_of(b"".join(part.astype(np.dtype(kind)).tobytes() for part in parts))


def described(
    layers: Layers, *, of: str, columns: int, labels: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What the page says of each layer; equal labels get a number each.

    Args:
        layers: Of the trace.
        of: ``words`` or ``patches``.
        columns: How many maps there are of each at a step and head.
        labels: What to call them; by their stage and grid when left out.
    """
    found = []
    for number, (name, layer) in enumerate(layers.items()):
        (rows, wide), stage = layer.attrs["grid"], layer.attrs.get("stage")
        label = f"{stage} {rows}×{wide}" if stage else f"{rows}×{wide}"
        found.append(
            {
                "name": path_of(name),
                "label": labels[number] if labels else label,
                "place": stage,
                "kind": layer.attrs["kind"],
                "of": of,
                "columns": columns,
                "grid": [rows, wide],
                "heads": [int(head) for head in layer[HEAD].values],
            }
        )
    return _numbered(found)


def stages_of(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers on the way down, in the middle and on the way up, where a model has several."""
    names = list(dict.fromkeys(layer["place"] for layer in layers if layer["place"]))
    if len(names) < 2:
        return []
    return [
        {
            "name": name,
            "label": name.capitalize(),
            "title": PLACES.get(name, name),
            "layers": [at for at, layer in enumerate(layers) if layer["place"] == name],
            "python": json.dumps(name),
        }
        for name in names
    ]


def placed(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """The layers of all sides with the place of their bytes and ranges among all."""
    layers: list[dict[str, Any]] = []
    first_byte, first_range = 0, 0
    for side in sides:
        for group in side.groups:
            group["layers"] = [at + len(layers) for at in group["layers"]]
        for name, layer in zip(side.layers, side.described, strict=True):
            heads = [0] if side.tiles.heads_averaged else layer["heads"]
            place = {"firstByte": first_byte, "firstRange": first_range}
            layers.append({**layer, "heads": heads, **place})
            first_byte += side.tiles.layers[name].size
            first_range += side.tiles.lows[name].size
    return layers


def image_of(image: np.ndarray | None) -> dict[str, Any] | None:
    """An image as PNG, with its rows and columns."""
    if image is None:
        return None
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return {
        "source": "data:image/png;base64," + base64_of(file.getvalue()),
        "size": list(image.shape[:2]),
    }


def recipe_rows(recipe: Mapping[str, Any]) -> list[list[str]]:
    """Each entry of a recipe that says something: its name and value as text, by name.

    Example:
        >>> recipe_rows({"size": [64, 64], "cut": "", "guidance_scale": 4.0})
        [['guidance scale', '4.0'], ['size', '64, 64']]
    """
    return [
        [name.replace("_", " "), _said(recipe[name])]
        for name in sorted(recipe)
        if recipe[name] not in (None, "", [], {})
    ]


def model_of(recipe: Mapping[str, Any]) -> str:
    """The name of the model; a trace that was made by hand may have none."""
    return str(recipe.get("model", "unknown model"))


def parity_text(error: float | None) -> str:
    """The greatest difference that was measured, in words."""
    if error is None:
        return "not measured"
    return f"{error:.1e}: greatest difference between weights × values and the model's own output"


def base64_of(data: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(data).decode("ascii")


def _numbered(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers that would have the same label get a number each."""
    labels = [layer["label"] for layer in layers]
    for index, layer in enumerate(layers):
        if labels.count(labels[index]) > 1:
            layer["label"] += f" · {labels[: index + 1].count(labels[index])}"
    return layers


def _said(value: Any) -> str:
    """A value of a recipe as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(value[key])}" for key in sorted(value))
    if isinstance(value, list | tuple):
        return ", ".join(_said(item) for item in value)
    return str(value)
