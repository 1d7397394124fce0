"""Tokens whose norm is outsized in what a layer reads."""

from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY
from regard.errors import ArgumentError, NotAttentionError
from regard.measures.about import NORMS, measure
from regard.measures.rows import check_dims, precise

FAR = 6.0
"""Deviations from the median at which a norm is an outlier: for normal values one in 5e8."""

TO_SIGMA = 1.4826
"""The standard deviation of normal values, in median absolute deviations: 1 / 0.6745."""


@measure(
    unit="by variable", higher="more tokens stand out", reads=NORMS, reduce="median over tokens"
)
def norm_outliers(norms: xr.DataArray, *, over: str = KEY, far: float = FAR) -> xr.Dataset:
    """Which tokens are longer than their image explains: none has share 0, and half at most.

    A token is one if its norm exceeds the median by more than ``far`` robust standard deviations
    (1.4826 times the median absolute deviation).

    Args:
        norms: The length of each token of a layer's output, over ``over``, perhaps more dims.
        over: The dim of tokens.
        far: How many deviations; below 0 is refused.

    Returns:
        ``outlier`` (boolean, dims of ``norms``), ``share`` (of tokens) and ``excess``: the mean
        norm of the outliers in medians, NaN where there is none.

    Raises:
        AxisError: ``over`` is not a dim of ``norms``.
        NotAttentionError: a norm is negative or no number, or there is none.
        ArgumentError: ``far`` is negative.

    Example:
        >>> norms = xr.DataArray([1.0, 1.1, 0.9, 1.0, 8.0], dims="key")
        >>> found = norm_outliers(norms)
        >>> found.outlier.values.tolist(), found.share.item(), found.excess.item()
        ([False, False, False, False, True], 0.2, 8.0)

    Source:
        Darcet et al. (2024), "Vision Transformers Need Registers", section 2.1.

    Differs from the paper:
        It cuts at one fixed norm per model; here the cut follows from the tokens of each image
        (Leys et al., 2013, "Detecting outliers").
    """
    check_dims(norms, over, caller="norm_outliers")
    if norms.size == 0 or not float(norms.min(skipna=False)) >= 0:
        raise NotAttentionError(
            "norm_outliers: norms must be >= 0, and there must be some. Give lengths of tokens."
        )
    if far < 0:
        raise ArgumentError(f"norm_outliers: far is {far} and must not be negative.")
    lengths = precise(norms)
    outlier: xr.DataArray = xr.apply_ufunc(
        norm_outliers_of_rows, lengths, kwargs={"far": far},
        input_core_dims=[[over]], output_core_dims=[[over]],
    )  # fmt: skip
    median = lengths.median(over)
    longest = lengths.where(outlier).sum(over) / outlier.sum(over).where(outlier.any(over))
    found = {
        "outlier": outlier.assign_attrs(units="1"),
        "share": outlier.mean(over).assign_attrs(units="share of tokens"),
        "excess": (longest / median.where(median > 0)).assign_attrs(units="median norm"),
    }
    undefined = int(np.isnan(found["excess"].values).sum())
    return xr.Dataset(found, attrs={"units": "by variable", "far": far, "undefined": undefined})


def norm_outliers_of_rows(norms: Any, far: float = FAR) -> Any:
    """Which entries of the last axis are outliers."""
    xp = array_namespace(norms)
    middle = _median(norms)
    spread = TO_SIGMA * _median(xp.abs(norms - middle))
    return norms > middle + far * spread


def _median(values: Any) -> Any:
    """The median of the last axis, which stays; of an even number, the mean of the two."""
    xp = array_namespace(values)
    ordered = xp.sort(values, axis=-1)
    count = values.shape[-1]
    low, high = ordered[..., (count - 1) // 2], ordered[..., count // 2]
    return ((low + high) / 2)[..., None]
