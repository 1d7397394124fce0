"""Stored maps of words as a layer over queries and keys, which is read where it is indexed."""

from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from regard.axes import HEAD, KEY, QUERY, STEP, TOKEN, X, Y
from regard.trace.labels import DIMS, WORDS, rows_of_maps


def layer_of_maps(maps: xr.DataArray) -> xr.DataArray:
    """Maps over step, head, token, y and x as the layer that they are of.

    Of maps in memory it is a view; of maps on disk, what is indexed is read.

    Example:
        >>> from regard.trace import toy_trace
        >>> from regard.trace.labels import maps_of
        >>> layer = toy_trace().layers["mid_block.attentions.0"]
        >>> layer_of_maps(maps_of(layer)).identical(layer)
        True
    """
    rows, columns = maps.sizes[Y], maps.sizes[X]
    in_memory = isinstance(maps.variable._data, np.ndarray)
    values = rows_of_maps(maps.values) if in_memory else _OnDisk(maps.variable)
    coords = {name: maps.coords[name] for name in (STEP, "timestep", HEAD) if name in maps.coords}
    coords |= {QUERY: np.arange(rows * columns), KEY: maps[TOKEN].values}
    last = {"averaged": maps.attrs["averaged"]}
    told = {name: each for name, each in maps.attrs.items() if name not in last}
    attrs = {**told, "of": WORDS, "grid": [rows, columns], **last}
    lazy = values if in_memory else indexing.LazilyIndexedArray(values)
    return xr.DataArray(xr.Variable(DIMS, lazy, attrs), coords)


class _OnDisk(BackendArray):
    """Stored maps, indexed over step, head, query and key."""

    def __init__(self, maps: xr.Variable) -> None:
        steps, heads, tokens, rows, columns = maps.shape
        self.maps, self.dtype = maps, maps.dtype
        self.shape = (steps, heads, rows * columns, tokens)

    def __getitem__(self, key: Any) -> Any:
        basic = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, basic, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        step, head, query, token = key
        values = self.maps[step, head, token].values
        flat = values.reshape(*values.shape[:-2], -1)[..., query]
        lists = isinstance(query, slice) and isinstance(token, slice)
        return flat.swapaxes(-1, -2) if lists else flat
