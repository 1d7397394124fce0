"""Whether a folder is a trace, and all of it: its version, its sizes, a digest of its values."""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from regard.errors import TraceError
from regard.trace.blocks import blocks

FORMAT = "regard-trace"

CHUNK = 4 * 2**20
"""Bytes of a chunk at most: a block of queries then needs few chunks, and a file is still large
enough to be worth its name. What is smaller stays in one piece, for each file costs a
millisecond."""

UNCHECKED, DENSEST = 2**28, 1000
"""Above so many values in one array, a byte on disk may stand for so many of them; what attention
is compressed to is far from it."""


def digest(tree: xr.DataTree) -> str:
    """SHA-256 over the names and values of all arrays.

    Zarr reads a chunk that is missing as its fill value, without a word; this notices. Numbers
    are read in blocks, so that a tree on disk need not fit the memory.
    """
    seen = hashlib.sha256(str(tree.attrs["recipe"]).encode())
    for node in sorted(tree.subtree, key=lambda node: node.path):
        variables = node.to_dataset(inherit=False).variables
        for name in sorted(map(str, variables)):
            values = variables[name]
            seen.update(f"{node.path}/{name} {values.shape}".encode())
            for part in _byte_parts(values):
                seen.update(part)
    return seen.hexdigest()


def check_declared(folder: Path) -> None:
    """Arrays as large as their files can hold; chunks that are missing would be filled in.

    Raises:
        ValueError: the sizes declared are far beyond the files.
    """
    told = [json.loads(file.read_bytes()) for file in folder.rglob("zarr.json")]
    told += [
        each
        for node in told
        for each in ((node.get("consolidated_metadata") or {}).get("metadata") or {}).values()
    ]
    largest = max((math.prod(each.get("shape") or [0]) for each in told), default=0)
    if largest <= UNCHECKED:
        return
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if largest > DENSEST * held:
        raise ValueError(
            f"it declares an array of {largest:,} values, and all its files have {held:,} bytes"
        )


def damaged(path: str | os.PathLike[str], failed: Exception) -> TraceError:
    """The error for a trace that cannot be read to its end."""
    lines = str(failed).splitlines()
    why = lines[0].rstrip(".") if lines else type(failed).__name__
    return TraceError(
        f"Trace.load: '{os.fspath(path)}' is a trace, but damaged: {why}. "
        f"Restore it from a copy, or make it again with regard look."
    )


def version_of(folder: Path) -> Any:
    """The version of the format that a folder says it is in.

    Raises:
        TraceError: there is nothing, or no trace.
    """
    if not os.path.exists(folder):  # Path.exists raises where a folder above may not be read
        raise TraceError(
            f"Trace.load: there is nothing at '{folder}'. "
            f"Give the folder that Trace.save wrote, such as trace.zarr."
        )
    try:
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        if attributes["format"] == FORMAT:
            return attributes["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # said below: whatever this is, it is no trace
    what = "another Zarr store" if os.path.exists(folder / "zarr.json") else "no Zarr v3 store"
    raise TraceError(
        f"Trace.load: '{folder}' is {what} and not a trace. "
        f"Give the folder that Trace.save wrote, such as trace.zarr."
    )


def _byte_parts(values: xr.Variable) -> Iterator[bytes]:
    """The bytes of an array in order, one block after the other."""
    if values.dtype.kind in "OTU":
        yield json.dumps([str(value) for value in values.values.ravel()]).encode()
        return
    for block in blocks(values.shape, CHUNK // values.dtype.itemsize):
        yield np.ascontiguousarray(values[block].values).tobytes()
