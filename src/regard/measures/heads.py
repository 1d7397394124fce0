"""Which heads of a layer repeat another, and which do nothing that depends on the query."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from regard.axes import HEAD, KEY, QUERY
from regard.errors import ArgumentError
from regard.measures.about import HEADS, QUERIES_LAST, labelled, measure
from regard.measures.agreement import divergences
from regard.measures.rows import check_dims, patch_rows
from regard.measures.spread import normalised_entropy_of_rows

EVEN = 0.99
"""A head is even from this mean normalised entropy of its rows on: a quarter of 256 keys with twice
the weight of the rest has 0.990."""

ONE_KEY = 0.9
"""A head looks at one key if that key has this share of the attention of all its queries."""

CLOSE = 0.05
"""Heads within this many bits are alike. Cosine 0.88: near-equal heads have a divergence of about
0.4 times 1 less their cosine."""


@measure(unit="cluster", high="heads - 1", higher="more clusters", reads=HEADS, reduce=QUERIES_LAST)
def head_clusters(
    weights: xr.DataArray,
    *,
    closer: float = CLOSE,
    head: str = HEAD,
    over: str = KEY,
    query: str = QUERY,
    prefix: int = 0,
) -> xr.Dataset:
    """Which heads of a layer look alike, by number of cluster, and which are degenerate.

    Heads join from the nearest on, while the mean divergence of two clusters is at most
    ``closer``. A head is degenerate if it is ``even`` (mean normalised entropy of 0.99 or more),
    looks at ``one key`` (90 % of all its attention lies there, whatever the query) or at
    ``no patch``.

    Args:
        weights: Attention over ``head``, ``query`` and ``over``, and no more dims.
        closer: Divergence in bits up to which heads count as alike.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim to average over.
        prefix: How many keys at the start stand for no patch; they are left out.

    Returns:
        Over ``head``: ``cluster``, numbered from 0 in the order of heads, and ``degenerate``
        (``even``, ``one key``, ``no patch`` or empty). ``attrs["clusters"]`` counts the clusters.

    Raises:
        AxisError: ``weights`` lacks one of the dims.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: ``weights`` has more dims, or ``closer`` is negative.

    Example:
        >>> rows = [[[0.9, 0.1]], [[0.9, 0.1]], [[0.5, 0.5]]]
        >>> found = head_clusters(xr.DataArray(rows, dims=["head", "query", "key"]))
        >>> found.cluster.values.tolist(), found.degenerate.values.tolist()
        ([0, 0, 1], ['one key', 'one key', 'even'])

    Source:
        Sokal and Michener (1958), "A Statistical Method for Evaluating Systematic Relationships",
        average linkage, of `head_divergence`.
    """
    rows = _rows(weights, closer, head, query, over, prefix=prefix, caller="head_clusters")
    clusters = _clusters(divergences(rows, head, query, over).values, closer)
    labels = {head: weights[head].values} if head in weights.coords else {}
    numbers = xr.DataArray(clusters, labels, (head,), attrs={"units": "cluster"})
    flags = xr.DataArray(_degenerate(rows.values), labels, (head,), attrs={"units": "1"})
    found = xr.Dataset({"cluster": numbers, "degenerate": flags})
    return found.assign_attrs(units="cluster", clusters=int(clusters.max()) + 1, closer=closer)


@measure(unit="share of heads", higher="more heads could go", reads=HEADS, reduce=QUERIES_LAST)
def head_redundancy(
    weights: xr.DataArray,
    *,
    closer: float = CLOSE,
    head: str = HEAD,
    over: str = KEY,
    query: str = QUERY,
    prefix: int = 0,
) -> xr.DataArray:
    """What share of the heads repeats another or is degenerate: 0 none, 1 all.

    Of the heads of a cluster one is needed, and none if they are degenerate.

    Args:
        weights: As for `head_clusters`.
        closer: As for `head_clusters`.
        head: The dim of heads.
        over: The dim that sums to 1.
        query: The dim to average over.
        prefix: As for `head_clusters`.

    Returns:
        One value, as a share of the heads.

    Raises:
        RegardError: as for `head_clusters`.

    Example:
        >>> rows = [[[0.8, 0.2]], [[0.8, 0.2]], [[0.1, 0.9]], [[0.5, 0.5]]]
        >>> head_redundancy(xr.DataArray(rows, dims=["head", "query", "key"])).item()
        0.75

    Source:
        Ours: 1 less the clusters of `head_clusters` that are not degenerate, over the heads.
    """
    rows = _rows(weights, closer, head, query, over, prefix=prefix, caller="head_redundancy")
    clusters = _clusters(divergences(rows, head, query, over).values, closer)
    useful = clusters[_degenerate(rows.values) == ""]
    share = 1 - len(set(useful.tolist())) / len(clusters)
    return labelled(xr.DataArray(share), head_redundancy, closer=closer)


def _rows(
    weights: xr.DataArray,
    closer: float,
    head: str,
    query: str,
    over: str,
    *,
    prefix: int,
    caller: str,
) -> xr.DataArray:
    """Rows of one layer over head, query and key."""
    check_dims(weights, head, query, over, caller=caller)
    if weights.ndim != 3 or closer < 0:
        raise ArgumentError(
            f"{caller}: the dims are {weights.dims} and closer is {closer}. Give one layer at "
            f"one step, over {head}, {query} and {over}, and 0 bits or more."
        )
    rows = patch_rows(weights, over=over, prefix=prefix, caller=caller)
    return rows.transpose(head, query, over)


def _clusters(apart: NDArray[Any], closer: float) -> NDArray[np.int64]:
    """Cluster numbers by average linkage, in the order in which heads first show them."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(apart) == 1:
        return np.zeros(1, np.int64)
    # A head that looks at no patch cannot be compared: it is as far from all others as can be.
    far = np.where(np.isnan(apart), 1.0, apart)
    np.fill_diagonal(far, 0.0)
    found = fcluster(linkage(squareform(far, checks=False), "average"), closer, "distance")
    order = {cluster: number for number, cluster in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([order[cluster] for cluster in found.tolist()], np.int64)


def _degenerate(rows: NDArray[Any]) -> NDArray[Any]:
    """What is wrong with each head of rows over head, query and key; empty if nothing is."""
    seen = np.asarray(np.isfinite(rows).all(axis=-1))
    count = np.maximum(seen.sum(axis=1), 1)
    spread = np.where(seen, normalised_entropy_of_rows(rows), 0).sum(axis=1) / count
    column = np.where(seen[..., None], rows, 0).sum(axis=1) / count[:, None]
    named = np.where(column.max(axis=-1) >= ONE_KEY, "one key", "")
    named = np.where(spread >= EVEN, "even", named)
    return np.where(seen.any(axis=1), named, "no patch")
