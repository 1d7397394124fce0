"""A trace as a Zarr v3 folder, through xarray."""

import errno
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.axes import X, Y
from regard.errors import ArgumentError, OutputError, TraceError
from regard.saved.folder import complete, unwritten
from regard.trace.blocks import block_shape, blocks
from regard.trace.words import Token

FORMAT = "regard-trace"
VERSION = 1

CHUNK = 4 * 2**20
"""Bytes of a chunk at most: a block of queries then needs few chunks, and a file is still large
enough to be worth its name. What is smaller stays in one piece, for each file costs a
millisecond."""

UNCHECKED, DENSEST = 2**28, 1000
"""Above so many values in one array, a byte on disk may stand for so many of them; what attention
is compressed to is far from it."""

Parts = tuple[
    dict[str, xr.DataArray],
    tuple[Token, ...],
    dict[str, Any],
    NDArray[np.uint8] | None,
    pd.DataFrame | None,
    dict[str, xr.DataArray],
]


def tree_of(
    layers: dict[str, xr.DataArray],
    tokens: tuple[Token, ...],
    recipe: dict[str, Any],
    image: NDArray[np.uint8] | None,
    table: pd.DataFrame | None,
    weights: Mapping[str, xr.DataArray] | None = None,
) -> xr.DataTree:
    """The parts of a trace as the tree that goes to disk.

    Raises:
        ArgumentError: the recipe holds something that JSON cannot.
    """
    nodes = {**_nodes("layers", "maps", layers), **_nodes("weights", "weights", weights or {})}
    nodes["/tokens"] = _dataset(_token_frame(tokens))
    if table is not None:
        nodes["/words"] = _dataset(table)
    if image is not None:
        nodes["/image"] = xr.Dataset({"image": ((Y, X, "channel"), image)})
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"format": FORMAT, "version": VERSION, "recipe": _json(recipe)}
    tree.attrs["digest"] = digest(tree)
    return tree


def parts_of(tree: xr.DataTree) -> Parts:
    """The parts of a trace from the tree that was on disk."""
    recipe = _recipe_of(tree)
    layers, weights = _parts(tree, "layers", "maps"), _parts(tree, "weights", "weights")
    tokens = tuple(_token(row) for row in _frame(tree["tokens"].to_dataset()).itertuples())
    image = np.asarray(tree["image"]["image"].values) if "image" in tree.children else None
    table = _frame(tree["words"].to_dataset()) if "words" in tree.children else None
    return layers, tokens, recipe, image, table, weights


def _nodes(group: str, what: str, layers: Mapping[str, xr.DataArray]) -> dict[str, xr.Dataset]:
    """One node per layer, numbered so that their order is kept."""
    return {
        f"/{group}/{number:03d}-{name.replace('/', '.')}": _packed(name, what, values)
        for number, (name, values) in enumerate(layers.items())
    }


def _parts(tree: xr.DataTree, group: str, what: str) -> dict[str, xr.DataArray]:
    children = tree[group].children if group in tree.children else {}
    return dict(_unpacked(children[name].to_dataset(), what) for name in sorted(children))


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


