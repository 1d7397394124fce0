"""A look as a folder: complete under its name, or not there at all."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from regard.saved.folder import SavedFolder, listed
from regard.trace import Trace
from regard.trace.names import file_names
from regard.trace.patches import patches_of

__all__ = ["FOLDER", "check_folder", "file_names", "foreign", "write"]

PICTURE, WORDS, MAPS, STORE, PAGE = "image.png", "words.csv", "heatmaps", "trace.zarr", "page.html"
PREDICTIONS = "predictions.csv"
PARTS = {PICTURE, WORDS, PREDICTIONS, MAPS, STORE, PAGE}


def write(
    image: Image.Image,
    trace: Trace,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool,
    scale: str = "each",
) -> None:
    """Write an image and its trace under another name beside ``folder``, then rename.

    Raises:
        OutputError: something is there already, or writing failed.
        UnknownName: there is no such scale.
    """
    from regard.views.scale import check_scale

    check_scale("Look.save", scale)
    FOLDER.write(folder, lambda fresh: _fill(image, trace, fresh, scale), overwrite=overwrite)


def _fill(image: Image.Image, trace: Trace, folder: Path, scale: str) -> None:
    from regard.views import page

    (folder / MAPS).mkdir(parents=True)
    image.save(folder / PICTURE)
    maps = _fill_words(trace, folder) if trace.word_maps else _fill_picture(trace, folder)
    _fill_maps(image, maps, folder / MAPS, scale)
    trace.save(folder / STORE)
    (folder / PAGE).write_text(page(trace, scale=scale), encoding="utf-8")


def _fill_words(trace: Trace, folder: Path) -> dict[str, tuple[str, Any]]:
    """The table of words; the title and the map for each file of heat maps.

    After the words come the patches whose own attention was asked for.
    """
    trace.words().to_csv(folder / WORDS, index=False)
    patches = patches_of(trace.recipe) if trace.self_attention else {}
    names = file_names([*trace.word_names, *patches])
    return {
        name: (f"where {word} attends", trace.attention(patches[word]))
        if word in patches
        else (reading_text(trace, word), trace.heatmap(word, **trace.reading))
        for word, name in names.items()
    }


def reading_text(trace: Trace, word: str) -> str:
    """A word, and at which tokens and in which layers it is read, where that is not at its own.

    Example:
        >>> from regard.trace import toy_trace
        >>> reading_text(toy_trace(), "cat")
        'cat'
    """
    carriers, layers = trace.reading["carriers"], trace.reading["layers"]
    own = trace.tokens_of(word)
    more = [i for i in trace.carriers_of(word) if i not in own] if carriers else []
    at = [f"also at '{trace.tokens[index].name}', which follows" for index in more]
    where = [f"layers {', '.join(layers)}"] if layers else []
    return f"{word} ({'; '.join([*at, *where])})" if at or where else word


def _fill_picture(trace: Trace, folder: Path) -> dict[str, tuple[str, Any]]:
    """The likeliest labels; the title and the map for each file of heat maps, one a layer."""
    with (folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("label", "probability"), *trace.recipe.get("prediction", [])])
    names = file_names(f"{number:03d}-{name}" for number, name in enumerate(trace.layers))
    maps = {}
    for node, name in names.items():
        query, heat = _of_layer(trace, node[4:])
        maps[name] = (f"{query} in {node[4:]}, mean of heads", heat)
    return maps


def _fill_maps(
    image: Image.Image, maps: dict[str, tuple[str, Any]], folder: Path, scale: str
) -> None:
    from regard.views.scale import shared_top
    from regard.views.stamp import stamp

    top = shared_top(heat for _, heat in maps.values()) if scale == "shared" and maps else None
    for name, (title, heat) in maps.items():
        stamp(image, heat, title=title, top=top).save(folder / f"{name}.png")


def _of_layer(trace: Trace, layer: str) -> tuple[str, Any]:
    """The query that a layer is read out by, and its map."""
    pooled = trace.layers[layer].attrs["kind"] == "pool"
    query = "probe" if pooled else trace.queries[0]
    return query, trace.attention(query, layers=[layer])


def foreign(folder: Path) -> str | None:
    """Something in a folder that is no part of a saved look; None if all of it is."""
    there = listed(folder)
    for found in there:
        if found not in PARTS:
            return found
    if not _is_trace(folder / STORE):
        return there[0]
    patches = patches_of(_recipe_of(folder / STORE))
    saved = [*_saved_words(folder / WORDS), *patches, *_saved_layers(folder / STORE)]
    names = {f"{name}.png" for name in file_names(saved).values()}
    maps = listed(folder / MAPS) if (folder / MAPS).is_dir() else []
    return next((f"{MAPS}/{found}" for found in maps if found not in names), None)


def _is_trace(store: Path) -> bool:
    try:
        attributes: Any = json.loads((store / "zarr.json").read_bytes())["attributes"]
        return bool(attributes["format"] == "regard-trace")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _recipe_of(store: Path) -> dict[str, Any]:
    """The recipe of a saved trace; an empty one if there is none that can be read."""
    try:
        attributes: Any = json.loads((store / "zarr.json").read_bytes())["attributes"]
        recipe = json.loads(attributes["recipe"])
        return recipe if isinstance(recipe, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _saved_words(table: Path) -> list[str]:
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            return [row["word"] for row in csv.DictReader(lines) if row.get("role") == "word"]
    except (OSError, ValueError, KeyError):
        return []


def _saved_layers(store: Path) -> list[str]:
    groups = [store / group for group in ("layers", "weights")]  # the latter of older traces
    return sorted(each.name for g in groups if g.is_dir() for each in g.iterdir() if each.is_dir())


FOLDER = SavedFolder("Look.save", "look", foreign)
check_folder = FOLDER.check
