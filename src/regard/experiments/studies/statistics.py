"""What studies make of values of single images or heads: trends, spreads and tables of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.axes import LAYER, SAMPLE
from regard.stats.correlation import spearman_of_pairs
from regard.stats.estimates import REPEATS, Floats
from regard.stats.means import intervals


def trend_of(values: xr.DataArray) -> Floats:
    """For each image, the rank correlation of a value with depth: 1 rises at every layer.

    Args:
        values: Over sample and layer, in running order.

    Returns:
        One number per image; NaN where the value is the same in all layers.

    Example:
        >>> values = xr.DataArray([[1.0, 2.0, 5.0]], dims=["sample", "layer"])
        >>> trend_of(values).round(6)
        array([1.])
    """
    rows = values.transpose(SAMPLE, LAYER).values.astype(np.float64)
    depth = np.broadcast_to(np.arange(rows.shape[1], dtype=np.float64), rows.shape)
    found: Floats = spearman_of_pairs(np.stack([depth, rows], axis=1))[:, 0]
    return found


def spread_of(
    values: xr.DataArray, *, bounds: tuple[float, float] | None = None, seed: int = 0
) -> xr.Dataset:
    """Mean, low and high over images, for all other dims at once; NaN ends with few images.

    Args:
        values: Over sample and whatever else.
        bounds: As for `regard.stats.bootstrap`.
        seed: Of the resampling.

    Example:
        >>> values = xr.DataArray([[0.0, 5.0]] * 5 + [[1.0, 5.0]] * 5, dims=["sample", "head"])
        >>> spread_of(values)["high"].values.round(2)
        array([0.76, 5.  ])

    Source:
        `regard.stats.intervals`.
    """
    found = intervals(values, over=SAMPLE, bounds=bounds, seed=seed, repeats=REPEATS)
    return found[["mean", "low", "high"]].assign_attrs(values.attrs)


def tabled(name: str, spread: xr.Dataset) -> pd.DataFrame:
    """The columns NAME, NAME_low and NAME_high, with the labels of the other dims as index.

    Example:
        >>> spread = xr.Dataset({end: ("layer", [1.0]) for end in ("mean", "low", "high")})
        >>> tabled("focus", spread.assign_coords(layer=[0])).columns.tolist()
        ['focus', 'focus_low', 'focus_high']
    """
    table = spread[["mean", "low", "high"]].to_dataframe()[["mean", "low", "high"]]
    return table.set_axis([name, f"{name}_low", f"{name}_high"], axis=1)


def side_by_side(**spreads: xr.Dataset) -> pd.DataFrame:
    """Several tables of the same dims as one, the labels in front."""
    return pd.concat([tabled(name, each) for name, each in spreads.items()], axis=1).reset_index()


def told(spread: xr.Dataset, **at: Any) -> str:
    """One entry of a spread in words: value and interval.

    Example:
        >>> told(xr.Dataset({"mean": 0.5, "low": 0.25, "high": 0.75}))
        '0.5 [0.25, 0.75]'
    """
    one = spread.sel(at)
    mean, low, high = (float(one[end]) for end in ("mean", "low", "high"))
    if np.isnan(low):
        return f"{mean:.3g} (no interval)"
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def peak_of(spread: xr.Dataset, *, least: bool = False) -> int:
    """The layer with the greatest mean, or the least.

    Example:
        >>> peak_of(xr.Dataset({"mean": ("layer", [0.1, 0.3])}, {"layer": [4, 5]}))
        5
    """
    known = spread["mean"].dropna(LAYER)
    place = np.argmin(known.values) if least else np.argmax(known.values)
    return int(known[LAYER].values[place])


def right_of_class(values: Floats, labels: Floats, right: NDArray[np.bool_]) -> Floats:
    """For each image the mean of the correct ones of its class; NaN if there are none.

    Example:
        >>> right_of_class(np.array([1.0, 3.0, 9.0]), np.zeros(3, int), np.array([1, 1, 0], bool))
        array([2., 2., 2.])
    """
    means = {
        label: values[right & (labels == label)].mean() if (right & (labels == label)).any()
        else np.nan
        for label in np.unique(labels)
    }  # fmt: skip
    return np.array([means[label] for label in labels])


def ranks(columns: Sequence[Floats]) -> Floats:
    """The mean rank of each entry over several rows, 0 the lowest to 1 the highest.

    Example:
        >>> ranks([np.array([5.0, 1.0, 3.0])])
        array([1. , 0. , 0.5])
    """
    table = pd.DataFrame(dict(enumerate(columns)))
    share = (table.rank() - 1) / max(1, len(table) - 1)
    return np.asarray(share.mean(axis=1), dtype=np.float64)
