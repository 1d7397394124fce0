"""Attention through the layers: one map from the last layer back to the first."""

from collections.abc import Callable, Sequence
from typing import Any

import xarray as xr
from array_api_compat import array_namespace

from regard.arguments import number_or_none, shown, whole
from regard.axes import HEAD, KEY, QUERY
from regard.errors import ArgumentError, AxisError
from regard.measures.about import LAYERS, labelled, measure
from regard.measures.rows import check_attention, check_dims, precise
from regard.stats.ranks import or_nan

COMPAT = (None, "vit-explain")


@measure(
    unit="share of attention",
    higher="more flows from the key to the query",
    reads=LAYERS,
    reduce="heads are fused first, then layers multiplied",
)
def rollout(
    layers: Sequence[xr.DataArray],
    *,
    fusion: str = "mean",
    residual: float = 0.5,
    discard: float = 0.0,
    protect_prefix: bool = True,
    prefix: int = 1,
    start_layer: int = 0,
    compat: str | None = None,
) -> xr.DataArray:
    """How much of each input token flows to each output token through all layers: 0 none, 1 all.

    Each layer is the mean of its attention and of passing on what was there; layers are
    multiplied. It knows nothing of what the model decided, so it is the same for every class.

    Args:
        layers: The attention of each layer in running order, over ``head``, ``query`` and ``key``,
            as many queries as keys, perhaps more dims. Without ``head`` it counts as fused.
        fusion: How heads become one: ``mean``, ``max`` or ``min``.
        residual: The share that passes the layer by, from 0 up to but not including 1.
        discard: The share of the least entries of each fused layer that is set to 0, image by
            image: of all entries, or of those that the prefix does not protect.
        protect_prefix: Never discard what lies in the columns of the first ``prefix`` keys.
        prefix: How many tokens at the start are no patches, such as CLS and registers.
        start_layer: The first layer that counts; -1 is the last alone.
        compat: ``vit-explain`` protects the one entry from CLS to CLS instead, and counts the
            least of all entries, as that widely copied code does; its other faults are not
            repeated.

    Returns:
        ``query``, ``key`` and the other dims; rows sum to 1. The map of CLS is
        ``.isel(query=0, key=slice(prefix, None))``. ``attrs["class_agnostic"]`` is True.

    Raises:
        AxisError: a layer lacks ``query`` or ``key``.
        NotAttentionError: a layer is no attention over ``key``.
        ArgumentError: layers differ in tokens, or an option lies outside what it takes.

    Example:
        >>> layer = xr.DataArray([[[0.0, 1.0], [1.0, 0.0]]], dims=["head", "query", "key"])
        >>> rollout([layer, layer]).values
        array([[0.5, 0.5],
               [0.5, 0.5]])

    Source:
        Abnar and Zuidema (2020), "Quantifying Attention Flow in Transformers", section 3. Fusion
        by max or min and discarding come from later practice, not from the paper.
    """
    _check_options(fusion, residual, discard, prefix, compat)
    chosen = _chosen(layers, start_layer)
    for place, layer in enumerate(chosen):
        _check_layer(layer, place, chosen[0], prefix=prefix)

    def kernel(*values: Any) -> Any:
        return rollout_of_layers(
            values, fusion=fusion, residual=residual, discard=discard,
            protect_prefix=protect_prefix, prefix=prefix, compat=compat,
        )  # fmt: skip

    value: xr.DataArray = xr.apply_ufunc(
        kernel, *[_with_heads(layer, place) for place, layer in enumerate(chosen)],
        input_core_dims=[[f"{HEAD}{place}", QUERY, KEY] for place in range(len(chosen))],
        output_core_dims=[[QUERY, KEY]],
    )  # fmt: skip
    return labelled(
        value, rollout, class_agnostic=True, fusion=fusion, residual=residual, discard=discard,
        protect_prefix=protect_prefix, prefix=prefix, start_layer=start_layer,
        compat=compat or "none", layers=len(chosen),
    )  # fmt: skip


def rollout_of_layers(
    layers: Sequence[Any],
    *,
    fusion: str = "mean",
    residual: float = 0.5,
    discard: float = 0.0,
    protect_prefix: bool = True,
    prefix: int = 1,
    compat: str | None = None,
) -> Any:
    """``rollout`` of arrays or tensors over the last axes head, query, key; differentiable."""
    xp = array_namespace(*layers)
    flow: Any = None
    for weights in layers:
        fused = FUSIONS[fusion](weights)
        if discard > 0:
            kept = _protected(fused, prefix=prefix if protect_prefix else 0, compat=compat)
            fused = without_least(fused, discard, kept, of_all=compat is not None)
        same = xp.eye(fused.shape[-1], dtype=fused.dtype, device=fused.device)
        mixed = (1 - residual) * fused + residual * same
        # keepdims: without it the columns would be divided, not the rows.
        total = xp.sum(mixed, axis=-1, keepdims=True)
        step = mixed / or_nan(total)
        flow = step if flow is None else step @ flow
    return flow


