"""Maps as bytes: every word's map at every step, layer and head, small enough to send whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from regard.axes import HEAD, STEP, TOKEN, X, Y
from regard.errors import ArgumentError
from regard.trace import Trace
from regard.views.scale import FAR, FEWEST, QUANTILE

# Bytes of maps that one page carries. A 512-pixel model keeps a hundred times this; a browser
# opens a page of this size at once, and so does a mail program.
BUDGET = 6_000_000


@dataclass(frozen=True)
class Tiles:
    """The maps of some words in bytes, and how far they had to be averaged to fit.

    Args:
        layers: Per layer the bytes over step, head, word, y and x.
        lows: Per layer the value that byte 0 stands for, over step, head and word.
        spans: Per layer how far byte 255 lies above it.
        steps: The denoising steps behind each entry of the step axis.
        heads_averaged: Whether the heads were averaged to fit.
        peaks: Per layer the values above the range of their map: places in the bytes of the layer,
            in rising order, and what stands there. Sinks would stretch the range over all else.
    """

    layers: dict[str, np.ndarray]
    lows: dict[str, np.ndarray]
    spans: dict[str, np.ndarray]
    steps: tuple[tuple[int, ...], ...]
    heads_averaged: bool
    peaks: dict[str, tuple[np.ndarray, np.ndarray]]


def tiles_of(trace: Trace, words: Sequence[Sequence[int]], *, budget: int = BUDGET) -> Tiles:
    """The maps of each word, each with a byte per patch and a range of its own.

    A value is off by at most half of 1/255 of the range of its own map, so that a faint map is as
    exact as a strong one; where sinks dominate, the range ends at the 98th percentile, and what is
    above it is kept apart. Where the maps exceed the budget, heads are averaged first, then
    neighbouring steps, and the result says so.

    Args:
        trace: What was seen.
        words: Per word the indices of its tokens.
        budget: The most bytes that the maps may take, if averaging can reach it.

    Returns:
        The maps, in the order of ``words``.

    Raises:
        ArgumentError: the layers of the trace were seen at different steps.

    Example:
        >>> from regard.trace import toy_trace
        >>> tiles = tiles_of(toy_trace(), [[2], [5]])
        >>> tiles.layers["mid_block.attentions.0"].shape
        (2, 2, 2, 2, 2)
    """
    steps = _common_steps(trace)
    sizes = [maps.sizes[Y] * maps.sizes[X] for maps in trace.word_maps.values()]
    with_heads = [
        maps.sizes[HEAD] * size for maps, size in zip(trace.word_maps.values(), sizes, strict=True)
    ]
    heads_averaged = len(steps) * len(words) * sum(with_heads) > budget and sizes != with_heads
    each_step = len(words) * sum(sizes if heads_averaged else with_heads)
    group = max(1, -(-len(steps) // max(1, budget // max(each_step, 1))))
    starts = range(0, len(steps), group)
    layers, lows, spans, peaks = {}, {}, {}, {}
    for name, maps in trace.word_maps.items():
        values = _sums(maps, words)
        if heads_averaged:
            values = values.mean(axis=1, keepdims=True)
        merged = np.stack([values[start : start + group].mean(axis=0) for start in starts])
        layers[name], lows[name], spans[name] = quantised(merged)
        peaks[name] = peaks_of(merged)
    groups = tuple(steps[start : start + group] for start in starts)
    return Tiles(layers, lows, spans, groups, heads_averaged, peaks)


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bytes over the last two axes, with the low end and the span of each slice.

    The range ends where the colour scale of `scale_of` does; `peaks_of` has what lies above.

    Example:
        >>> tile, low, span = quantised(np.array([[[0.5, 0.6], [0.9, 0.5]]]))
        >>> tile.tolist(), low.round(3).tolist(), span.round(3).tolist()
        ([[[0, 64], [255, 0]]], [0.5], [0.4])
    """
    low = values.min(axis=(-2, -1))
    span = tops_of(values) - low
    shares = (values - low[..., None, None]) / np.where(span > 0, span, 1.0)[..., None, None]
    shares = np.minimum(shares, 1.0)
    # Half up, not to even, so that a half is the same byte whatever its neighbour.
    return np.floor(shares * 255 + 0.5).astype(np.uint8), low, span


def peaks_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in the flat array of the values above the range of their map, and those values.

    Example:
        >>> heat = np.arange(16.0).reshape(4, 4)
        >>> heat[0, 1] = 100.0
        >>> [found.tolist() for found in peaks_of(heat)]
        [[1], [100.0]]
    """
    places = np.flatnonzero(values > tops_of(values)[..., None, None])
    return places, values.ravel()[places]


def tops_of(values: np.ndarray) -> np.ndarray:
    """Where the range of each map over the last two axes ends, as `scale_of` says for one.

    Example:
        >>> tops_of(np.array([[[1.0, 2.0]], [[3.0, 0.0]]])).tolist()
        [2.0, 3.0]
    """
    flat = values.reshape(*values.shape[:-2], -1)
    most = flat.max(axis=-1)
    if flat.shape[-1] < FEWEST:
        return np.asarray(most)
    high = np.quantile(flat, QUANTILE, axis=-1, method="lower")
    tops: np.ndarray = np.where((high > 0) & (high < most / FAR), high, most)
    return tops


def _sums(maps: xr.DataArray, words: Sequence[Sequence[int]]) -> np.ndarray:
    ordered = maps.transpose(STEP, HEAD, TOKEN, Y, X)
    place = {int(token): at for at, token in enumerate(ordered[TOKEN].values)}
    values = np.asarray(ordered.values, dtype=np.float64)
    picked = [values[:, :, [place[token] for token in word]].sum(axis=2) for word in words]
    return np.stack(picked, axis=2)


def _common_steps(trace: Trace) -> tuple[int, ...]:
    found = {tuple(int(step) for step in maps[STEP].values) for maps in trace.word_maps.values()}
    if len(found) > 1:
        raise ArgumentError(
            "page: the layers of this trace were seen at different steps. "
            "Make a trace of the layers that share their steps."
        )
    return found.pop()
