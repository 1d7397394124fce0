"""Finished parts of a study, on disk as plain values and arrays: nothing that runs when read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.experiments.store import Done

Arrays = dict[str, np.ndarray]


def done_of(value: Any, size: int) -> Done:
    """A value that a part of a study measured, as a finished case.

    Args:
        value: Of the types in `KINDS`, or a dataclass of such.
        size: How much work it was.
    """
    arrays: Arrays = {}
    return Done(size=size, values=value_to_plain(value, arrays), arrays=arrays)


def value_of(done: Done, kinds: Sequence[type]) -> Any:
    """The value that `done_of` was given.

    Args:
        done: The finished case.
        kinds: The dataclasses that it may be made of.
    """
    return plain_to_value(done.values, done.arrays, {kind.__name__: kind for kind in kinds})


def value_to_plain(value: Any, arrays: Arrays) -> Any:
    """A value as JSON has it, with its arrays put into ``arrays``.

    Example:
        >>> arrays = {}
        >>> value_to_plain({"a": np.zeros(2), "b": (1, None)}, arrays)
        {'is': 'dict', 'of': [['a', {'is': 'array', 'of': '0'}], ['b', {'is': 'tuple', 'of': \
[1, None]}]]}
        >>> list(arrays)
        ['0']
    """

    def inside(each: Any) -> Any:
        return value_to_plain(each, arrays)

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [inside(each) for each in value]
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        name = str(len(arrays))
        arrays[name] = np.asarray(value)
        return {"is": "array" if isinstance(value, np.ndarray) else "scalar", "of": name}
    kind, of = _taken_apart(value)
    return {"is": kind, "of": inside(of)}


def _taken_apart(value: Any) -> tuple[str, Any]:
    """What a value is called on disk, and the list or mapping that it is made of."""
    if is_dataclass(value):
        return type(value).__name__, _pairs({each.name: getattr(value, each.name)
                                             for each in fields(value)})  # fmt: skip
    for kind, (of, apart) in KINDS.items():
        if isinstance(value, of):
            return kind, apart(value)
    raise TypeError(f"{type(value)} is no value of a part")  # a mistake of ours


def _pairs(value: Mapping[Any, Any]) -> list[list[Any]]:
    return [[name, each] for name, each in value.items()]


KINDS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "tuple": (tuple, list),
    "objects": (np.ndarray, np.ndarray.tolist),
    "dataset": (xr.Dataset, lambda value: _pairs(value.to_dict(data="array"))),
    "dataarray": (xr.DataArray, lambda value: _pairs(value.to_dict(data="array"))),
    "frame": (pd.DataFrame, lambda value: [[name, value[name].to_numpy()] for name in value]),
    "dict": (Mapping, _pairs),
}
"""Of each name on disk the type, and how it is taken apart."""

TOGETHER: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "objects": lambda of: np.array(of, dtype=object),
    "dataset": lambda of: xr.Dataset.from_dict(dict(of)),
    "dataarray": lambda of: xr.DataArray.from_dict(dict(of)),
    "frame": lambda of: pd.DataFrame(dict(of)),
    "dict": dict,
}
"""Of each name on disk, how its parts are put together."""


def plain_to_value(plain: Any, arrays: Mapping[str, np.ndarray], kinds: Mapping[str, type]) -> Any:
    """The value that `value_to_plain` was given.

    Example:
        >>> arrays = {}
        >>> plain = value_to_plain(xr.DataArray([1.0], dims=["x"], attrs={"grid": (1, 2)}), arrays)
        >>> plain_to_value(plain, arrays, {}).attrs
        {'grid': (1, 2)}
    """

    def inside(each: Any) -> Any:
        return plain_to_value(each, arrays, kinds)

    if isinstance(plain, list):
        return [inside(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    kind, of = plain["is"], plain["of"]
    if kind == "array":
        return arrays[of]
    if kind == "scalar":
        return arrays[of][()]
    if kind in TOGETHER:
        return TOGETHER[kind](inside(of))
    return kinds[kind](**dict(inside(of)))
