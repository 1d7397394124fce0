"""A trace cut into parts that fit the memory: rows over patches, and whose they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.axes import HEAD, KEY, QUERY, STEP, X, Y
from regard.trace import Token
from regard.trace.labels import of_words

BLOCK = 2**22
"""Weights in a part at most, of all heads: 16 MiB in float32, and a few times that for what a
measure sorts and sums. At least one query of each head is."""

PATCHES = "patches"
PROBE = "probe"


@dataclass(frozen=True)
class Part:
    """Rows of one layer at one step: whose they are, and how they lie on the image.

    Args:
        rows: float32 over head, query and key.
        of: Whose row each query is.
        grid: Rows and columns of the patches, which are the last keys.
        patch: Pixels per patch, down and across, if known.
        prefix: How many keys come before the patches.
        maps: Of words, the maps as they were before they were put to a sum of 1.
    """

    rows: xr.DataArray
    of: NDArray[Any]
    grid: tuple[int, int]
    patch: tuple[float, float] | None
    prefix: int
    maps: xr.DataArray | None = None

    def names(self) -> list[str]:
        """The names that queries belong to, each once."""
        return [str(name) for name in dict.fromkeys(self.of)]

    def only(self, name: str) -> "Part":
        """The queries that belong to one name."""
        here = np.flatnonzero(self.of == name)
        if len(here) == len(self.of):
            return self
        maps = None if self.maps is None else self.maps.isel({QUERY: here})
        return replace(self, rows=self.rows.isel({QUERY: here}), of=self.of[here], maps=maps)


def parts_at(layer: xr.DataArray, step: int, tokens: Sequence[Token]) -> Iterator[Part]:
    """A layer at one step, a part at a time: the words that are its keys, or its queries.

    Args:
        layer: As `labelled_layer` labels it, in memory or on disk.
        step: Which of its steps, from 0.
        tokens: Those of the prompt, by which keys belong to words.
    """
    return _words_at(layer, step, tokens) if of_words(layer) else _queries_at(layer, step)


def _queries_at(layer: xr.DataArray, step: int) -> Iterator[Part]:
    """Self-attention at one step, some queries at a time; only these are read from a disk."""
    before, patch = list(layer.attrs["prefix"]), layer.attrs.get("patch")
    size = max(1, BLOCK // (layer.sizes[HEAD] * layer.sizes[KEY]))
    rows, columns = layer.attrs["grid"]
    sides = None if patch is None else (float(patch[0]), float(patch[1]))
    for start in range(0, layer.sizes[QUERY], size):
        block = layer.isel({STEP: step, QUERY: slice(start, start + size)})
        bare = block.drop_vars([name for name in block.coords if name != QUERY])
        weights = bare.astype(np.float32)
        of = _names(weights[QUERY].values, before, layer.attrs["kind"])
        yield Part(weights, of, (rows, columns), sides, len(before))


def _names(queries: NDArray[Any], before: list[str], kind: str) -> NDArray[Any]:
    if kind == "pool":
        return np.full(len(queries), PROBE)
    return np.asarray(np.array([*before, PATCHES])[np.minimum(queries, len(before))])


def _words_at(layer: xr.DataArray, step: int, tokens: Sequence[Token]) -> Iterator[Part]:
    """The maps of the words at one step, as rows over the patches, some words at a time."""
    kept = {int(index): place for place, index in enumerate(layer[KEY].values)}
    words: dict[str, list[int]] = {}
    for token in tokens:
        if token.index in kept:
            words.setdefault(token.name, []).append(kept[token.index])
    names, maps = np.array(list(words)), _summed(layer, step, list(words.values()))
    size = max(1, BLOCK // (layer.sizes[HEAD] * layer.sizes[QUERY]))
    for start in range(0, len(names), size):
        some = slice(start, start + size)
        yield _of_words(maps[:, some], names[some])


def _summed(layer: xr.DataArray, step: int, words: Sequence[list[int]]) -> NDArray[np.float32]:
    """Maps over head, word, y and x. One head is read at a time: tokens may be many."""
    maps = np.empty((layer.sizes[HEAD], len(words), *layer.attrs["grid"]), np.float32)
    for head in range(len(maps)):
        one = layer.isel({STEP: step, HEAD: head}).values.T.astype(np.float32)
        one = one.reshape(-1, *maps.shape[2:])
        for place, found in enumerate(words):
            maps[head, place] = one[found].sum(axis=0)
    return maps


def _of_words(maps: NDArray[np.float32], names: NDArray[Any]) -> Part:
    flat = maps.reshape(*maps.shape[:2], -1)
    total = flat.sum(axis=-1, keepdims=True)
    # A word without any mass has no map. Before the patches stands a key that only such words look
    # at: their rows are then what measures find undefined and count.
    nothing = total <= 0
    rows = np.concatenate([nothing, flat / np.where(nothing, 1, total)], axis=-1, dtype=np.float32)
    kept = xr.DataArray(maps, dims=(HEAD, QUERY, Y, X))
    weights = xr.DataArray(rows, dims=(HEAD, QUERY, KEY))
    return Part(weights, names, (maps.shape[2], maps.shape[3]), None, 1, kept)
