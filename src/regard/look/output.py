"""A look as a folder: complete under its name, or not there at all."""

import csv
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from regard.errors import OutputError
from regard.trace import Trace
from regard.trace.folder import LONGEST, check_above, complete, unwritten

PICTURE, WORDS, MAPS, STORE, PAGE = "image.png", "words.csv", "heatmaps", "trace.zarr", "page.html"
PREDICTIONS = "predictions.csv"
PARTS = {PICTURE, WORDS, PREDICTIONS, MAPS, STORE, PAGE}


def check_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a folder that `Look.save` could not write, before the work is done.

    Args:
        folder: Where a look is to be saved.
        overwrite: Whether a look that was saved there may be replaced.

    Raises:
        OutputError: there is a file, a folder with something in it, or no permission.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room:
        ...     check_folder(room + "/new")
    """
    target = _target(folder)
    try:
        _refuse(target, overwrite=overwrite)
    except PermissionError as failed:
        raise unwritten(target, failed, who="Look.save") from failed
    check_above(target, who="Look.save")


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
    check_folder(folder, overwrite=overwrite)
    target = _target(folder)
    complete(target, lambda fresh: _fill(image, trace, fresh, scale), who="Look.save")


def file_names(words: Iterable[str]) -> dict[str, str]:
    """A file name for each word that every system can write, no two alike.

    Example:
        >>> file_names(["cat", "cat#2", "1/2", "?", "!"])
        {'cat': 'cat', 'cat#2': 'cat#2', '1/2': '1_2', '?': '_', '!': '_-2'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for word in words:
        stem = re.sub(r"[^\w#'’-]", "_", word)[:LONGEST]
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        names[word] = name
    return names


def _fill(image: Image.Image, trace: Trace, folder: Path, scale: str) -> None:
    from regard.views import page

    (folder / MAPS).mkdir(parents=True)
    image.save(folder / PICTURE)
    maps = _fill_words(trace, folder) if trace.layers else _fill_picture(trace, folder)
    _fill_maps(image, maps, folder / MAPS, scale)
    trace.save(folder / STORE)
    (folder / PAGE).write_text(page(trace, scale=scale), encoding="utf-8")


def _fill_words(trace: Trace, folder: Path) -> dict[str, tuple[str, Any]]:
    """The table of words; the title and the map for each file of heat maps."""
    trace.words().to_csv(folder / WORDS, index=False)
    names = file_names(trace.word_names)
    return {name: (word, trace.heatmap(word)) for word, name in names.items()}


def _fill_picture(trace: Trace, folder: Path) -> dict[str, tuple[str, Any]]:
    """The likeliest labels; the title and the map for each file of heat maps, one a layer."""
    with (folder / PREDICTIONS).open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("label", "probability"), *trace.recipe.get("prediction", [])])
    names = file_names(f"{number:03d}-{name}" for number, name in enumerate(trace.weights))
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
    pooled = trace.weights[layer].attrs["kind"] == "pool"
    query = "probe" if pooled else trace.queries[0]
    return query, trace.attention(query, layers=[layer])


def _target(folder: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(folder))


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputError(f"Look.save: '{target}' is a file. Choose the name of a folder.")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise OutputError(
            f"Look.save: '{target}' exists and is not empty. "
            f"Choose another folder, or overwrite=True (--overwrite) to replace the look in it."
        )
    foreign = _foreign(target)
    if foreign is not None:
        raise OutputError(
            f"Look.save: '{target}' holds '{foreign}', which no look wrote, so it is not replaced. "
            f"Choose another folder, or move that away."
        )


def _foreign(folder: Path) -> str | None:
    """Something in a folder that is no part of a saved look; None if all of it is."""
    for found in sorted(folder.iterdir()):
        if found.name not in PARTS:
            return found.name
    if not _is_trace(folder / STORE):
        return next(found.name for found in sorted(folder.iterdir()))
    saved = [*_saved_words(folder / WORDS), *_saved_layers(folder / STORE)]
    names = {f"{name}.png" for name in file_names(saved).values()}
    maps = sorted((folder / MAPS).iterdir()) if (folder / MAPS).is_dir() else []
    return next((f"{MAPS}/{found.name}" for found in maps if found.name not in names), None)


def _is_trace(store: Path) -> bool:
    try:
        attributes: Any = json.loads((store / "zarr.json").read_bytes())["attributes"]
        return bool(attributes["format"] == "regard-trace")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _saved_words(table: Path) -> list[str]:
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            return [row["word"] for row in csv.DictReader(lines) if row.get("role") == "word"]
    except (OSError, ValueError, KeyError):
        return []


def _saved_layers(store: Path) -> list[str]:
    places = store / "weights"
    return (
        sorted(each.name for each in places.iterdir() if each.is_dir()) if places.is_dir() else []
    )
