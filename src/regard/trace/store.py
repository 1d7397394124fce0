"""A trace as a Zarr v3 folder, through xarray."""

import errno
import json
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
from regard.errors import ArgumentError, TraceError
from regard.saved.folder import SavedFolder, is_junk, listed, unwritten
from regard.trace.blocks import block_shape
from regard.trace.intact import CHUNK, FORMAT, check_declared, damaged, digest, version_of
from regard.trace.labels import PATCHES, beside, maps_of, of_words, path_of
from regard.trace.lazy import layer_of_maps
from regard.trace.tables import dataset_of, frame_of, frame_of_tokens, tokens_of
from regard.trace.words import Token

VERSION = 2
READABLE = (1, 2)
"""Version 1 has a group of its own for self-attention, ``weights``, and calls a stage a place."""

GROUPS = ("layers", "weights")
MAPS, ROWS = "maps", "weights"
"""The array of a layer: maps of words, or rows of self-attention."""

ROOT = "zarr.json"

Parts = tuple[
    dict[str, xr.DataArray],
    tuple[Token, ...],
    dict[str, Any],
    NDArray[np.uint8] | None,
    pd.DataFrame | None,
]


def tree_of(
    layers: Mapping[str, xr.DataArray],
    tokens: tuple[Token, ...],
    recipe: dict[str, Any],
    image: NDArray[np.uint8] | None,
    table: pd.DataFrame | None,
) -> xr.DataTree:
    """The parts of a trace as the tree that goes to disk.

    Raises:
        ArgumentError: the recipe holds something that JSON cannot.
    """
    nodes = {
        f"/layers/{number:03d}-{path_of(name).replace('/', '.')}": _packed(path_of(name), values)
        for number, (name, values) in enumerate(layers.items())  # numbered to keep their order
    }
    nodes["/tokens"] = dataset_of(frame_of_tokens(tokens))
    if table is not None:
        nodes["/words"] = dataset_of(table)
    if image is not None:
        nodes["/image"] = xr.Dataset({"image": ((Y, X, "channel"), image)})
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"format": FORMAT, "version": VERSION, "recipe": _json(recipe)}
    tree.attrs["digest"] = digest(tree)
    return tree


def parts_of(tree: xr.DataTree) -> Parts:
    """The parts of a trace from the tree that was on disk."""
    recipe = _recipe_of(tree)
    layers = {
        name: values.astype(np.float32).assign_attrs(values.attrs)
        for name, values in _stored(tree).items()
    }
    tokens = tokens_of(frame_of(tree["tokens"].to_dataset()))
    image = np.asarray(tree["image"]["image"].values) if "image" in tree.children else None
    table = frame_of(tree["words"].to_dataset()) if "words" in tree.children else None
    return layers, tokens, recipe, image, table


def _stored(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """The layers as they are stored, those of words first, of any version."""
    groups = [tree[group].children for group in GROUPS if group in tree.children]
    nodes = [children[name].to_dataset() for children in groups for name in sorted(children)]
    named = {
        what: {str(each.attrs["layer"]): _renamed(each[what]) for each in nodes if what in each}
        for what in (MAPS, ROWS)
    }
    words = {name: layer_of_maps(maps) for name, maps in named[MAPS].items()}
    patches = {name: _with_keys(rows) for name, rows in named[ROWS].items()}
    return beside(words, patches)


def _with_keys(rows: xr.DataArray) -> xr.DataArray:
    """Rows of self-attention say so; on disk the name of the array does."""
    return rows.rename(None).assign_attrs(of=PATCHES)


def _renamed(values: xr.DataArray) -> xr.DataArray:
    """With the names of this version in its attrs."""
    attrs = {"stage" if name == "place" else name: each for name, each in values.attrs.items()}
    renamed = values.copy(deep=False)
    renamed.attrs = attrs
    return renamed


def write(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write the tree under another name beside ``path``, then rename.

    Raises:
        OutputError: something is there already, or writing failed.
    """
    above = Path(os.path.realpath(path)).parent
    if not above.is_dir():
        why = errno.ENOTDIR if above.exists() else errno.ENOENT
        raise unwritten(Path(path), OSError(why, os.strerror(why)), who="Trace.save")
    FOLDER.write(path, lambda fresh: _to_zarr(tree, fresh), overwrite=overwrite)


def read(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read the whole tree of a trace into memory.

    Raises:
        TraceError: there is nothing, or no trace, or a damaged one.
    """
    with _opened(path, whole=True) as tree:
        return tree


@dataclass(frozen=True)
class StoredTrace:
    """A trace on disk: what a `Trace` has, but layers are read where they are indexed.

    Args:
        layers: As in a `Trace`, of the type that is stored.
        tokens: As in a `Trace`.
        recipe: As in a `Trace`.
    """

    layers: dict[str, xr.DataArray]
    tokens: tuple[Token, ...]
    recipe: dict[str, Any]


@contextmanager
def open_layers(path: str | os.PathLike[str]) -> Iterator[StoredTrace]:
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
        ...         trace.layers["layers.1.attention"][0, 1, 0].values * 16
        array([4., 1., 5., 1., 5.], dtype=float16)
    """
    with _opened(path, whole=False) as tree:
        try:
            found = StoredTrace(
                _stored(tree),
                tokens_of(frame_of(tree["tokens"].to_dataset())),
                _recipe_of(tree),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as failed:
            raise damaged(path, failed) from failed
        yield found


@contextmanager
def _opened(path: str | os.PathLike[str], *, whole: bool) -> Iterator[xr.DataTree]:
    """The tree of a trace, checked; in memory, or on disk until its arrays are indexed."""
    folder = Path(path)
    version = version_of(folder)
    if version not in READABLE:
        raise TraceError(
            f"Trace.load: '{folder}' is a trace of version {version}; this release reads up to "
            f"version {VERSION}. Update regard: pip install -U regard."
        )
    try:
        check_declared(folder)
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


def _foreign(folder: Path) -> str | None:
    """Something in a folder that is no part of a saved trace; None if all of it is."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        # Zarr has its metadata in files of this name, and chunks below a folder `c`.
        if (
            file.is_file()
            and file.name != ROOT
            and "c" not in name.parts
            and not is_junk(name.name)
        ):
            return name.as_posix()
    try:
        version_of(folder)
    except TraceError:  # another program's Zarr store
        return listed(folder)[0]
    return None


FOLDER = SavedFolder("Trace.save", "trace", _foreign)


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


def _packed(name: str, layer: xr.DataArray) -> xr.Dataset:
    what, values = (MAPS, maps_of(layer)) if of_words(layer) else (ROWS, layer)
    # A weight is at most 1, where float16 is good to three digits. What an edit made larger is
    # kept as it is.
    small = values.size == 0 or float(np.abs(values.values).max()) <= 1.001
    kept = values.astype(np.float16 if small else np.float32)
    kept.attrs = {key: each for key, each in kept.attrs.items() if key != "of"}
    return xr.Dataset({what: kept}, attrs={"layer": name})


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
