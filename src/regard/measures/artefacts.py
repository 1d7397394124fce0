"""Attention that goes where there is nothing to see: sinks, and tokens of outsized norm."""

from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY, QUERY, SAMPLE
from regard.errors import ArgumentError
from regard.measures.about import HEADS, MAPS, SINK_ROWS, labelled, measure
from regard.measures.agreement import mean_correlation
from regard.measures.concentration import gini_of_rows
from regard.measures.rows import check_attention, check_dims, patch_rows, precise
from regard.stats.ranks import or_nan

POLICIES = ("keep", "drop", "clip")

CLIP = 0.98
"""Quantile at which sinks are clipped for drawing: of 196 patches, the four heaviest."""


@measure(
    unit="1",
    high="1 - 1/keys",
    higher="a few keys get it all",
    reads=HEADS,
    reduce="the mean over queries first, then the measure",
)
def column_concentration(
    weights: xr.DataArray, *, over: str = KEY, query: str = QUERY, prefix: int = 0
) -> xr.DataArray:
    """Whether all queries look at the same few keys: 0 all keys alike, 1 - 1/n all on one of n.

    Args:
        weights: Attention over ``query`` and ``over``, perhaps more dims.
        over: The dim that sums to 1.
        query: The dim of the places that look.
        prefix: How many keys at the start stand for no patch; they are left out, and the rest of
            each row is put to a sum of 1. A query without other mass does not count.

    Returns:
        The Gini index over keys of the mean over queries; the dims of ``weights`` less both.

    Raises:
        AxisError: ``weights`` lacks one of the dims.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: ``prefix`` is negative, or leaves no key.

    Example:
        >>> same = xr.DataArray([[1.0, 0.0], [1.0, 0.0]], dims=["query", "key"])
        >>> column_concentration(same).item()
        0.5

    Source:
        Hurley and Rickard (2009), "Comparing Measures of Sparsity", the Gini index.
    """
    check_dims(weights, query, over, caller="column_concentration")
    rows = patch_rows(weights, over=over, prefix=prefix, caller="column_concentration")
    value: xr.DataArray = xr.apply_ufunc(
        column_concentration_of_rows, rows, input_core_dims=[[query, over]]
    )
    excluded = int(np.isnan(rows.isel({over: 0}).values).sum())
    return labelled(value, column_concentration, excluded=excluded)


@measure(unit="share of attention", higher="more goes to sinks", reads=SINK_ROWS)
def sink_mass(
    weights: xr.DataArray,
    *,
    prefix: int = 1,
    flagged: xr.DataArray | None = None,
    over: str = KEY,
) -> xr.DataArray:
    """What share of attention goes to CLS, registers and flagged patches: 0 none, 1 all.

    Args:
        weights: Attention weights, any dims that include ``over``.
        prefix: How many keys at the start stand for no patch.
        flagged: True for further sinks, over ``over``, as `norm_outliers` finds them.
        over: The dim that sums to 1.

    Returns:
        The dims of ``weights`` less ``over``, as a share of attention.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: ``flagged`` is not boolean or of another length, or ``prefix`` is too large.

    Example:
        >>> weights = xr.DataArray([[0.25, 0.5, 0.25]], dims=["query", "key"])
        >>> sink_mass(weights, flagged=xr.DataArray([False, False, True], dims="key")).values
        array([0.5])

    Source:
        Darcet et al. (2024), "Vision Transformers Need Registers"; Xiao et al. (2024), "Efficient
        Streaming Language Models with Attention Sinks".
    """
    check_attention(weights, over=over, caller="sink_mass")
    sinks = _sinks_of(weights, prefix, flagged, over)
    bare = precise(weights).drop_vars(over, errors="ignore")
    value: xr.DataArray = xr.apply_ufunc(
        sink_mass_of_rows, bare, sinks, input_core_dims=[[over], [over]]
    )
    return labelled(value, sink_mass)


