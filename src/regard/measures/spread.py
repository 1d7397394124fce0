"""How widely attention is spread over the keys.

Measured per query; average afterwards, since the spread of an average is another number.
"""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import KEY
from regard.errors import ArgumentError
from regard.measures.about import ROWS, measure
from regard.measures.rows import of_rows, where_known


@measure(unit="bit", high="log2(keys)", higher="spread wider", reads=ROWS)
def entropy(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """Shannon entropy of attention in bits: 0 on one key, log2(n) spread over n keys.

    Args:
        weights: Attention weights, any dims that include ``over``; each slice along ``over`` is
            >= 0 and sums to 1.
        over: The dim that holds the distribution.
        prefix: How many keys at the start stand for no patch, such as CLS and registers. They are
            left out, the rest is put to a sum of 1, and ``attrs["prefix_mass"]`` says how much
            mass they had. A row without other mass is NaN; ``attrs["undefined"]`` counts these.

    Returns:
        The dims of ``weights`` less ``over``, in bits.

    Raises:
        AxisError: ``over`` is not a dim of ``weights``.
        NotAttentionError: a slice is negative or does not sum to 1 within 0.001.
        ArgumentError: ``prefix`` is negative, or leaves no key.

    Example:
        >>> weights = xr.DataArray([[1.0, 0.0], [0.5, 0.5]], dims=["query", "key"])
        >>> entropy(weights).values
        array([0., 1.])

    Source:
        Shannon (1948), "A Mathematical Theory of Communication", section 6.
    """
    return of_rows(entropy, entropy_of_rows, weights, over=over, prefix=prefix)


@measure(unit="1", higher="spread wider", reads=ROWS)
def normalised_entropy(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """Entropy as a share of the most there can be: 0 on one key, 1 spread evenly.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, without unit; NaN where there is only one key.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> normalised_entropy(weights).values
        array([0.5])

    Source:
        Shannon (1948), "A Mathematical Theory of Communication", section 7, relative entropy.
    """
    kernel = normalised_entropy_of_rows
    return of_rows(normalised_entropy, kernel, weights, over=over, prefix=prefix)


@measure(unit="key", low=1.0, high="keys", higher="spread wider", reads=ROWS)
def perplexity(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """As how many keys with equal weights attention is spread: 1 on one key, n over n keys.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, in keys.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> perplexity(weights).values
        array([2.])

    Source:
        Jelinek et al. (1977), "Perplexity: a measure of the difficulty of speech recognition tasks"
    """
    return of_rows(perplexity, perplexity_of_rows, weights, over=over, prefix=prefix)


@measure(unit="1", higher="more concentrated", reads=ROWS)
def attention_focus(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """How far attention is from even: 0 spread evenly, 1 on one key.

    It is 1 less `normalised_entropy`. Not the Focus of Arias-Duart et al. (2022), which asks on
    mosaics of several images whether a map lies on the right one.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, without unit; NaN where there is only one key.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> attention_focus(weights).values
        array([0.5])

    Source:
        Shannon (1948), "A Mathematical Theory of Communication", section 7, redundancy.
    """
    return of_rows(attention_focus, attention_focus_of_rows, weights, over=over, prefix=prefix)


@measure(unit="share of keys", low="1/keys", higher="spread wider", reads=ROWS)
def coverage(
    weights: xr.DataArray, *, share: float = 0.8, over: str = KEY, prefix: int = 0
) -> xr.DataArray:
    """The smallest share of the keys that together has ``share`` of the mass: 1/n on one key.

    Args:
        weights: As for `entropy`.
        share: How much of the mass, over 0 and up to 1.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, as a share of the keys.

    Raises:
        ArgumentError: ``share`` lies outside 0..1; else as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.7, 0.1, 0.1, 0.1]], dims=["query", "key"])
        >>> coverage(weights).values
        array([0.5])

    Source:
        Caron et al. (2021), "Emerging Properties in Self-Supervised Vision Transformers", the
        rule that cuts attention maps to a part of their mass: this is the area of what is left.
    """
    if not 0 < share <= 1:
        raise ArgumentError(f"coverage: share is {share} and must be over 0 and up to 1.")
    kernel = partial(coverage_of_rows, share=share)
    return of_rows(coverage, kernel, weights, over=over, prefix=prefix, share=share)


@measure(unit="share of keys", low="1/keys", higher="spread wider", reads=ROWS)
def effective_coverage(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """Perplexity as a share of the keys: 1/n on one of n keys, 1 spread evenly.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, as a share of the keys.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> effective_coverage(weights).values
        array([0.5])

    Source:
        Jelinek et al. (1977), perplexity; divided by the number of keys.
    """
    kernel = effective_coverage_of_rows
    return of_rows(effective_coverage, kernel, weights, over=over, prefix=prefix)


@measure(unit="share of keys", low="1/keys", higher="spread wider", reads=ROWS)
def participation(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """One over the sum of squares, as a share of the keys: 1/n on one of n keys, 1 spread evenly.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, as a share of the keys.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.5, 0.5, 0.0, 0.0]], dims=["query", "key"])
        >>> participation(weights).values
        array([0.5])

    Source:
        Bell and Dean (1970), "Atomic vibrations in vitreous silica", the participation ratio.
    """
    return of_rows(participation, participation_of_rows, weights, over=over, prefix=prefix)


@measure(unit="share of keys", high="1 - 1/keys", higher="more keys above the mean", reads=ROWS)
def area_above_uniform(weights: xr.DataArray, *, over: str = KEY, prefix: int = 0) -> xr.DataArray:
    """The share of keys with more than an even share of attention: 1/n on one key, 0 if all even.

    It needs no parameter, but the least noise on an even map takes it to about 0.5, and it does
    not always fall as attention concentrates. Prefer `coverage`.

    Args:
        weights: As for `entropy`.
        over: The dim that holds the distribution.
        prefix: As for `entropy`.

    Returns:
        The dims of ``weights`` less ``over``, as a share of the keys.

    Raises:
        RegardError: as for `entropy`.

    Example:
        >>> weights = xr.DataArray([[0.7, 0.1, 0.1, 0.1]], dims=["query", "key"])
        >>> area_above_uniform(weights).values
        array([0.25])

    Source:
        None known; the plainest count there is.
    """
    kernel = area_above_uniform_of_rows
    return of_rows(area_above_uniform, kernel, weights, over=over, prefix=prefix)


def entropy_of_rows(weights: Any) -> Any:
    """``entropy`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    tiny = xp.finfo(weights.dtype).tiny
    # 0.0 - x and not -x, or a row with all its weight on one key would read -0.0.
    return 0.0 - xp.sum(weights * xp.log2(xp.clip(weights, min=tiny)), axis=-1)


def normalised_entropy_of_rows(weights: Any) -> Any:
    """``normalised_entropy`` over the last axis of a NumPy array or tensor; differentiable."""
    keys = weights.shape[-1]
    most = float(np.log2(keys)) if keys > 1 else float("nan")
    return entropy_of_rows(weights) / most


def perplexity_of_rows(weights: Any) -> Any:
    """``perplexity`` over the last axis of a NumPy array or tensor; differentiable."""
    return 2.0 ** entropy_of_rows(weights)


def attention_focus_of_rows(weights: Any) -> Any:
    """``attention_focus`` over the last axis of a NumPy array or tensor; differentiable."""
    return 1.0 - normalised_entropy_of_rows(weights)


def coverage_of_rows(weights: Any, share: float = 0.8) -> Any:
    """``coverage`` over the last axis of a NumPy array or tensor; a count, without gradient."""
    xp = array_namespace(weights)
    reached = xp.cumulative_sum(xp.sort(weights, axis=-1, descending=True), axis=-1)
    # Round-off: 0.7 + 0.1 falls short of 0.8 by an ulp, and two keys must do.
    slack = max(1e-12, 8 * float(xp.finfo(weights.dtype).eps))
    short = reached < share * reached[..., -1:] - slack
    keys = xp.sum(xp.astype(short, weights.dtype), axis=-1) + 1.0
    return where_known(keys / weights.shape[-1], weights)


def effective_coverage_of_rows(weights: Any) -> Any:
    """``effective_coverage`` over the last axis of an array or tensor; differentiable."""
    return perplexity_of_rows(weights) / weights.shape[-1]


def participation_of_rows(weights: Any) -> Any:
    """``participation`` over the last axis of a NumPy array or tensor; differentiable."""
    xp = array_namespace(weights)
    return 1.0 / (weights.shape[-1] * xp.sum(weights * weights, axis=-1))


def area_above_uniform_of_rows(weights: Any) -> Any:
    """``area_above_uniform`` over the last axis; a count, without gradient."""
    xp = array_namespace(weights)
    # A millionth more than even: less is round-off of the division that made the row.
    above = weights > (1 + 1e-6) / weights.shape[-1]
    return where_known(xp.mean(xp.astype(above, weights.dtype), axis=-1), weights)
