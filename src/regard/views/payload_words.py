"""What the page of a prompt has of its own: its words, and how much each patch attends to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from regard.axes import HEAD, LAYER, STEP
from regard.errors import TraceError
from regard.trace import Trace, pick
from regard.trace.labels import of_words
from regard.views.entries import Entry, entries_of, table_of, words_of
from regard.views.tiles import Tiles, tiles_of

PLACES = {
    "down": "The layers on the way down",
    "mid": "The layers in the middle",
    "up": "The layers on the way up",
}


def parts_of_words(trace: Trace, budget: int) -> tuple[Tiles, dict[str, Any]]:
    """The maps of the words of a prompt, and what their page has of its own; see `payload`.

    Example:
        >>> from regard.trace import toy_trace
        >>> tiles, parts = parts_of_words(toy_trace(), 1000)
        >>> [word["name"] for word in parts["entries"]]
        ['a', 'cat', 'and', 'a#2', 'dog', '[start]', '[end]', '[pad]']
    """
    entries = entries_of(trace)
    kept = [entry for entry in entries if entry.kept]
    shown = in_common(trace)
    columns = [entry.kept for entry in kept]
    after = _after(trace, kept, columns)
    tiles = tiles_of(shown, columns, budget=budget)
    layers = _layers(shown, tiles)
    places, read = _places(layers), _read_in(shown)
    return tiles, {
        "kind": "words",
        "prompt": str(trace.recipe.get("prompt", "")),
        "run": _run(trace.recipe),
        "entries": [{**word, "next": after.get(word["name"])} for word in words_of(entries, kept)],
        "columns": len(columns),
        "tokens": len(trace.tokens),
        "layers": layers,
        "groups": [*places, *read],
        "reading": {
            "carriers": trace.reading["carriers"],
            "layer": read[0]["name"] if read else "all",
        },
        "steps": _steps(shown, tiles),
        "averaged": _averaged(trace),
        "notices": _notices(trace, shown, tiles),
        "table": table_of(trace, entries),
    }


def in_common(trace: Trace) -> Trace:
    """The trace in the steps that all its layers ran in; itself if that is all, or none.

    Example:
        >>> from regard.trace import toy_trace
        >>> toy = toy_trace()
        >>> in_common(toy) is toy
        True
    """
    ran = [{int(step) for step in maps[STEP].values} for maps in trace.word_maps.values()]
    shared = sorted(set.intersection(*ran)) if ran else []
    if not shared or all(len(steps) == len(shared) for steps in ran):
        return trace
    words = {name: each for name, each in trace.layers.items() if of_words(each)}
    return replace(trace, layers={name: each.sel(step=shared) for name, each in words.items()})


def _layers(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    described = []
    for name, maps in trace.word_maps.items():
        rows, columns = tiles.layers[name].shape[-2:]
        place = maps.attrs.get("stage")
        described.append(
            {
                "name": name,
                "label": f"{place} {rows}×{columns}" if place else f"{rows}×{columns}",
                "place": place,
                "kind": maps.attrs.get("kind") or "cross",
                "grid": [rows, columns],
                "heads": [int(head) for head in maps[HEAD].values],
            }
        )
    return described


def _after(
    trace: Trace, kept: Sequence[Entry], columns: list[tuple[int, ...]]
) -> dict[str, dict[str, Any]]:
    """Of each word, the token after it that carries it: its text, and where its map stands.

    A token that is no word of its own gets a column after the others.
    """
    found = {}
    for entry in kept:
        carriers = _carriers(trace, entry.name)
        following = tuple(index for index in carriers if index not in entry.kept)
        if following:
            if following not in columns:
                columns.append(following)
            texts = [trace.tokens[index].text.removesuffix("</w>") for index in following]
            found[entry.name] = {
                "text": " + ".join(texts),
                "tokens": len(following),
                "column": columns.index(following),
            }
    return found


def _carriers(trace: Trace, word: str) -> list[int]:
    try:
        return trace.carriers_of(word)
    except TraceError:  # the maps of the next token were not kept
        return []


def _places(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
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


def _read_in(trace: Trace) -> list[dict[str, Any]]:
    """The layers in which words of this model are read, if these are not all."""
    asked = trace.reading["layers"]
    if not asked:
        return []
    chosen, names = pick.layers(trace.word_maps, asked, caller="page"), list(trace.word_maps)
    why = trace.recipe["reading"].get("why")
    return [
        {
            "name": ", ".join(asked),
            "label": ", ".join(asked) if len(asked) == 1 else f"{len(chosen)} layers",
            "title": "In these layers words are read" + (f" ({why})" if why else ""),
            "layers": [names.index(name) for name in chosen],
            "python": json.dumps(asked),
        }
    ]


def _steps(trace: Trace, tiles: Tiles) -> list[dict[str, Any]]:
    first = next(iter(trace.word_maps.values()))
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
    first = next(iter(trace.word_maps.values()))
    return [axis for axis in (STEP, HEAD, LAYER) if axis in first.attrs.get("averaged", ())]


def _notices(trace: Trace, shown: Trace, tiles: Tiles) -> list[str]:
    notices = []
    if shown is not trace:
        notices.append(
            "Some layers did not run in every step, as caches do. The page has the "
            f"{sum(map(len, tiles.steps))} steps in which all ran."
        )
    if tiles.heads_averaged:
        notices.append("To keep this page small, heads are averaged in it.")
    merged = max(len(group) for group in tiles.steps)
    if merged > 1:
        notices.append(f"To keep this page small, every {merged} steps are averaged in it.")
    if notices:
        notices.append("The trace has them all.")
    return notices


def _run(recipe: Mapping[str, Any]) -> list[str]:
    known = {
        "seed": "seed {}",
        "num_inference_steps": "{} steps",
        "guidance_scale": "guidance {:g}",
        "scheduler": "{}",
    }
    return [text.format(recipe[key]) for key, text in known.items() if recipe.get(key) is not None]
