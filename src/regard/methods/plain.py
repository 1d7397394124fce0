"""Settings of methods as JSON has them."""

from collections.abc import Mapping
from typing import Any

from regard.arguments import listed, number_or_none, whole_or_none


def plain(value: Any) -> Any:
    """A setting as JSON has it: ranges as two numbers, keys as text.

    Example:
        >>> plain({0: range(2, 5)})
        {'0': [2, 5]}
    """
    if isinstance(value, range):
        return [value.start, value.stop]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, slice):
        return {"start": value.start, "stop": value.stop, "step": value.step}
    if isinstance(value, str | bool | None):
        return value
    several = listed(value)
    if several is not None:
        return [plain(part) for part in several]
    readings = [whole_or_none(value), number_or_none(value), value]
    return next(reading for reading in readings if reading is not None)
