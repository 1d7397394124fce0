"""Many measures of a whole trace as one table, a block of it at a time."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.axes import HEAD, QUERY, STEP, X, Y
from regard.errors import ArgumentError
from regard.measures.about import GRID_ROWS, ROWS, about_of
from regard.measures.named import measures
from regard.measures.parts import PATCHES, Part, parts_at
from regard.trace import Trace
from regard.trace.store import Opened, open_layers

COLUMNS = ["layer", "place", "step", "head", "of", "measure", "value", "unit", "n", "undefined"]
ALL = "all"

STREAMED = ("head_diversity", "mass")
"""Measures that are a mean over queries, besides those with a value per query."""

Sum = tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]


def over_trace(trace: Trace | str | os.PathLike[str], names: str | Sequence[str]) -> pd.DataFrame:
    """Measures of every layer, step and head of a trace, in 512 MB whatever its size.

    Of words, the map of a word over the patches is measured, put to a sum of 1. Of images, the
    rows of the class token, of each register and of the patches are, with the keys before the
    patches left out; of the patches the mean is told, which is a mean of values and not the value
    of a mean.

    Args:
        trace: A trace, or the folder of a saved one, which is read block by block.
        names: Names of measures with a value per query, of ``head_diversity`` or ``mass``.

    Returns:
        One row per value: layer, place, step and head (``mean`` where they were averaged while the
        model ran, and ``all`` for what is one number per layer), of (the word or what looks:
        ``cls``, ``register.1``, ``patches``, ``probe``), measure (of two parts as ``centre y``),
        value, unit, n (over how many queries it is the mean), and undefined: how many more have
        no value and were left out.

    Raises:
        UnknownName: no measure has this name.
        ArgumentError: a measure cannot be taken so, or finds nothing that it reads.
        TraceError: there is no trace, or it is damaged.

    Example:
        >>> from regard.trace import toy_trace
        >>> table = over_trace(toy_trace(), ["normalised_entropy"])
        >>> table.query("of == 'and' and step == 0 and head == 0")["value"].tolist()
        [1.0, 1.0]
    """
    asked = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    functions = {name: _measure(name) for name in asked}
    if not functions:
        raise ArgumentError("over_trace: names is empty. Name at least one measure.")
    opened = nullcontext(trace) if isinstance(trace, Trace) else open_layers(Path(trace))
    with opened as found:
        rows = list(_rows(found, functions))
    table = pd.DataFrame(rows, columns=COLUMNS)
    missing = [name for name in asked if not table["measure"].str.split().str[0].eq(name).any()]
    if missing:
        what = "where words lie" if found.layers else "where patches look"
        raise ArgumentError(
            f"over_trace: '{missing[0]}' finds nothing to measure in a trace of {what}. "
            f"regard measures lists what each reads."
        )
    return table


def _measure(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = measures.get(name)
    if name not in STREAMED and about_of(function).reads not in (ROWS, GRID_ROWS):
        raise ArgumentError(
            f"over_trace: '{name}' has no value per query, so it cannot be taken block by block. "
            f"Call it on a layer: measures.get('{name}')."
        )
    return function


def _rows(
    trace: Trace | Opened, functions: Mapping[str, Callable[..., Any]]
) -> Iterator[tuple[Any, ...]]:
    """The rows of the table, layer by layer and step by step."""
    for name, layer in [*trace.layers.items(), *trace.weights.items()]:
        for step in range(layer.sizes[STEP]):
            sums = _Sums()
            for part in parts_at(layer, step, trace.tokens):
                sums.add(functions, part)
            yield from sums.rows(name, layer, step)


class _Sums:
    """Sums over queries and how many there were, by measure and whose they are."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Sum] = {}

    def add(self, functions: Mapping[str, Callable[..., Any]], part: Part) -> None:
        """Measure a part and add what was found."""
        for name in part.names():
            own = part.only(name)
            for measure, function in functions.items():
                for label, values in _values(measure, function, own):
                    self._add(label, name, values)

    def _add(self, label: str, name: str, values: xr.DataArray) -> None:
        known = values.notnull()
        total = values.fillna(0).sum(QUERY, dtype=np.float64).values
        count, missing = known.sum(QUERY).values, (~known).sum(QUERY).values
        old = self.found.get((label, name))
        if old is not None:
            total, count, missing = total + old[0], count + old[1], missing + old[2]
        self.found[label, name] = (total, count, missing, str(values.attrs["units"]))

    def rows(self, name: str, layer: xr.DataArray, step: int) -> Iterator[tuple[Any, ...]]:
        """The rows of the table for one layer and step."""
        averaged = layer.attrs.get("averaged", ())
        when: int | str = "mean" if STEP in averaged else int(layer[STEP].values[step])
        heads: list[int | str] = [int(head) for head in layer[HEAD].values]
        place = layer.attrs.get("stage") or ""
        for (label, of), (total, count, missing, unit) in self.found.items():
            value = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
            labels = [ALL] if total.ndim == 0 else ["mean"] if HEAD in averaged else heads
            columns = [np.atleast_1d(each) for each in (value, count, missing)]
            for head, each, n, undefined in zip(labels, *columns, strict=True):
                yield name, place, when, head, of, label, float(each), unit, int(n), int(undefined)


def _values(
    measure: str, function: Callable[..., Any], part: Part
) -> Iterator[tuple[str, xr.DataArray]]:
    """What a measure finds in a part: nothing, one array, or one per part of its answer."""
    words = part.maps is not None
    if measure == "mass":
        if words:
            yield measure, function(part.maps)
    elif measure == "attention_distance":
        if not words and part.of[0] == PATCHES:
            yield measure, function(part.rows, part.grid, patch=part.patch, prefix=part.prefix)
    elif measure == "centre":
        found = function(part.rows, part.grid, prefix=part.prefix)
        yield from ((f"{measure} {dim}", found[dim]) for dim in (Y, X))
    elif measure == "extent":
        yield measure, function(part.rows, part.grid, patch=part.patch, prefix=part.prefix)
    elif measure == "head_diversity":
        yield measure, _per_query(function, part)
    elif measure != "sink_mass" or not words:
        yield measure, function(part.rows, prefix=part.prefix)


def _per_query(function: Callable[..., Any], part: Part) -> xr.DataArray:
    """A mean over queries taken query by query, so that blocks can be added up."""
    rows = part.rows.expand_dims("one", -2).rename({QUERY: "each", "one": QUERY})
    found: xr.DataArray = function(rows, prefix=part.prefix)
    return found.rename(each=QUERY)
