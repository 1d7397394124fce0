"""Do attentions agree: heads with each other, maps of several seeds, the parts of one object?"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import HEAD, HEAD2, KEY, QUERY, SEED, X, Y
from regard.errors import ArgumentError, AxisError
from regard.measures.about import (
    GRID_ROWS_AND_MASK,
    HEADS,
    MAPS,
    QUERIES_LAST,
    labelled,
    measure,
)
from regard.measures.curves import ranks_of_rows
from regard.measures.reach import Grid, check_grid, patch_queries
from regard.measures.rows import check_dims, mean_over, patch_rows, precise
from regard.measures.spread import entropy_of_rows
from regard.trace import resize


@measure(unit="by kind", higher="heads differ more", reads=HEADS, reduce=QUERIES_LAST)
def head_diversity(
    weights: xr.DataArray,
    *,
    kind: str = "js",
    head: str = HEAD,
    over: str = KEY,
    query: str = QUERY,
    prefix: int = 0,
) -> xr.DataArray:
    """How differently the heads of a layer look: 0 all alike, 1 if no two share a key.

    Taken per query and then averaged. Averaged first, the same heads seem many times more alike,
    because what each does for single queries is gone.

    Args:
        weights: Attention over ``head``, ``query`` and ``over``, perhaps more dims.
        kind: ``js``, the mean Jensen-Shannon divergence of two heads, in bits; ``cosine``, 1 less
            their mean cosine, which the few largest weights decide; ``generalised``, the
            divergence of all heads at once as a share of the most there can be.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim to average over, at last.
        prefix: How many keys at the start stand for no patch; they are left out and the rest is
            put to a sum of 1. A query without other mass in a head does not count, and
            ``attrs["excluded"]`` tells how many did not.

    Returns:
        The dims of ``weights`` less these three, in bits (``js``) or without unit; NaN for one
        head, which has nobody to differ from.

    Raises:
        AxisError: ``weights`` lacks one of the dims.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: there is no such kind, or ``prefix`` leaves no key.

    Example:
        >>> apart = xr.DataArray([[[1.0, 0.0]], [[0.0, 1.0]]], dims=["head", "query", "key"])
        >>> head_diversity(apart).item()
        1.0

    Source:
        ``js``: Lin (1991), "Divergence Measures Based on the Shannon Entropy"; between heads,
        Clark et al. (2019), "What Does BERT Look At?", section 6. ``cosine``: Chen et al. (2022),
        "The Principle of Diversity", here over pairs of two different heads only.
        ``generalised``: Lin (1991), of several distributions, over the logarithm of their number.
    """
    if kind not in KINDS:
        raise ArgumentError(
            f"head_diversity: kind is '{kind}' and must be one of {_listed(KINDS)}."
        )
    rows = _head_rows(weights, head, query, over, prefix=prefix, caller="head_diversity")
    value = _diversity(KINDS[kind], rows, head, query, over)
    found = labelled(value, head_diversity, kind=kind, reduce=QUERIES_LAST, **_counted(value))
    return found.assign_attrs(units="bit" if kind == "js" else "1")


@measure(
    unit="head", low=1.0, high="heads", higher="heads differ more", reads=HEADS, reduce=QUERIES_LAST
)
def effective_heads(
    weights: xr.DataArray, *, head: str = HEAD, over: str = KEY, query: str = QUERY, prefix: int = 0
) -> xr.DataArray:
    """How many heads that share no key would be as diverse: 1 if all are alike.

    Args:
        weights: As for `head_diversity`.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim to average over.
        prefix: As for `head_diversity`.

    Returns:
        The number of heads to the power of ``head_diversity(kind="generalised")``; NaN for one.

    Raises:
        RegardError: as for `head_diversity`.

    Example:
        >>> apart = xr.DataArray([[[1.0, 0.0]], [[0.0, 1.0]]], dims=["head", "query", "key"])
        >>> effective_heads(apart).item()
        2.0

    Source:
        Hill (1973), "Diversity and Evenness: A Unifying Notation and Its Consequences", of order
        1, between heads.
    """
    rows = _head_rows(weights, head, query, over, prefix=prefix, caller="effective_heads")
    diversity = _diversity(generalised_diversity_of_heads, rows, head, query, over)
    # 1 to the power of NaN is 1, which a single head is not worth.
    value = (float(weights.sizes[head]) ** diversity).where(diversity.notnull())
    return labelled(value, effective_heads, **_counted(diversity))


@measure(unit="bit", higher="the two heads differ more", reads=HEADS, reduce=QUERIES_LAST)
def head_divergence(
    weights: xr.DataArray, *, head: str = HEAD, over: str = KEY, query: str = QUERY, prefix: int = 0
) -> xr.DataArray:
    """How differently each two heads look: 0 alike, 1 if they share no key.

    Args:
        weights: As for `head_diversity`.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim to average over, at last.
        prefix: As for `head_diversity`.

    Returns:
        Jensen-Shannon divergence in bits over ``head`` and ``head2``, and other dims.

    Raises:
        RegardError: as for `head_diversity`.

    Example:
        >>> apart = xr.DataArray([[[1.0, 0.0]], [[0.0, 1.0]]], dims=["head", "query", "key"])
        >>> head_divergence(apart).values
        array([[0., 1.],
               [1., 0.]])

    Source:
        Lin (1991), as `head_diversity`.
    """
    rows = _head_rows(weights, head, query, over, prefix=prefix, caller="head_divergence")
    value = divergences(rows, head, query, over)
    return _twice(labelled(value, head_divergence, **_counted(value)), weights, head)


@measure(
    unit="1",
    low=-1.0,
    higher="the two heads look alike",
    reads=HEADS,
    reduce="over all pairs of query and key",
)
def head_correlation(
    weights: xr.DataArray, *, head: str = HEAD, over: str = KEY, query: str = QUERY, prefix: int = 0
) -> xr.DataArray:
    """Pearson correlation of each two heads, over all queries and keys: 1 alike, 0 unrelated.

    Args:
        weights: As for `head_diversity`.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim of the places that look.
        prefix: As for `head_diversity`.

    Returns:
        -1..1 over ``head`` and ``head2``, and other dims; NaN where a head is even everywhere.

    Raises:
        RegardError: as for `head_diversity`.

    Example:
        >>> apart = xr.DataArray([[[1.0, 0.0]], [[0.0, 1.0]]], dims=["head", "query", "key"])
        >>> head_correlation(apart).values.round(12)
        array([[ 1., -1.],
               [-1.,  1.]])

    Source:
        Pearson (1895), "Note on Regression and Inheritance in the Case of Two Parents".
    """
    rows = _head_rows(weights, head, query, over, prefix=prefix, caller="head_correlation")
    value: xr.DataArray = xr.apply_ufunc(
        correlation_of_heads, rows, input_core_dims=[[head, query, over]],
        output_core_dims=[[head, HEAD2]],
    )  # fmt: skip
    return _twice(labelled(value, head_correlation), weights, head)


@measure(
    unit="1", low=-1.0, higher="maps agree more", reads=MAPS, reduce="the mean over pairs of maps"
)
def agreement(maps: xr.DataArray, *, over: str = SEED, kind: str = "pearson") -> xr.DataArray:
    """Whether the maps of several seeds, prompts or images lie alike: 1 the same, 0 unrelated.

    Args:
        maps: Maps over ``y``, ``x``, ``over`` and perhaps more dims.
        over: The dim whose entries are compared, each with each.
        kind: ``pearson``, or ``spearman`` for ranks alone.

    Returns:
        The mean correlation of two maps, less ``y``, ``x`` and ``over``. A map that is even has
        none; ``attrs["excluded"]`` counts the pairs that were left out for that. NaN for one map.

    Raises:
        AxisError: ``maps`` lacks one of the dims.
        ArgumentError: there is no such kind.

    Example:
        >>> maps = xr.DataArray([[[0.0, 1.0]], [[0.0, 2.0]]], dims=["seed", "y", "x"])
        >>> round(agreement(maps).item(), 12)
        1.0

    Source:
        Pearson (1895), "Note on Regression and Inheritance in the Case of Two Parents"; Spearman
        (1904), "The Proof and Measurement of Association between Two Things".
    """
    return mean_correlation(maps, agreement, over=over, kind=kind)


@measure(
    unit="share of attention",
    higher="the object looks more at itself",
    reads=GRID_ROWS_AND_MASK,
    reduce="the mean over the queries on the object",
)
def coherence(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    *,
    prefix: int = 0,
    query: str = QUERY,
    over: str = KEY,
) -> xr.DataArray:
    """How much the patches of an object look at the same object: 0 not at all, 1 nowhere else.

    By chance they would score the object's share of the patches: see `coherence_lift`.

    Args:
        weights: Self-attention, any dims that include ``query`` and ``over``; queries are numbered
            as for `attention_distance`.
        mask: True where the object is, over ``y``, ``x`` and perhaps more dims, of any size. A
            patch belongs to it if at least half of its area does.
        grid: Rows and columns of patches.
        prefix: How many tokens at the start are no patches; they are left out, and the rest of
            each row is put to a sum of 1.
        query: The dim of the places that look.
        over: The dim of the places that are looked at.

    Returns:
        The mean over the queries on the object of their mass on it: the dims of ``weights`` and
        ``mask`` less ``query``, ``over``, ``y`` and ``x``. NaN where no query is on the object.

    Raises:
        AxisError: a dim is missing.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: the grid does not fit the keys, or the mask is not boolean.

    Example:
        >>> weights = xr.DataArray([[0.75, 0.25], [0.5, 0.5]], dims=["query", "key"])
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> coherence(weights, mask, (1, 2)).item()
        0.75

    Source:
        Ours: the mass of an object's attention that stays on it.
    """
    value, chance = _coherence(weights, mask, grid, prefix, query, over, caller="coherence")
    return labelled(value, coherence, chance=float(chance.mean()))


@measure(
    unit="1",
    high="patches",
    higher="the object looks more at itself than by chance",
    reads=GRID_ROWS_AND_MASK,
    reduce="the mean over the queries on the object",
)
def coherence_lift(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    *,
    prefix: int = 0,
    query: str = QUERY,
    over: str = KEY,
) -> xr.DataArray:
    """How many times more than by chance an object looks at itself: 1 as even attention would.

    Args:
        weights: As for `coherence`.
        mask: As for `coherence`.
        grid: Rows and columns of patches.
        prefix: As for `coherence`.
        query: The dim of the places that look.
        over: The dim of the places that are looked at.

    Returns:
        `coherence` over the object's share of the patches; NaN where no query is on the object.

    Raises:
        RegardError: as for `coherence`.

    Example:
        >>> weights = xr.DataArray([[0.75, 0.25], [0.5, 0.5]], dims=["query", "key"])
        >>> mask = xr.DataArray([[True, False]], dims=["y", "x"])
        >>> coherence_lift(weights, mask, (1, 2)).item()
        1.5

    Source:
        Ours: `coherence` over chance.
    """
    value, chance = _coherence(weights, mask, grid, prefix, query, over, caller="coherence_lift")
    return labelled(value / chance, coherence_lift)


def mean_correlation(
    maps: xr.DataArray, function: Callable[..., Any], *, over: str, kind: str
) -> xr.DataArray:
    """The mean correlation of each two maps, as the measure ``function``.

    Raises:
        AxisError: ``maps`` lacks one of the dims.
        ArgumentError: there is no such kind, or there is no map.
    """
    name = function.__name__
    if kind not in CORRELATIONS:
        raise ArgumentError(f"{name}: kind is '{kind}' and must be one of {_listed(CORRELATIONS)}.")
    for dim in (over, Y, X):
        if dim not in maps.dims:
            raise AxisError(
                f"{name}: the array has no dim '{dim}'; it has {maps.dims}. "
                f"Give maps over y and x, and name the dim of the maps with over=..."
            )
    if maps.size == 0:
        raise ArgumentError(f"{name}: the array is empty, {dict(maps.sizes)}. Give maps.")
    flat = precise(maps).stack(place=(Y, X), create_index=False)
    pairs: xr.DataArray = xr.apply_ufunc(
        CORRELATIONS[kind], flat, input_core_dims=[[over, "place"]], output_core_dims=[["pair"]]
    )
    value = mean_over(pairs, "pair")
    attrs = {"pairs": pairs.sizes["pair"], "excluded": value.attrs["excluded"], "kind": kind}
    return labelled(value, function, **attrs)


def js_diversity_of_heads(weights: Any) -> Any:
    """Mean Jensen-Shannon divergence of two heads in bits, over head, query, key; per query."""
    return _mean_of_pairs(_jensen_shannon, weights)


def cosine_diversity_of_heads(weights: Any) -> Any:
    """1 less the mean cosine of two heads, over the last axes head, query, key; per query."""
    return 1.0 - _mean_of_pairs(_cosine, weights)


def generalised_diversity_of_heads(weights: Any) -> Any:
    """Divergence of all heads over log2(heads), over head, query, key; per query."""
    xp = array_namespace(weights)
    heads = weights.shape[-3]
    together = entropy_of_rows(xp.mean(weights, axis=-3))
    apart = xp.mean(entropy_of_rows(weights), axis=-2)
    most = float(np.log2(heads)) if heads > 1 else float("nan")
    return xp.clip(together - apart, min=0.0) / most


KINDS: dict[str, Callable[[Any], Any]] = {
    "cosine": cosine_diversity_of_heads,
    "generalised": generalised_diversity_of_heads,
    "js": js_diversity_of_heads,
}
"""Kernels of `head_diversity`, over the last axes head, query and key; differentiable."""


def divergence_of_heads(weights: Any) -> Any:
    """Jensen-Shannon divergence of each two heads in bits: head, head2, query; differentiable."""
    xp = array_namespace(weights)
    heads = weights.shape[-3]
    one = [weights[..., number, :, :] for number in range(heads)]
    zero = xp.zeros_like(one[0][..., 0]) * xp.sum(one[0], axis=-1)
    found = {(a, b): _jensen_shannon(one[a], one[b]) for a, b in combinations(range(heads), 2)}
    table = [
        xp.stack([found.get((min(a, b), max(a, b)), zero) for b in range(heads)], axis=-2)
        for a in range(heads)
    ]
    return xp.stack(table, axis=-3)


def correlation_of_heads(weights: Any) -> Any:
    """Pearson correlation of each two heads, over the last axes head, query, key."""
    xp = array_namespace(weights)
    return pearson_of_rows(xp.reshape(weights, (*weights.shape[:-2], -1)))


def pearson_of_rows(rows: Any) -> Any:
    """Correlation of each two rows of the last two axes; NaN where a row is constant."""
    xp = array_namespace(rows)
    centred = rows - xp.mean(rows, axis=-1, keepdims=True)
    length = xp.sqrt(xp.sum(centred * centred, axis=-1))
    # Round-off leaves a constant row with a length of some ulps of its values.
    least = 16 * float(xp.finfo(rows.dtype).eps) * xp.sqrt(xp.sum(rows * rows, axis=-1))
    length = xp.where(length > least, length, xp.full_like(length, float("nan")))
    unit = centred / length[..., None]
    return xp.clip(unit @ xp.matrix_transpose(unit), min=-1.0, max=1.0)


def pearson_of_pairs(rows: Any) -> Any:
    """Pearson correlation of rows of the last two axes: one value per pair of two rows."""
    first, second = np.triu_indices(rows.shape[-2], k=1)
    return pearson_of_rows(rows)[..., first, second]


def spearman_of_pairs(rows: Any) -> Any:
    """Rank correlation of rows of the last two axes: one value per pair of two rows."""
    xp = array_namespace(rows)
    # NaN has no rank; it makes the whole row unknown.
    return pearson_of_pairs(ranks_of_rows(rows) + 0 * xp.sum(rows, axis=-1, keepdims=True))


CORRELATIONS: dict[str, Callable[[Any], Any]] = {
    "pearson": pearson_of_pairs,
    "spearman": spearman_of_pairs,
}


def coherence_of_rows(weights: Any, queries: Any, keys: Any) -> Any:
    """Mean over ``queries`` of the mass on ``keys``; both are 0 or 1 along the last axes."""
    xp = array_namespace(weights)
    on_object = xp.sum(weights * keys[..., None, :], axis=-1)
    asked = queries > 0
    # A query without mass on patches is NaN; it counts only if it is on the object.
    mass = xp.sum(xp.where(asked, on_object, xp.zeros_like(on_object)), axis=-1)
    count = xp.sum(queries, axis=-1)
    return mass / xp.where(count > 0, count, xp.full_like(count, float("nan")))


def _mean_of_pairs(function: Callable[[Any, Any], Any], weights: Any) -> Any:
    xp = array_namespace(weights)
    heads = weights.shape[-3]
    total = xp.zeros_like(weights[..., 0, :, 0])
    for a in range(heads - 1):
        # One head against all after it: a part of the work at a time, so that memory stays small.
        pairs = function(weights[..., a : a + 1, :, :], weights[..., a + 1 :, :, :])
        total = total + xp.sum(pairs, axis=-2)
    count = heads * (heads - 1) / 2
    return total / (count if count else float("nan"))


def _jensen_shannon(one: Any, other: Any) -> Any:
    xp = array_namespace(one)
    apart = (entropy_of_rows(one) + entropy_of_rows(other)) / 2
    return xp.clip(entropy_of_rows((one + other) / 2) - apart, min=0.0, max=1.0)


def _cosine(one: Any, other: Any) -> Any:
    xp = array_namespace(one)
    lengths = xp.sqrt(xp.sum(one * one, axis=-1) * xp.sum(other * other, axis=-1))
    return xp.clip(xp.sum(one * other, axis=-1) / lengths, max=1.0)


def divergences(rows: xr.DataArray, head: str, query: str, over: str) -> xr.DataArray:
    """Divergence of each two heads in bits, mean over queries, of rows that were checked."""
    table: xr.DataArray = xr.apply_ufunc(
        divergence_of_heads, rows, input_core_dims=[[head, query, over]],
        output_core_dims=[[head, HEAD2, query]],
    )  # fmt: skip
    return mean_over(table, query)


def _diversity(
    kernel: Callable[[Any], Any], rows: xr.DataArray, head: str, query: str, over: str
) -> xr.DataArray:
    per_query: xr.DataArray = xr.apply_ufunc(
        kernel, rows, input_core_dims=[[head, query, over]], output_core_dims=[[query]]
    )
    value = mean_over(per_query, query)
    # One head differs from nobody at any query: that is undefined, and not a query left out.
    return value if rows.sizes[head] > 1 else value.assign_attrs(excluded=0)


def _counted(value: xr.DataArray) -> dict[str, int]:
    return {"excluded": value.attrs["excluded"]}


def _head_rows(
    weights: xr.DataArray, head: str, query: str, over: str, *, prefix: int, caller: str
) -> xr.DataArray:
    check_dims(weights, head, query, over, caller=caller)
    return patch_rows(weights, over=over, prefix=prefix, caller=caller)


def _twice(table: xr.DataArray, weights: xr.DataArray, head: str) -> xr.DataArray:
    """The labels of the heads on both axes of a table of heads."""
    if head not in weights.coords:
        return table
    return table.assign_coords({HEAD2: (HEAD2, weights[head].values)})


def _coherence(
    weights: xr.DataArray,
    mask: xr.DataArray,
    grid: Grid,
    prefix: int,
    query: str,
    over: str,
    *,
    caller: str,
) -> tuple[xr.DataArray, xr.DataArray]:
    check_dims(weights, query, over, caller=caller)
    check_dims(mask, Y, X, caller=caller)
    if mask.dtype != np.dtype(bool):
        raise ArgumentError(f"{caller}: the mask holds {mask.dtype} and must be boolean.")
    check_grid(weights.sizes[over], grid, prefix=prefix, caller=caller)
    kept, places = patch_queries(weights, grid, prefix=prefix, query=query, caller=caller)
    rows = patch_rows(kept, over=over, prefix=prefix, caller=caller)
    inside = resize(mask.astype(np.float64), grid) >= 0.5
    keys = inside.stack({over: (Y, X)}, create_index=False).astype(rows.dtype)
    queries = keys.isel({over: places}).rename({over: query})
    value: xr.DataArray = xr.apply_ufunc(
        coherence_of_rows, rows.drop_vars([query, over], errors="ignore"), queries, keys,
        input_core_dims=[[query, over], [query], [over]],
    )  # fmt: skip
    chance = keys.mean(over)
    return value, chance.where(chance > 0)


def _listed(table: dict[str, Any]) -> str:
    return ", ".join(sorted(table))
