"""One attention layer, labelled: maps of words over the image, or rows of self-attention."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from regard.axes import HEAD, KEY, QUERY, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, AxisError

UNIT = "attention weight"

MAPS = (STEP, HEAD, TOKEN, Y, X)
"""The dims of maps: all patches attend, to some tokens."""

ROWS = (STEP, HEAD, QUERY, KEY)
"""The dims of rows: some tokens attend, to all."""


def layer_maps(
    maps: ArrayLike,
    *,
    steps: Sequence[int],
    timesteps: Sequence[float],
    tokens: Iterable[int],
    kind: str = "cross",
    stage: str | None = None,
    averaged: Iterable[str] = (),
) -> xr.DataArray:
    """The maps of one layer, labelled as a trace wants them.

    Args:
        maps: Attention weights in 0..1 over step, head, token, y and x.
        steps: The denoising steps, one per entry of the first axis.
        timesteps: The scheduler's time at those steps.
        tokens: The indices of the tokens, one per entry of the third axis.
        kind: ``cross`` or ``joint``.
        stage: ``down``, ``mid`` or ``up``, where the model has such stages.
        averaged: The axes that were averaged while the model ran; they have size 1.

    Returns:
        float32 over step, head, token, y and x, in shares of a patch's attention.

    Raises:
        AxisError: ``maps`` has not five axes, or a label too many or too few.

    Example:
        >>> layer_maps(np.full((1, 1, 2, 4, 4), 0.5), steps=[0], timesteps=[999.0],
        ...            tokens=[3, 4]).sizes["token"]
        2
    """
    values = np.asarray(maps, dtype=np.float32)
    labels = (list(steps), list(tokens))
    if values.ndim != len(MAPS) or (values.shape[0], values.shape[2]) != tuple(map(len, labels)):
        raise AxisError(
            f"layer_maps: the shape is {values.shape} for {len(labels[0])} steps and "
            f"{len(labels[1])} tokens. Give maps over (step, head, token, y, x)."
        )
    about = {"kind": kind, "stage": stage}
    by_name = {TOKEN: labels[1]}
    return _labelled(values, MAPS, by_name, steps, timesteps, averaged, about, name="maps")


def layer_weights(
    weights: ArrayLike,
    *,
    grid: tuple[int, int],
    prefix: Sequence[str] = (),
    patch: tuple[int, int] | None = None,
    queries: Sequence[int] | None = None,
    kind: str = "self",
    stage: str | None = None,
    steps: Sequence[int] = (0,),
    timesteps: Sequence[float] = (float("nan"),),
    averaged: Iterable[str] = (),
) -> xr.DataArray:
    """The self-attention of one layer, labelled as a trace wants it.

    Args:
        weights: Attention weights in 0..1 over step, head, query and key.
        grid: Rows and columns of the patches; they are the last keys, row by row.
        prefix: Names of the keys before them, such as ``["cls", "register.1"]``; ``text`` is all
            tokens of a text together.
        patch: Rows and columns of a patch in pixels.
        queries: Which tokens the queries are, numbered as the keys are; None for all of them.
        kind: ``self``; ``joint`` where text is attended to as well; or ``pool`` for a layer in
            which one learned query, the probe, attends.
        stage: ``down``, ``mid`` or ``up``, where the model has such stages.
        steps: The denoising steps; a vision transformer has one.
        timesteps: The scheduler's time at those steps.
        averaged: The axes that were averaged while the model ran; they have size 1.

    Returns:
        float32 over step, head, query and key; each row sums to 1 over the keys.

    Raises:
        AxisError: ``weights`` has not four axes, or not as many queries and keys as is said.

    Example:
        >>> even = layer_weights(np.full((1, 2, 5, 5), 0.2), grid=(2, 2), prefix=["cls"])
        >>> even.sizes["key"], even.attrs["prefix"]
        (5, ['cls'])
    """
    values = np.asarray(weights, dtype=np.float32)
    keys = len(prefix) + grid[0] * grid[1]
    asked = list(range(1 if kind == "pool" else keys)) if queries is None else list(queries)
    wanted = (len(steps), len(asked), keys)
    if values.ndim != len(ROWS) or (values.shape[0], *values.shape[2:]) != wanted:
        raise AxisError(
            f"layer_weights: the shape is {values.shape} for {wanted[0]} steps, {wanted[1]} "
            f"queries and {keys} keys ({len(prefix)} and {grid[0]}x{grid[1]} patches). Give "
            f"weights over (step, head, query, key)."
        )
    about = {
        "kind": kind,
        "stage": stage,
        "grid": list(grid),
        "prefix": list(prefix),
        "patch": None if patch is None else list(patch),
    }
    by_name = {QUERY: asked, KEY: np.arange(keys)}
    return _labelled(values, ROWS, by_name, steps, timesteps, averaged, about, name="weights")


def _labelled(
    values: NDArray[np.float32],
    dims: Sequence[str],
    by_name: Mapping[str, Any],
    steps: Sequence[int],
    timesteps: Sequence[float],
    averaged: Iterable[str],
    about: Mapping[str, Any],
    *,
    name: str,
) -> xr.DataArray:
    """What all layers have: steps with their times, heads, the unit, and what was averaged."""
    coords = {
        STEP: list(steps),
        "timestep": (STEP, np.asarray(timesteps, dtype=np.float64)),
        HEAD: np.arange(values.shape[1]),
        **by_name,
    }
    attrs = {"units": UNIT, **about, "averaged": sorted(averaged)}
    return xr.DataArray(values, coords, dims, name=name, attrs=attrs)


def check_maps(name: str, maps: xr.DataArray, *, kept: tuple[int, ...], tokens: int) -> None:
    """Refuse maps that are not labelled, or hold other tokens than the first layer or the prompt.

    Raises:
        AxisError: they lack a dim, or hold other tokens.
        ArgumentError: a value is no number.
    """
    if maps.dims != MAPS:
        raise AxisError(f"Trace: layer '{name}' has dims {maps.dims}; give {MAPS}, as layer_maps.")
    if tuple(maps[TOKEN].values) != kept or not all(0 <= index < tokens for index in kept):
        raise AxisError(
            f"Trace: layer '{name}' has tokens {maps[TOKEN].values.tolist()}, the first layer "
            f"{list(kept)}, the prompt 0..{tokens - 1}. Keep the same tokens of it in every layer."
        )
    if not np.isfinite(maps.values).all():
        raise ArgumentError(f"Trace: layer '{name}' has values that are no numbers. Look again.")


def check_rows(weights: Mapping[str, xr.DataArray], *, alike: bool = True) -> None:
    """Refuse layers that are not labelled, or that disagree about the image.

    Args:
        weights: The layers.
        alike: Whether all must see the same tokens, as those of a vision transformer do; the
            layers of a U-Net have grids of their own.

    Raises:
        AxisError: a layer lacks a dim, or has another grid or prefix than the first.
        ArgumentError: a weight is no number.
    """
    first: xr.DataArray | None = None
    for name, each in weights.items():
        if each.dims != ROWS:
            raise AxisError(
                f"Trace: layer '{name}' has dims {each.dims}; give {ROWS}, as layer_weights."
            )
        first = each if first is None else first
        if alike and any(each.attrs[key] != first.attrs[key] for key in ("grid", "prefix")):
            raise AxisError(
                f"Trace: layer '{name}' has the grid {each.attrs['grid']} after "
                f"{each.attrs['prefix']}, the first layer {first.attrs['grid']} after "
                f"{first.attrs['prefix']}. Keep layers that see the same tokens."
            )
        if not np.isfinite(each.values).all():
            raise ArgumentError(
                f"Trace: layer '{name}' has values that are no numbers. Look again."
            )
