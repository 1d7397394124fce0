"""A look as a folder: complete under its name, or not there at all."""

import csv
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from PIL import Image

from regard.errors import OutputError
from regard.trace import Trace
from regard.trace.folder import check_above, claimed, complete, listed, readable, real
from regard.trace.names import file_names

__all__ = ["check_folder", "claim_folder", "file_names", "write"]

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
    _checked(folder, overwrite=overwrite)


def claim_folder(
    folder: str | os.PathLike[str], *, overwrite: bool = False
) -> AbstractContextManager[Path]:
    """Hold the folder of a look from before the work until it is saved, so that nobody else does.

    Args:
        folder: Where a look is to be saved.
        overwrite: Whether a look that was saved there may be replaced.

    Returns:
        A context manager that gives where it will lie.

    Raises:
        OutputError: on entering, as for `check_folder`, or another process or thread holds it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as room, claim_folder(room + "/new") as folder:
        ...     folder.name
        'new'
    """
    return claimed(folder, lambda: _checked(folder, overwrite=overwrite), who="Look.save")


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
    with claim_folder(folder, overwrite=overwrite) as target:
        complete(target, lambda fresh: _fill(image, trace, fresh, scale), who="Look.save")


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
    return {
        name: (reading_text(trace, word), trace.heatmap(word, **trace.reading))
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


def _checked(folder: str | os.PathLike[str], *, overwrite: bool) -> Path:
    target = real(folder, who="Look.save")
    _refuse(target, overwrite=overwrite)
    check_above(target, who="Look.save")
    return target


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not os.path.isdir(target) or not readable(target, who="Look.save"):
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
    there = listed(folder)
    for found in there:
        if found not in PARTS:
            return found
    if not _is_trace(folder / STORE):
        return there[0]
    saved = [*_saved_words(folder / WORDS), *_saved_layers(folder / STORE)]
    names = {f"{name}.png" for name in file_names(saved).values()}
    maps = listed(folder / MAPS) if (folder / MAPS).is_dir() else []
    return next((f"{MAPS}/{found}" for found in maps if found not in names), None)


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
