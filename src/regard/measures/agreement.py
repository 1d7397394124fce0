"""Do attentions agree: heads with each other, maps of several seeds or prompts?"""

from collections.abc import Callable
from typing import Any

import xarray as xr
from array_api_compat import array_namespace

from regard.axes import HEAD, HEAD2, KEY, QUERY, SEED, X, Y
from regard.errors import ArgumentError, AxisError
from regard.measures.about import HEADS, HEADS_PER_QUERY, MAPS, QUERIES_LAST, labelled, measure
from regard.measures.divergence import KINDS, divergence_of_heads, generalised_diversity_of_heads
from regard.measures.rows import check_dims, mean_over, patch_rows, precise
from regard.stats.correlation import pearson_of_pairs, pearson_of_rows, spearman_of_pairs


@measure(unit="by kind", higher="heads differ more", reads=HEADS_PER_QUERY, reduce=QUERIES_LAST)
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
            ``attrs["excluded"]`` is the number of those.

    Returns:
        The dims of ``weights`` less these three, in bits (``js``) or without unit; NaN for a
        single head, which cannot differ from another.

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


def correlation_of_heads(weights: Any) -> Any:
    """Pearson correlation of each two heads, over the last axes head, query, key."""
    xp = array_namespace(weights)
    return pearson_of_rows(xp.reshape(weights, (*weights.shape[:-2], -1)))


CORRELATIONS: dict[str, Callable[[Any], Any]] = {
    "pearson": pearson_of_pairs,
    "spearman": spearman_of_pairs,
}


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


def _listed(table: dict[str, Any]) -> str:
    return ", ".join(sorted(table))
