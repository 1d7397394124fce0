"""Maps as bytes: those of words and patches at every step, layer and head, small enough to send."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from regard.axes import HEAD, STEP, TOKEN
from regard.errors import ArgumentError
from regard.trace.labels import maps_of
from regard.views.scale import FAR, FEWEST, QUANTILE

# Bytes of maps that one page carries. A 512-pixel model keeps a hundred times this; a browser
# opens a page of this size at once, and so does a mail program.
BUDGET = 6_000_000

Layers = Mapping[str, xr.DataArray]
Read = Callable[[str, xr.DataArray], np.ndarray]


@dataclass(frozen=True)
class Tiles:
    """The maps of some words or patches in bytes, and how far they had to be averaged to fit.

    Args:
        layers: Per layer the bytes over step, head, column, y and x.
        lows: Per layer the value that byte 0 stands for, over step, head and column.
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


@dataclass(frozen=True)
class Averaging:
    """How far maps are averaged: over heads, and over so many neighbouring steps."""

    heads_averaged: bool = False
    group: int = 1

    def bytes_of(self, layers: Layers, columns: int) -> int:
        """How many bytes some columns of maps then take."""
        steps = -(-len(common_steps(layers)) // self.group)
        return steps * columns * _a_column(layers, heads=not self.heads_averaged)


def fit_of(layers: Layers, columns: int, budget: int) -> Averaging:
    """The least averaging that brings maps within a budget, if any does: heads first, then steps.

    Raises:
        ArgumentError: the layers were seen at different steps.

    Example:
        >>> from regard.trace import toy_trace
        >>> fit_of(toy_trace().layers, 2, 100)
        Averaging(heads_averaged=True, group=1)
    """
    steps = len(common_steps(layers))
    whole, headless = (_a_column(layers, heads=heads) * columns for heads in (True, False))
    heads_averaged = steps * whole > budget and whole != headless
    each_step = headless if heads_averaged else whole
    return Averaging(heads_averaged, max(1, -(-steps // max(1, budget // max(each_step, 1)))))


def tiles_of(layers: Layers, read: Read, fit: Averaging) -> Tiles:
    """Maps with a byte per patch, each with a range of its own.

    A value is off by at most half of 1/255 of the range of its own map, so that a faint map is as
    exact as a strong one; where sinks dominate, the range ends at the 98th percentile, and what is
    above it is kept apart.

    Args:
        layers: Of a trace, seen at the same steps.
        read: Takes the name of a layer and the layer, and gives its maps over step, head, column, y
            and x, as float64.
        fit: How far to average.

    Raises:
        ArgumentError: the layers were seen at different steps.

    Example:
        >>> from regard.trace import toy_trace
        >>> tiles = tiles_of(toy_trace().layers, word_maps([[2], [5]]), Averaging())
        >>> tiles.layers["mid_block.attentions.0"].shape
        (2, 2, 2, 2, 2)
    """
    steps = common_steps(layers)
    starts = range(0, len(steps), fit.group)
    found, lows, spans, peaks = {}, {}, {}, {}
    for name, layer in layers.items():
        merged = averaged(read(name, layer), fit)
        found[name], lows[name], spans[name] = quantised(merged)
        peaks[name] = peaks_of(merged)
    groups = tuple(steps[start : start + fit.group] for start in starts)
    return Tiles(found, lows, spans, groups, fit.heads_averaged, peaks)


def averaged(values: np.ndarray, fit: Averaging) -> np.ndarray:
    """Values over step, head and more, averaged so far.

    Example:
        >>> averaged(np.arange(6.0).reshape(3, 2), Averaging(heads_averaged=True, group=2)).tolist()
        [[1.5], [4.5]]
    """
    if fit.heads_averaged:
        values = values.mean(axis=1, keepdims=True)
    starts = range(0, len(values), fit.group)
    return np.stack([values[start : start + fit.group].mean(axis=0) for start in starts])


def word_maps(words: Sequence[Sequence[int]]) -> Read:
    """Reads the map of each word, which is the sum over its tokens.

    Args:
        words: Per word the indices of its tokens.

    Example:
        >>> from regard.trace import toy_trace
        >>> name, layer = next(iter(toy_trace().layers.items()))
        >>> word_maps([[2], [5, 6]])(name, layer).shape
        (2, 2, 2, 4, 4)
    """

    def read(name: str, layer: xr.DataArray) -> np.ndarray:
        maps = maps_of(layer)
        place = {int(token): at for at, token in enumerate(maps[TOKEN].values)}
        values = np.asarray(maps.values, dtype=np.float64)
        picked = [values[:, :, [place[token] for token in word]].sum(axis=2) for word in words]
        return np.stack(picked, axis=2)

    return read


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


def common_steps(layers: Layers) -> tuple[int, ...]:
    """The steps that all layers were seen at.

    Raises:
        ArgumentError: they were seen at different ones.

    Example:
        >>> from regard.trace import toy_trace
        >>> common_steps(toy_trace().layers)
        (0, 1)
    """
    found = {tuple(int(step) for step in layer[STEP].values) for layer in layers.values()}
    if len(found) > 1:
        raise ArgumentError(
            "page: the layers of this trace were seen at different steps. "
            "Make a trace of the layers that share their steps."
        )
    return found.pop()


def _a_column(layers: Layers, *, heads: bool) -> int:
    """Bytes of one column of maps at one step."""
    grids = [(each.sizes[HEAD] if heads else 1, each.attrs["grid"]) for each in layers.values()]
    return sum(count * rows * columns for count, (rows, columns) in grids)
