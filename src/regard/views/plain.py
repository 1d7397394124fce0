"""What the pages of a prompt and of an image are given alike, as plain JSON values.

Maps are bytes in base64.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from regard.views.tiles import Tiles


def packed(tiles: Tiles) -> dict[str, str]:
    """The bytes of the tiles, their ranges and their peaks, in base64.

    Ranges and peaks are little-endian float32; the places of peaks among all bytes are uint32.
    """
    little = np.dtype("<f4")
    parts = {"lows": tiles.lows, "spans": tiles.spans}
    ranges = {
        name: base64_of(b"".join(part.astype(little).tobytes() for part in layers.values()))
        for name, layers in parts.items()
    }
    tiled = b"".join(np.ascontiguousarray(part).tobytes() for part in tiles.layers.values())
    return {"tiles": base64_of(tiled), **ranges, **_peaks(tiles)}


def _peaks(tiles: Tiles) -> dict[str, str]:
    places, values, first = [b""], [b""], 0
    for name, part in tiles.layers.items():
        at, found = tiles.peaks[name]
        places.append((at + first).astype(np.dtype("<u4")).tobytes())
        values.append(found.astype(np.dtype("<f4")).tobytes())
        first += part.size
    return {
        "peakPlaces": base64_of(b"".join(places)),
        "peakValues": base64_of(b"".join(values)),
    }


def placed(described: Iterable[dict[str, Any]], tiles: Tiles) -> list[dict[str, Any]]:
    """Layers with the place of their bytes and ranges among all; equal labels get a number each.

    Args:
        described: What is said of each layer, its ``name`` and ``heads`` among it.
        tiles: The maps of these layers; where heads are averaged in them there is one, 0.
    """
    layers, first_byte, first_range = [], 0, 0
    for layer in described:
        heads = [0] if tiles.heads_averaged else layer["heads"]
        place = {"firstByte": first_byte, "firstRange": first_range}
        layers.append({**layer, "heads": heads, **place})
        first_byte += tiles.layers[layer["name"]].size
        first_range += tiles.lows[layer["name"]].size
    return _numbered(layers)


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
