"""What changed from one look to another, as a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.look import Look
from regard.look.recipe import request_from
from regard.measures.verdicts import pixel_distance
from regard.scores.change import judges_for, makes_scenes
from regard.trace import resize

SHARE = 0.2
"""Which share of the patches, the hottest of a word's map, is called its region."""

COLUMNS = ["measure", "word", "unit", "before", "after", "change"]


def changes(before: Look, after: Look, methods: Sequence[Any], model: Any) -> pd.DataFrame:
    """One row for each measure of each word, then those of the whole image.

    Args:
        before: The baseline.
        after: The result under the methods.
        methods: What was changed; the words that they name have a region of their own.
        model: The model that made both; a bundled one has scorers.

    Returns:
        The columns measure, word (empty for the whole image), unit, before, after and change:
        their difference, or what only both together have, such as a distance.
    """
    named = [word for method in methods for word in method.words]
    named += [word for word in _words(before, after) if not _in_both(word, before, after)]
    rows = [*_of_words(before, after), *_of_pixels(before, after, list(dict.fromkeys(named)))]
    return pd.DataFrame([*rows, *_judged(before, after, model)], columns=COLUMNS)


def _of_words(before: Look, after: Look) -> list[tuple[Any, ...]]:
    tables = [each.trace.words().set_index("word") for each in (before, after)]
    tables = [each.reindex(_words(before, after)) for each in tables]
    units = {"mass": "share of attention", "entropy": "share of the most there can be"}
    return [
        (measure, word, unit, *_both(*(float(table.loc[word, measure]) for table in tables)))
        for measure, unit in units.items()
        for word in _words(before, after)
    ]


def _words(before: Look, after: Look) -> list[str]:
    """The words of the first prompt, then those that only the second has."""
    return list(dict.fromkeys([*before.trace.word_names, *after.trace.word_names]))


def _in_both(word: str, before: Look, after: Look) -> bool:
    return word in before.trace.word_names and word in after.trace.word_names


def _both(before: float, after: float) -> tuple[float, float, float]:
    return before, after, after - before


def _of_pixels(before: Look, after: Look, words: Sequence[str]) -> list[tuple[Any, ...]]:
    first, second = (np.asarray(each.image.convert("RGB")) for each in (before, after))
    unit, nothing = "share of full scale", float("nan")
    whole = float(pixel_distance(first, second))
    rows: list[tuple[Any, ...]] = [("distance", "", unit, nothing, nothing, whole)]
    distance = np.abs(first.astype(float) - second).mean(-1) / 255
    for word in words:
        has = before if _has(before, word) else after
        inside = region(has, word, distance.shape)
        parts = {"distance inside": inside, "distance outside": ~inside}
        rows += [
            (name, word, unit, nothing, nothing, float(distance[part].mean()))
            for name, part in parts.items()
        ]
    return rows


def _has(look: Look, word: str) -> bool:
    return word.casefold() in {token.name.casefold() for token in look.trace.tokens}


def region(look: Look, word: str, size: tuple[int, ...]) -> np.ndarray:
    """Where a word gets most attention: its hottest patches, bool [y, x] in pixels.

    The maps are those of the layers with the finest grid, which show best where an object is.
    """
    heat = resize(finest_map(look, word), (size[0], size[1])).values
    return np.asarray(heat >= np.quantile(heat, 1 - SHARE))


def finest_map(look: Look, word: str) -> xr.DataArray:
    """The map of a word, mean over the layers of the finest grid."""
    words = look.trace.word_maps
    sides = max((maps.sizes["y"], maps.sizes["x"]) for maps in words.values())
    layers = None if len(words) == 1 else f"{sides[0]}x{sides[1]}"
    return look.trace.heatmap(word, layers=layers)


def _judged(before: Look, after: Look, model: Any) -> list[tuple[Any, ...]]:
    """The scores of the bundled scorers; nothing for models that they were not made for."""
    if not makes_scenes(model):
        return []
    from regard.scores.clip import clip_score

    images = [before.image, after.image]
    requests = [request_from(each.trace.recipe) for each in (before, after)]
    prompt, other = (each.prompt for each in requests)
    likeness, objects = judges_for(model)
    (alike,) = likeness(images[1:], requests[1:], before.image)["similarity"]
    seen = objects(images, requests, before.image)["shown"]
    texts = {"clip_score": prompt} | ({"clip_score new prompt": other} if other != prompt else {})
    fits = {name: clip_score(images, [text] * 2).values for name, text in texts.items()}
    return [
        *((name, "", "cosine", *_both(float(a), float(b))) for name, (a, b) in fits.items()),
        ("clip_similarity", "", "cosine", float("nan"), float("nan"), alike),
        ("segmenter", "", "", *seen, "same" if seen[0] == seen[1] else "changed"),
    ]
