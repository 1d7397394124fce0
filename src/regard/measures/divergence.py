"""How differently heads look, in numbers: kernels over the last axes head, query and key.

They take NumPy arrays or tensors, answer per query, and are differentiable.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from regard.measures.spread import entropy_of_rows


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