def without_least(weights: Any, share: float, kept: Any, *, of_all: bool = False) -> Any:
    """The last two axes with the least entries set to 0, except where ``kept``.

    The share is of the entries that are not kept or, with ``of_all``, of all; what is kept then
    takes up a place among the least without being dropped.
    """
    xp = array_namespace(weights)
    size = weights.shape[-1] * weights.shape[-2]
    flat = xp.reshape(weights, (*weights.shape[:-2], size))
    guarded = xp.reshape(kept, (size,))
    entries = size if of_all else size - int(xp.sum(xp.astype(guarded, xp.int64)))
    ranked = flat if of_all else xp.where(guarded, xp.full_like(flat, float("inf")), flat)
    rank = xp.argsort(xp.argsort(ranked, axis=-1, stable=True), axis=-1, stable=True)
    # A hair more, so that 0.3 of 10 entries are three, and not the 2 of 2.9999999999999996.
    least = rank < int(share * entries + 1e-9)
    left = xp.where(least & ~guarded, xp.zeros_like(flat), flat)
    return xp.reshape(left, weights.shape)


def _mean(weights: Any) -> Any:
    return array_namespace(weights).mean(weights, axis=-3)


def _max(weights: Any) -> Any:
    return array_namespace(weights).max(weights, axis=-3)


def _min(weights: Any) -> Any:
    return array_namespace(weights).min(weights, axis=-3)


FUSIONS: dict[str, Callable[[Any], Any]] = {"max": _max, "mean": _mean, "min": _min}
"""How the heads of a layer become one matrix."""


def _protected(weights: Any, *, prefix: int, compat: str | None) -> Any:
    """Which entries of the last two axes are never discarded."""
    xp = array_namespace(weights)
    tokens = weights.shape[-1]
    column = xp.arange(tokens, device=weights.device)
    if compat is not None:
        return (column[:, None] == 0) & (column[None, :] == 0)
    return xp.broadcast_to((column < prefix)[None, :], (tokens, tokens))


def _check_options(
    fusion: str, residual: float, discard: float, prefix: int, compat: str | None
) -> None:
    if fusion not in FUSIONS:
        raise ArgumentError(
            f"rollout: fusion is '{fusion}' and must be one of {', '.join(sorted(FUSIONS))}."
        )
    if not 0 <= _or_nan(residual) < 1:
        raise ArgumentError(
            f"rollout: residual is {shown(residual)} and must lie in 0..1, without 1: "
            f"then no attention would count."
        )
    if not 0 <= _or_nan(discard) < 1:
        raise ArgumentError(
            f"rollout: discard is {shown(discard)} and must lie in 0..1, without 1: "
            f"nothing would be left."
        )
    if whole(prefix, "prefix", "rollout") < 0:
        raise ArgumentError(f"rollout: prefix is {prefix} and must not be negative.")
    if compat not in COMPAT:
        raise ArgumentError(f"rollout: compat is '{compat}' and must be None or 'vit-explain'.")


def _or_nan(value: Any) -> float:
    found = number_or_none(value)
    return float("nan") if found is None else found


def _chosen(layers: Sequence[xr.DataArray], start: int) -> list[xr.DataArray]:
    count, start = len(layers), whole(start, "start_layer", "rollout")
    if not count or not -count <= start < count:
        raise ArgumentError(
            f"rollout: start_layer is {start} and there are {count} layers. "
            f"Give at least one layer, and start at one of them; -1 is the last."
        )
    return list(layers)[start if start >= 0 else count + start :]


def _check_layer(layer: xr.DataArray, place: int, first: xr.DataArray, *, prefix: int) -> None:
    check_dims(layer, QUERY, KEY, caller="rollout")
    check_attention(layer, over=KEY, caller="rollout")
    tokens = (layer.sizes[QUERY], layer.sizes[KEY])
    if tokens != (first.sizes[KEY],) * 2:
        raise AxisError(
            f"rollout: layer {place} has {tokens[0]} queries and {tokens[1]} keys, the first "
            f"{first.sizes[KEY]} keys. All queries of all layers are needed, on the same tokens."
        )
    if prefix > tokens[1]:
        raise ArgumentError(f"rollout: prefix is {prefix} and there are {tokens[1]} tokens.")


def _with_heads(layer: xr.DataArray, place: int) -> xr.DataArray:
    """The layer with a dim of heads of its own, for layers may differ in their number of heads."""
    bare = precise(layer).drop_vars([HEAD, QUERY, KEY], errors="ignore")
    headed = bare if HEAD in bare.dims else bare.expand_dims(HEAD)
    return headed.rename({HEAD: f"{HEAD}{place}"})