def write(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write the tree under another name beside ``path``, then rename.

    Raises:
        OutputError: something is there already, or writing failed.
    """
    target = Path(os.path.realpath(path))
    _refuse(target, overwrite=overwrite)
    if not target.parent.is_dir():
        why = errno.ENOTDIR if target.parent.exists() else errno.ENOENT
        raise unwritten(target, OSError(why, os.strerror(why)), who="Trace.save")
    complete(target, lambda fresh: _to_zarr(tree, fresh), who="Trace.save")


def read(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read the whole tree of a trace into memory.

    Raises:
        TraceError: there is nothing, or no trace, or a damaged one.
    """
    with _opened(path, whole=True) as tree:
        return tree


@dataclass(frozen=True)
class Opened:
    """A trace on disk: what a `Trace` has, but layers are read where they are indexed.

    Args:
        layers: As in a `Trace`, of the type that is stored.
        weights: As in a `Trace`, of the type that is stored.
        tokens: As in a `Trace`.
        recipe: As in a `Trace`.
    """

    layers: dict[str, xr.DataArray]
    weights: dict[str, xr.DataArray]
    tokens: tuple[Token, ...]
    recipe: dict[str, Any]


@contextmanager
def open_layers(path: str | os.PathLike[str]) -> Iterator[Opened]:
    """A saved trace of any size, for the length of a ``with``: only what is asked for is read.

    Every value is first read once, block by block, to check it against the stored digest.

    Args:
        path: The folder.

    Yields:
        The layers on disk. ``layer[0, :, 3:5].values`` reads the chunks that have these entries.

    Raises:
        TraceError: as `Trace.load`.

    Example:
        >>> import tempfile
        >>> from regard.trace import toy_vision
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     toy_vision().save(folder + "/trace.zarr")
        ...     with open_layers(folder + "/trace.zarr") as trace:
        ...         trace.weights["layers.1.attention"][0, 1, 0].values * 16
        array([4., 1., 5., 1., 5.], dtype=float16)
    """
    with _opened(path, whole=False) as tree:
        try:
            found = Opened(
                _stored(tree, "layers", "maps"),
                _stored(tree, "weights", "weights"),
                tuple(_token(row) for row in _frame(tree["tokens"].to_dataset()).itertuples()),
                _recipe_of(tree),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as failed:
            raise damaged(path, failed) from failed
        yield found


@contextmanager
def _opened(path: str | os.PathLike[str], *, whole: bool) -> Iterator[xr.DataTree]:
    """The tree of a trace, checked; in memory, or on disk until its arrays are indexed."""
    folder = Path(path)
    version = _version(folder)
    if version != VERSION:
        raise TraceError(
            f"Trace.load: '{folder}' is a trace of version {version}; this release reads "
            f"version {VERSION}. Update regard: pip install -U regard."
        )
    try:
        _check_declared(folder)
        tree = xr.open_datatree(folder, engine="zarr")
    except Exception as failed:  # Zarr, its codecs and xarray raise whatever they like
        raise damaged(folder, failed) from failed
    with closing(tree):
        try:
            if whole:  # before the digest, or all would be read twice
                tree = tree.load()
            intact = digest(tree) == tree.attrs["digest"]
        except Exception as failed:
            raise damaged(folder, failed) from failed
        if not intact:
            raise damaged(folder, ValueError("values are missing or were changed"))
        yield tree


def _check_declared(folder: Path) -> None:
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


def _stored(tree: xr.DataTree, group: str, what: str) -> dict[str, xr.DataArray]:
    children = tree[group].children if group in tree.children else {}
    found = [children[name].to_dataset() for name in sorted(children)]
    return {str(each.attrs["layer"]): each[what] for each in found}


def damaged(path: str | os.PathLike[str], failed: Exception) -> TraceError:
    """The error for a trace that cannot be read to its end."""
    lines = str(failed).splitlines()
    why = lines[0].rstrip(".") if lines else type(failed).__name__
    return TraceError(
        f"Trace.load: '{os.fspath(path)}' is a trace, but damaged: {why}. "
        f"Restore it from a copy, or make it again with regard look."
    )


def _version(folder: Path) -> Any:
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


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not os.path.exists(target):
        return
    if not overwrite:
        raise OutputError(
            f"Trace.save: '{target}' exists already. Choose another name, or pass overwrite=True."
        )
    if not (target / "zarr.json").is_file():
        raise OutputError(
            f"Trace.save: '{target}' exists and is no trace, so it is not replaced. "
            f"Choose another name."
        )


def _to_zarr(tree: xr.DataTree, path: Path) -> None:
    encoding = {
        node.path: {
            str(name): {"chunks": block_shape(values.shape, CHUNK // values.dtype.itemsize)}
            for name, values in node.data_vars.items()
        }
        for node in tree.subtree
        if node.data_vars
    }
    with warnings.catch_warnings():
        # Consolidated metadata lets a plain open_datatree read without a warning and in half the
        # time; zarr warns that version 3 of the format has not adopted them yet.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        tree.to_zarr(path, zarr_format=3, consolidated=True, encoding=encoding)


def _packed(name: str, what: str, maps: xr.DataArray) -> xr.Dataset:
    # A weight is at most 1, where float16 is good to three digits. What an edit made larger is
    # kept as it is.
    small = maps.size == 0 or float(np.abs(maps.values).max()) <= 1.001
    kept = maps.astype(np.float16 if small else np.float32)
    return xr.Dataset({what: kept}, attrs={"layer": name})


def _unpacked(dataset: xr.Dataset, what: str) -> tuple[str, xr.DataArray]:
    maps = dataset[what]
    plain = maps.astype(np.float32).assign_attrs(maps.attrs)
    return str(dataset.attrs["layer"]), plain


def _token_frame(tokens: tuple[Token, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "index": np.array([token.index for token in tokens], dtype=np.int64),
            "text": [token.text for token in tokens],
            "word": [token.word or "" for token in tokens],
            "role": [token.role for token in tokens],
            "position": np.array(
                [-1 if token.position is None else token.position for token in tokens], np.int64
            ),
            "encoder": [token.encoder for token in tokens],
        }
    )


def _token(row: Any) -> Token:
    position = int(row.position)
    return Token(
        int(row[1]),
        str(row.text),
        str(row.word) or None,
        str(row.role),
        None if position < 0 else position,
        str(getattr(row, "encoder", "")),  # older traces have none
    )


def _dataset(frame: pd.DataFrame) -> xr.Dataset:
    """A table as one array per column; the order of the columns goes into the attrs."""
    units = frame.attrs.get("units", {})
    columns = {
        str(name): ("row", _plain(frame[name]), {"units": units[name]} if name in units else {})
        for name in frame.columns
    }
    return xr.Dataset(columns, attrs={"columns": list(columns)})


def _plain(column: "pd.Series[Any]") -> NDArray[Any]:
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy())
    texts = ["" if pd.isna(value) else str(value) for value in column]
    return np.array(texts, dtype=np.dtypes.StringDType())


def _frame(dataset: xr.Dataset) -> pd.DataFrame:
    columns = list(dataset.attrs["columns"])
    frame = pd.DataFrame({name: dataset[name].values.tolist() for name in columns})
    units = {name: dataset[name].attrs.get("units") for name in columns}
    frame.attrs["units"] = {name: unit for name, unit in units.items() if unit is not None}
    return frame


def _recipe_of(tree: xr.DataTree) -> dict[str, Any]:
    """The recipe of a stored trace; older ones call the denoising steps by another name."""
    recipe: dict[str, Any] = json.loads(tree.attrs["recipe"])
    return {"num_inference_steps" if name == "steps" else name: recipe[name] for name in recipe}


def _json(recipe: dict[str, Any]) -> str:
    try:
        return json.dumps(recipe, ensure_ascii=False)
    except (TypeError, ValueError) as failed:
        raise ArgumentError(
            f"Trace.save: the recipe cannot be stored: {failed}. Use plain numbers, text, lists."
        ) from failed


def _byte_parts(values: xr.Variable) -> Iterator[bytes]:
    """The bytes of an array in order, one block after the other."""
    if values.dtype.kind in "OTU":
        yield json.dumps([str(value) for value in values.values.ravel()]).encode()
        return
    for block in blocks(values.shape, CHUNK // values.dtype.itemsize):
        yield np.ascontiguousarray(values[block].values).tobytes()
