"""How far attention reaches on the grid of patches, where its middle is, how much there is.

Rows are weights over the patches of a grid, row by row, perhaps after some keys that are none.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace
from numpy.typing import NDArray

from regard.axes import KEY, QUERY, X, Y
from regard.errors import NotAttentionError
from regard.measures.about import GRID_ROWS, MAP, PATCH_ROWS, labelled, measure
from regard.measures.grid import Grid, check_grid, on_patches
from regard.measures.rows import check_dims, patch_rows, precise
from regard.stats.ranks import or_nan

Patch = int | float | tuple[int, int] | tuple[float, float]


@measure(unit="patch", high="diagonal", higher="looks farther", reads=PATCH_ROWS)
def attention_distance(
    weights: xr.DataArray,
    grid: Grid,
    *,
    patch: Patch | None = None,
    prefix: int = 0,
    renormalise: bool = True,
    query: str = QUERY,
    over: str = KEY,
) -> xr.DataArray:
    """How far off a patch looks in the mean: 0 only at itself, at most the diagonal of the grid.

    The mean over queries is the mean attention distance of a head. ``attrs["diagonal"]`` is the
    distance of two corners: divide by it to compare resolutions.

    Args:
        weights: Self-attention, any dims that include ``query`` and ``over``. Where ``query`` has
            a coordinate, it says which token each query is; else queries are numbered as keys.
        grid: Rows and columns of patches.
        patch: Pixels per patch, one number or (down, across); the answer is then in pixels.
        prefix: How many tokens at the start are no patches, such as CLS and registers. They have
            no place: as queries they are left out, and so they are as keys.
        renormalise: Put the rest of each row to a sum of 1. False only to compare with numbers
            that were made without; they are the smaller the more mass CLS has.
        query: The dim of the tokens that attend.
        over: The dim of the tokens that are attended to.

    Returns:
        One distance per patch query (the dims of ``weights`` less ``over``) in patches or pixels;
        NaN for a query with no mass on patches, counted in ``attrs["undefined"]``.

    Raises:
        AxisError: ``weights`` lacks one of the dims.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: the grid does not fit the keys, or no query is a patch.

    Example:
        >>> weights = xr.DataArray(np.eye(4)[[0, 0, 2, 2]], dims=["query", "key"])
        >>> attention_distance(weights, (1, 4)).values
        array([0., 1., 0., 1.])

    Source:
        Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words: Transformers for Image
        Recognition at Scale", figure 7 and appendix D.7; Raghu et al. (2021), "Do Vision
        Transformers See Like Convolutional Neural Networks?".
    """
    name = "attention_distance"
    check_dims(weights, query, over, caller=name)
    rows, places = on_patches(
        weights, grid, prefix=prefix, query=query, over=over, caller=name, renormalise=renormalise
    )
    where = positions(grid, patch)
    apart = np.linalg.norm(where[places][:, None] - where[None], axis=-1)
    distances = xr.DataArray(apart.astype(rows.dtype), dims=(query, over))
    value: xr.DataArray = xr.apply_ufunc(
        distance_of_rows, rows, distances, input_core_dims=[[query, over]] * 2,
        output_core_dims=[[query]],
    )  # fmt: skip
    attrs = _in_unit(patch, grid) | {"prefix_mass": rows.attrs["prefix_mass"]}
    return labelled(value, attention_distance).assign_attrs(attrs)


@measure(unit="patch", high="rows, columns", higher="farther down, farther right", reads=GRID_ROWS)
def centre(
    weights: xr.DataArray, grid: Grid | None = None, *, prefix: int = 0, over: str = KEY
) -> xr.Dataset:
    """The middle of attention on the grid: 0, 0 is the top left patch, counted in patches.

    Args:
        weights: Attention over patches: rows that sum to 1 over ``over``, with the grid given; or
            maps over ``y`` and ``x``, which are divided by their sum.
        grid: Rows and columns of patches; None for maps.
        prefix: How many keys at the start are no patches; they are left out.
        over: The dim of the patches.

    Returns:
        ``y`` and ``x`` of the centre in patches, over the other dims of ``weights``; NaN where
        there is no mass.

    Raises:
        AxisError: there is no grid, and no ``y`` and ``x``; or ``over`` is missing.
        NotAttentionError: a weight is negative or no number, or a row does not sum to 1.
        ArgumentError: the grid does not fit the keys.

    Example:
        >>> heat = xr.DataArray([[0.0, 1.0, 1.0]], dims=["y", "x"])
        >>> middle = centre(heat)
        >>> middle.y.item(), middle.x.item()
        (0.0, 1.5)

    Source:
        The centre of mass.
    """
    planes = _planes(weights, grid, prefix=prefix, over=over, caller="centre")
    both: xr.DataArray = xr.apply_ufunc(
        centre_of_maps, planes, input_core_dims=[[Y, X]], output_core_dims=[["end"]]
    )
    parts = {dim: labelled(both.isel(end=end), centre) for end, dim in enumerate((Y, X))}
    found = xr.Dataset({dim: part.rename(dim) for dim, part in parts.items()})
    return found.assign_attrs(units="patch", undefined=parts[Y].attrs["undefined"])


@measure(unit="patch", high="half the diagonal", higher="spread wider in space", reads=GRID_ROWS)
def extent(
    weights: xr.DataArray,
    grid: Grid | None = None,
    *,
    patch: Patch | None = None,
    prefix: int = 0,
    over: str = KEY,
) -> xr.DataArray:
    """How far attention lies from its own centre: 0 on one patch, half the diagonal at most.

    The root of the mean squared distance, so a spread in space: two hot patches in two corners
    have a small entropy and a large extent.

    Args:
        weights: As for `centre`.
        grid: As for `centre`.
        patch: Pixels per patch, one number or (down, across); the answer is then in pixels.
        prefix: As for `centre`.
        over: The dim of the patches.

    Returns:
        Distance in patches or pixels over the other dims of ``weights``; NaN without mass.

    Raises:
        RegardError: as for `centre`.

    Example:
        >>> extent(xr.DataArray([[0.5, 0.0, 0.5]], dims=["y", "x"])).item()
        1.0

    Source:
        The radius of gyration.
    """
    planes = _planes(weights, grid, prefix=prefix, over=over, caller="extent")
    kernel = partial(extent_of_maps, patch=_sides(patch))
    value: xr.DataArray = xr.apply_ufunc(kernel, planes, input_core_dims=[[Y, X]])
    shape = (planes.sizes[Y], planes.sizes[X])
    return labelled(value, extent).assign_attrs(_in_unit(patch, shape))


@measure(
    unit="share of attention", higher="looked at more", reads=MAP, reduce="the mean over patches"
)
def mass(maps: xr.DataArray) -> xr.DataArray:
    """How much attention a word or token gets in all: 0 none, 1 everything of every patch.

    Args:
        maps: What each patch gives to it, over ``y``, ``x`` and perhaps more dims.

    Returns:
        The mean over patches, less ``y`` and ``x``, as a share of attention.

    Raises:
        AxisError: ``maps`` lacks ``y`` or ``x``.
        NotAttentionError: a value is negative or no number.

    Example:
        >>> mass(xr.DataArray([[0.5, 0.25]], dims=["y", "x"])).item()
        0.375

    Source:
        Tang et al. (2023), "What the DAAM: Interpreting Stable Diffusion Using Cross Attention";
        here the mean, not the sum.
    """
    planes = _planes(maps, None, prefix=0, over=KEY, caller="mass")
    value: xr.DataArray = xr.apply_ufunc(mass_of_maps, planes, input_core_dims=[[Y, X]])
    return labelled(value, mass)


def positions(grid: Grid, patch: Patch | None = None) -> NDArray[np.float64]:
    """The place of every patch, (patches, 2): down and across from the first, row by row.

    Example:
        >>> positions((1, 3), 16).tolist()
        [[0.0, 0.0], [0.0, 16.0], [0.0, 32.0]]
    """
    rows, columns = grid
    down, across = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    places = np.stack([down.ravel(), across.ravel()], axis=-1)
    return np.asarray(places * np.array(_sides(patch)), dtype=np.float64)


def mass_of_maps(maps: Any) -> Any:
    """The mean over the last two axes of NumPy arrays or tensors; differentiable."""
    return array_namespace(maps).mean(maps, axis=(-2, -1))


def distance_of_rows(weights: Any, distances: Any) -> Any:
    """The mean of distances under weights, over the last axis; differentiable."""
    return array_namespace(weights).sum(weights * distances, axis=-1)


def centre_of_maps(maps: Any) -> Any:
    """``centre`` over the last two axes: down and across along a new last axis; differentiable."""
    xp = array_namespace(maps)
    total = _total(maps)
    down, across = _ticks(maps)
    middle = [xp.sum(maps * ticks, axis=(-2, -1)) / total for ticks in (down, across)]
    return xp.stack(middle, axis=-1)


def extent_of_maps(maps: Any, patch: tuple[float, float] = (1.0, 1.0)) -> Any:
    """``extent`` over the last two axes of NumPy arrays or tensors; differentiable."""
    xp = array_namespace(maps)
    middle = centre_of_maps(maps)[..., None, None, :]
    down, across = _ticks(maps)
    squares = ((down - middle[..., 0]) * patch[0]) ** 2 + (
        (across - middle[..., 1]) * patch[1]
    ) ** 2
    return xp.sqrt(xp.sum(maps * squares, axis=(-2, -1)) / _total(maps))


def _planes(
    weights: xr.DataArray, grid: Grid | None, *, prefix: int, over: str, caller: str
) -> xr.DataArray:
    """Rows folded to their grid, or maps as they are, checked."""
    if grid is None:
        check_dims(weights, Y, X, caller=caller)
        if weights.size == 0 or not float(weights.min(skipna=False)) >= 0:
            raise NotAttentionError(
                f"{caller}: a map must be >= 0 everywhere and not empty; here the least value is "
                f"{float(weights.min(skipna=False)) if weights.size else 'none'}. Give attention."
            )
        return precise(weights)
    check_dims(weights, over, caller=caller)
    check_grid(weights.sizes[over], grid, prefix=prefix, caller=caller)
    rows = patch_rows(weights, over=over, prefix=prefix, caller=caller)
    fold: Callable[[Any], Any] = lambda values: values.reshape(*values.shape[:-1], *grid)  # noqa: E731
    planes: xr.DataArray = xr.apply_ufunc(
        fold, rows, input_core_dims=[[over]], output_core_dims=[[Y, X]]
    )
    return planes


def _ticks(maps: Any) -> tuple[Any, Any]:
    xp = array_namespace(maps)
    like = {"dtype": maps.dtype, "device": maps.device}
    return xp.arange(maps.shape[-2], **like)[:, None], xp.arange(maps.shape[-1], **like)[None, :]


def _total(maps: Any) -> Any:
    xp = array_namespace(maps)
    return or_nan(xp.sum(maps, axis=(-2, -1)))


def _sides(patch: Patch | None) -> tuple[float, float]:
    if patch is None:
        return 1.0, 1.0
    down, across = patch if isinstance(patch, tuple) else (patch, patch)
    return float(down), float(across)


def _in_unit(patch: Patch | None, grid: Grid) -> dict[str, Any]:
    ends = positions(grid, patch)[-1]
    return {"units": "patch" if patch is None else "px", "diagonal": float(np.hypot(*ends))}
