"""What the page of a prompt has of its own: its words, and how much each patch attends to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regard.axes import HEAD, LAYER, STEP
from regard.errors import TraceError
from regard.trace import Trace, pick
from regard.trace.labels import WORDS
from regard.views.entries import Entry, entries_of, table_of, words_of
from regard.views.payload_steps import merged_notice
from regard.views.plain import Side, described, stages_of
from regard.views.tiles import Averaging, Layers, tiles_of, word_maps


@dataclass(frozen=True)
class Words:
    """The words of a page before it is known how far their maps are averaged."""

    trace: Trace
    layers: Layers
    read: list[tuple[int, ...]]
    entries: list[dict[str, Any]]

    @property
    def columns(self) -> int:
        """How many maps there are of each layer, step and head."""
        return len(self.read)

    def side(self, fit: Averaging) -> Side:
        """The words with their maps."""
        tiles = tiles_of(self.layers, word_maps(self.read), fit)
        layers = described(self.layers, of=WORDS, columns=self.columns)
        chosen = _read_in(self.trace, self.layers)
        heads = "To keep this page small, heads are averaged in it."
        return Side(
            of=WORDS,
            layers=self.layers,
            tiles=tiles,
            entries=self.entries,
            described=layers,
            groups=[*stages_of(layers), *chosen],
            first=chosen[0]["name"] if chosen else "all",
            averaged=_averaged(self.layers),
            notices=[*([heads] if fit.heads_averaged else []), *merged_notice(tiles)],
        )


def words_side(trace: Trace, layers: Layers) -> Words:
    """The words of a prompt: what their maps are read from, and what the page says of each.

    Example:
        >>> from regard.trace import toy_trace
        >>> words = words_side(toy_trace(), toy_trace().layers)
        >>> [word["name"] for word in words.entries], words.columns
        (['a', 'cat', 'and', 'a#2', 'dog', '[start]', '[end]', '[pad]'], 8)
    """
    entries = entries_of(trace)
    kept = [entry for entry in entries if entry.kept]
    columns = [entry.kept for entry in kept]
    after = _after(trace, kept, columns)
    told = [
        {**word, "of": WORDS, "next": after.get(word["name"])} for word in words_of(entries, kept)
    ]
    return Words(trace, layers, columns, told)


def about_prompt(trace: Trace) -> dict[str, Any]:
    """What the page says of the prompt: its text, its run, its table."""
    return {
        "prompt": str(trace.recipe.get("prompt", "")),
        "run": _run(trace.recipe),
        "tokens": len(trace.tokens),
        "table": table_of(trace, entries_of(trace)),
    }


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


def _read_in(trace: Trace, layers: Layers) -> list[dict[str, Any]]:
    """The layers in which words of this model are read, if these are not all."""
    asked = trace.reading["layers"]
    if not asked:
        return []
    chosen, names = pick.layers(layers, asked, caller="page"), list(layers)
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


def _averaged(layers: Layers) -> list[str]:
    first = next(iter(layers.values()))
    return [axis for axis in (STEP, HEAD, LAYER) if axis in first.attrs.get("averaged", ())]


def _run(recipe: Mapping[str, Any]) -> list[str]:
    known = {
        "seed": "seed {}",
        "num_inference_steps": "{} steps",
        "guidance_scale": "guidance {:g}",
        "scheduler": "{}",
    }
    return [text.format(recipe[key]) for key, text in known.items() if recipe.get(key) is not None]
