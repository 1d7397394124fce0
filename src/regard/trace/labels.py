"""One attention layer, labelled: patches of an image that attend to words, or to patches.

Queries and keys of a layer carry labels of their own. Its queries are tokens of an image; its keys
are tokens of a prompt, or the same tokens of the image.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from regard.axes import HEAD, KEY, QUERY, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, AxisError

UNIT = "attention weight"

WORDS, PATCHES = "words", "patches"
"""What the keys of a layer are, as its ``attrs["of"]`` has it."""

DIMS = (STEP, HEAD, QUERY, KEY)
MAPS = (STEP, HEAD, TOKEN, Y, X)
"""The dims of a layer of words as maps: all patches attend, to some tokens."""

BESIDE = ":patches"
"""Behind the name of a layer that has another of the same name before it, of words."""


def labelled_layer(
    weights: ArrayLike,
    *,
    grid: tuple[int, int],
    tokens: Iterable[int] | None = None,
    prefix: Sequence[str] = (),
    patch: tuple[int, int] | None = None,
    queries: Sequence[int] | None = None,
    kind: str | None = None,
    stage: str | None = None,
    steps: Sequence[int] = (0,),
    timesteps: Sequence[float] = (float("nan"),),
    averaged: Iterable[str] = (),
) -> xr.DataArray:
    """The attention of one layer, labelled as a trace wants it: of patches to words or to patches.

    Args:
        weights: Attention weights in 0..1 over step, head, query and key; `rows_of_maps` makes them
            of maps.
        grid: Rows and columns of the patches. They are the last tokens of the image, row by row.
        tokens: Which tokens of the prompt the keys are, by index; None where the keys are the
            tokens of the image.
        prefix: Names of the tokens before the patches, such as ``["cls", "register.1"]``; ``text``
            is all tokens of a text together. Of words there are none.
        patch: Rows and columns of a patch in pixels.
        queries: Which tokens of the image the queries are, prefix first; None for all of them.
        kind: ``cross`` (of words, the default) or ``self`` (of patches, the default); ``joint``
            where image and text are attended to at once; or ``pool`` for a layer in which one
            learned query, the probe, attends.
        stage: ``down``, ``mid`` or ``up``, where the model has such stages.
        steps: The denoising steps, one per entry of the first axis; a vision transformer has one.
        timesteps: The scheduler's time at those steps.
        averaged: The axes that were averaged while the model ran; they have size 1.

    Returns:
        float32 over step, head, query and key; ``attrs["of"]`` is ``words`` or ``patches``.

    Raises:
        AxisError: ``weights`` lacks one of four axes, or has other numbers of queries and keys.

    Example:
        >>> even = labelled_layer(np.full((1, 2, 5, 5), 0.2), grid=(2, 2), prefix=["cls"])
        >>> even.sizes["key"], even.attrs["of"], even.attrs["prefix"]
        (5, 'patches', ['cls'])
        >>> words = labelled_layer(np.full((1, 2, 4, 3), 0.1), grid=(2, 2), tokens=[1, 2, 5])
        >>> words["key"].values, words.attrs["of"]
        (array([1, 2, 5]), 'words')
    """
    values = np.asarray(weights, dtype=np.float32)
    every = len(prefix) + grid[0] * grid[1]
    keys = list(range(every)) if tokens is None else list(tokens)
    asked = list(range(1 if kind == "pool" else every)) if queries is None else list(queries)
    wanted = (len(steps), len(asked), len(keys))
    if values.ndim != len(DIMS) or (values.shape[0], *values.shape[2:]) != wanted:
        patches = f"{len(prefix)} and {grid[0]}x{grid[1]} patches"
        counted = patches if tokens is None else f"{len(keys)} tokens of the prompt"
        raise AxisError(
            f"labelled_layer: the shape is {values.shape} for {wanted[0]} steps, {wanted[1]} "
            f"queries and {wanted[2]} keys ({counted}). Give weights over (step, head, query, key)."
        )
    of, usual = (WORDS, "cross") if tokens is not None else (PATCHES, "self")
    attrs: dict[str, Any] = {"units": UNIT, "kind": kind or usual, "stage": stage, "of": of}
    attrs |= {"grid": list(grid)}
    if of == PATCHES:
        attrs |= {"prefix": list(prefix), "patch": None if patch is None else list(patch)}
    coords = {
        STEP: list(steps),
        "timestep": (STEP, np.asarray(timesteps, dtype=np.float64)),
        HEAD: np.arange(values.shape[1]),
        QUERY: asked,
        KEY: keys,
    }
    return xr.DataArray(values, coords, DIMS, attrs=attrs | {"averaged": sorted(averaged)})


def of_words(layer: xr.DataArray) -> bool:
    """Whether the keys of a layer are tokens of a prompt.

    Example:
        >>> of_words(labelled_layer(np.ones((1, 1, 4, 1)), grid=(2, 2), tokens=[3]))
        True
    """
    return bool(layer.attrs.get("of") == WORDS)


def path_of(name: str) -> str:
    """The layer of the model that an entry of `Trace.layers` is of.

    Example:
        >>> path_of("blocks.0.attn:patches"), path_of("blocks.0.attn")
        ('blocks.0.attn', 'blocks.0.attn')
    """
    return name.removesuffix(BESIDE)


def beside(
    words: Mapping[str, xr.DataArray], patches: Mapping[str, xr.DataArray]
) -> dict[str, xr.DataArray]:
    """Layers of words, then layers of patches; what attends to both at once is there twice.

    Example:
        >>> list(beside({"a": xr.DataArray()}, {"a": xr.DataArray(), "b": xr.DataArray()}))
        ['a', 'a:patches', 'b']
    """
    more = {f"{name}{BESIDE}" if name in words else name: each for name, each in patches.items()}
    return {**words, **more}


def rows_of_maps(maps: NDArray[Any]) -> NDArray[Any]:
    """Maps over step, head, token, y and x as weights over step, head, query and key; a view.

    Example:
        >>> rows_of_maps(np.zeros((2, 3, 5, 4, 4))).shape
        (2, 3, 16, 5)
    """
    return maps.reshape(*maps.shape[:-2], -1).swapaxes(-1, -2)


def maps_of(layer: xr.DataArray) -> xr.DataArray:
    """A layer of words as maps over step, head, token, y and x: a view of the same numbers.

    Example:
        >>> layer = labelled_layer(np.ones((1, 1, 4, 1)), grid=(2, 2), tokens=[3])
        >>> dict(maps_of(layer).sizes)
        {'step': 1, 'head': 1, 'token': 1, 'y': 2, 'x': 2}
    """
    values = layer.values.swapaxes(-1, -2)
    maps = values.reshape(*values.shape[:-1], *layer.attrs["grid"])
    kept = {name: layer.coords[name] for name in (STEP, "timestep", HEAD) if name in layer.coords}
    attrs = {name: each for name, each in layer.attrs.items() if name not in ("of", "grid")}
    return xr.DataArray(maps, {**kept, TOKEN: layer[KEY].values}, MAPS, name="maps", attrs=attrs)


def check_layers(layers: Mapping[str, xr.DataArray], *, tokens: int) -> None:
    """Refuse layers that are not labelled, or that disagree about the prompt or the image.

    All layers of words hold the same tokens. Where there are none, all see the same tokens of the
    image, as those of a vision transformer do; the layers of a U-Net have grids of their own.

    Args:
        layers: As in a `Trace`.
        tokens: How many tokens the prompt has.

    Raises:
        AxisError: a layer lacks a dim, or has other tokens than the first, or the prompt.
        ArgumentError: there is no layer, or a weight is no number.
    """
    if not layers:
        raise ArgumentError("Trace: there is no layer. Give the weights of at least one.")
    for name, each in layers.items():
        if each.dims != DIMS or "of" not in each.attrs:
            raise AxisError(
                f"Trace: layer '{name}' has dims {each.dims}; give {DIMS}, as labelled_layer."
            )
        if not np.isfinite(each.values).all():
            raise ArgumentError(f"Trace: layer '{name}' has NaN or infinite values. Look again.")
    words = {name: each for name, each in layers.items() if of_words(each)}
    if words:
        _check_tokens(words, tokens)
    else:
        _check_alike(layers)


def _check_tokens(words: Mapping[str, xr.DataArray], tokens: int) -> None:
    kept = [int(index) for index in next(iter(words.values()))[KEY].values]
    for name, each in words.items():
        if list(each[KEY].values) != kept or not all(0 <= index < tokens for index in kept):
            raise AxisError(
                f"Trace: layer '{name}' has tokens {each[KEY].values.tolist()}, the first layer "
                f"{kept}, the prompt 0..{tokens - 1}. Keep the same tokens of it in every layer."
            )


def _check_alike(patches: Mapping[str, xr.DataArray]) -> None:
    first = next(iter(patches.values())).attrs
    for name, each in patches.items():
        if any(each.attrs[key] != first[key] for key in ("grid", "prefix")):
            raise AxisError(
                f"Trace: layer '{name}' has the grid {each.attrs['grid']} after "
                f"{each.attrs['prefix']}, the first layer {first['grid']} after "
                f"{first['prefix']}. Keep layers that see the same tokens."
            )