def without_sinks(
    weights: xr.DataArray,
    policy: str = "drop",
    *,
    prefix: int = 1,
    flagged: xr.DataArray | None = None,
    quantile: float = CLIP,
    over: str = KEY,
) -> xr.DataArray:
    """Attention in which sinks no longer outshine the rest, in 0..1, and which says what was done.

    Args:
        weights: Attention weights, any dims that include ``over``.
        policy: ``keep`` leaves them as they are. ``drop`` puts sinks to 0 and the rest of each row
            to a sum of 1. ``clip`` lowers what lies above a quantile of each row's other keys to
            that quantile, so that rows sum to less than 1: for drawing, not for measuring.
        prefix: How many keys at the start stand for no patch.
        flagged: True for further sinks, over ``over``, as `norm_outliers` finds them.
        quantile: Where ``clip`` cuts, in 0..1.
        over: The dim that sums to 1.

    Returns:
        As ``weights``, in float32 or float64. ``attrs["sinks"]`` names what was done and the mean
        share of attention that it took away, for the caption; ``attrs["undefined"]`` counts rows
        without other mass, which are NaN.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: there is no such policy; ``quantile`` lies outside 0..1; or as `sink_mass`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.375, 0.125]], dims=["query", "key"])
        >>> dropped = without_sinks(weights)
        >>> dropped.values.tolist(), dropped.attrs["sinks"]
        ([[0.0, 0.75, 0.25]], 'drop: sinks held 0.5 of attention')

    Source:
        Darcet et al. (2024), "Vision Transformers Need Registers", section 2.
    """
    if policy not in POLICIES:
        raise ArgumentError(
            f"without_sinks: policy is '{policy}' and must be one of {', '.join(POLICIES)}."
        )
    if not 0 <= quantile <= 1:
        raise ArgumentError(f"without_sinks: quantile is {quantile} and must lie in 0..1.")
    held = sink_mass(weights, prefix=prefix, flagged=flagged, over=over)
    sinks = _sinks_of(weights, prefix, flagged, over)
    whole = precise(weights)
    if policy == "keep":
        treated, told = whole, f"keep: sinks hold {float(held.mean()):.2g} of attention"
    elif policy == "drop":
        rest = whole.where(~sinks, 0.0)
        total = rest.sum(over)
        treated = rest / total.where(total > 0)
        told = f"drop: sinks held {float(held.mean()):.2g} of attention"
    else:
        highest = whole.where(~sinks).quantile(quantile, over).drop_vars("quantile")
        treated = whole.clip(max=highest.fillna(1.0))
        lost = float((whole - treated).sum(over).mean())
        told = f"clip: {lost:.2g} of attention lay above quantile {quantile:g}"
    undefined = int(np.isnan(treated.isel({over: 0}).values).sum())
    return treated.transpose(*weights.dims).assign_attrs(
        weights.attrs | {"sinks": told, "undefined": undefined}
    )


@measure(
    unit="1",
    low=-1.0,
    higher="the same place whatever the image",
    reads=MAPS,
    reduce="the mean over pairs of images",
)
def same_place(maps: xr.DataArray, *, over: str = SAMPLE, kind: str = "pearson") -> xr.DataArray:
    """Whether maps of unrelated images lie alike, which no content explains: 1 the same, 0 not.

    It is `agreement`, asked of images that have nothing in common.

    Args:
        maps: Maps over ``y``, ``x`` and ``over``, perhaps more dims.
        over: The dim of the images.
        kind: ``pearson`` or ``spearman``.

    Returns:
        As `agreement`.

    Raises:
        RegardError: as for `agreement`.

    Example:
        >>> maps = xr.DataArray([[[0.0, 1.0]], [[2.0, 0.0]]], dims=["sample", "y", "x"])
        >>> round(same_place(maps).item(), 12)
        -1.0

    Source:
        Pearson (1895), "Note on Regression and Inheritance in the Case of Two Parents"; as an
        index of artefacts it is ours.
    """
    return mean_correlation(maps, same_place, over=over, kind=kind)


def column_concentration_of_rows(weights: Any) -> Any:
    """``column_concentration`` over the last axes query and key; differentiable."""
    xp = array_namespace(weights)
    known = xp.isfinite(xp.sum(weights, axis=-1, keepdims=True))
    columns = xp.sum(xp.where(known, weights, xp.zeros_like(weights)), axis=-2)
    count = xp.sum(xp.astype(known, weights.dtype), axis=-2)
    return gini_of_rows(columns / or_nan(count))


def sink_mass_of_rows(weights: Any, sinks: Any) -> Any:
    """The mass on ``sinks``, a boolean over the last axis; differentiable."""
    xp = array_namespace(weights)
    return xp.sum(xp.where(sinks, weights, xp.zeros_like(weights)), axis=-1)


def _sinks_of(
    weights: xr.DataArray, prefix: int, flagged: xr.DataArray | None, over: str
) -> xr.DataArray:
    """Which keys are sinks, a boolean over ``over``."""
    keys = weights.sizes[over]
    if not 0 <= prefix <= keys:
        raise ArgumentError(f"sink_mass: prefix is {prefix} and must lie in 0..{keys}.")
    sinks = xr.DataArray(np.arange(keys) < prefix, dims=over)
    if flagged is None:
        return sinks
    if flagged.dtype != np.dtype(bool) or flagged.sizes.get(over) != keys:
        raise ArgumentError(
            f"sink_mass: flagged holds {flagged.dtype} over {dict(flagged.sizes)} and must be "
            f"boolean over the {keys} entries of '{over}'."
        )
    return sinks | flagged.drop_vars(over, errors="ignore")
