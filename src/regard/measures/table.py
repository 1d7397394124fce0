"""Many measures of a whole trace as one table, a block of it at a time."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.arguments import listed, shown
from regard.axes import HEAD, QUERY, STEP
from regard.errors import ArgumentError
from regard.measures.about import (
    GRID_ROWS,
    HEADS_PER_QUERY,
    MAP,
    PATCH_ROWS,
    ROWS,
    SINK_ROWS,
    About,
    about_of,
)
from regard.measures.named import measures
from regard.measures.parts import PATCHES, Part, parts_at
from regard.trace import Trace
from regard.trace.labels import of_words, path_of
from regard.trace.store import StoredTrace, open_layers

COLUMNS = ["layer", "place", "step", "head", "of", "measure", "value", "unit", "n", "undefined"]
ALL = "all"

Sum = tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]


def over_trace(trace: Trace | str | os.PathLike[str], names: Any) -> pd.DataFrame:
    """Measures of every layer, step and head of a trace, in 512 MB whatever its size.

    Of words, the map of a word over the patches is measured, put to a sum of 1. Of images, the
    rows of the class token, of each register and of the patches are, with the keys before the
    patches left out; for the patches the table has the mean of their values, which is not the
    value of their mean.

    Args:
        trace: A trace, or the folder of a saved one, which is read block by block.
        names: Measures with a value per query, one or several: the names of those that
            `regard.measures.measures` lists, or functions of your own under `measure`. What
            ``about.reads`` says of a measure is what it is given.

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
    several = [names] if isinstance(names, str) or callable(names) else listed(names) or []
    functions = dict(_measure(each) for each in several)
    if not functions:
        raise ArgumentError("over_trace: names is empty. Name at least one measure.")
    opened = nullcontext(trace) if isinstance(trace, Trace) else open_layers(Path(trace))
    with opened as found:
        rows = list(_rows(found, functions))
    table = pd.DataFrame(rows, columns=COLUMNS)
    missing = [name for name in functions if not table["measure"].str.split().str[0].eq(name).any()]
    if missing:
        words = any(of_words(layer) for layer in found.layers.values())
        what = "where words lie" if words else "where patches look"
        raise ArgumentError(
            f"over_trace: '{missing[0]}' finds nothing to measure in a trace of {what}. "
            f"regard measures lists what each reads."
        )
    return table


def _measure(each: Any) -> tuple[str, Callable[..., Any]]:
    """The name of a measure, and its function."""
    if not isinstance(each, str) and not isinstance(getattr(each, "about", None), About):
        raise ArgumentError(
            f"over_trace: names hold {shown(each)}, which is no measure. Give its name, such as "
            f"'gini', or a function under regard.measures.measure."
        )
    name = each if isinstance(each, str) else each.__name__
    function: Callable[..., Any] = measures.get(name) if isinstance(each, str) else each
    if about_of(function).reads not in READERS:
        raise ArgumentError(
            f"over_trace: '{name}' has no value per query, so it cannot be taken block by block. "
            f"Call it on a layer: measures.get('{name}')."
        )
    return name, function


def _rows(
    trace: Trace | StoredTrace, functions: Mapping[str, Callable[..., Any]]
) -> Iterator[tuple[Any, ...]]:
    """The rows of the table, layer by layer and step by step."""
    for name, layer in trace.layers.items():
        for step in range(layer.sizes[STEP]):
            sums = _Sums()
            for part in parts_at(layer, step, trace.tokens):
                sums.add(functions, part)
            yield from sums.rows(path_of(name), layer, step)


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
    found = READERS[about_of(function).reads](function, part)
    if isinstance(found, xr.Dataset):
        yield from ((f"{measure} {name}", found[name]) for name in found.data_vars)
    elif found is not None:
        yield measure, found


def _of_map(function: Callable[..., Any], part: Part) -> Any:
    return None if part.maps is None else function(part.maps)


def _of_rows(function: Callable[..., Any], part: Part) -> Any:
    return function(part.rows, prefix=part.prefix)


def _of_prefix(function: Callable[..., Any], part: Part) -> Any:
    return _of_rows(function, part) if part.maps is None else None


def _of_grid(function: Callable[..., Any], part: Part) -> Any:
    pixels = {"patch": part.patch} if "patch" in inspect.signature(function).parameters else {}
    return function(part.rows, part.grid, prefix=part.prefix, **pixels)


def _of_patches(function: Callable[..., Any], part: Part) -> Any:
    patches = part.maps is None and part.of[0] == PATCHES
    return _of_grid(function, part) if patches else None


def _per_query(function: Callable[..., Any], part: Part) -> xr.DataArray:
    """A mean over queries taken query by query, so that blocks can be added up."""
    rows = part.rows.expand_dims("one", -2).rename({QUERY: "each", "one": QUERY})
    found: xr.DataArray = function(rows, prefix=part.prefix)
    return found.rename(each=QUERY)


READERS: dict[str, Callable[[Callable[..., Any], Part], Any]] = {
    ROWS: _of_rows,
    GRID_ROWS: _of_grid,
    PATCH_ROWS: _of_patches,
    SINK_ROWS: _of_prefix,
    MAP: _of_map,
    HEADS_PER_QUERY: _per_query,
}
"""How a measure is given a part, by what it reads; of what a part has not, it finds None."""
