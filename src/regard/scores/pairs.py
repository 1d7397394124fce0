"""Images or texts pair by pair in the features of an encoder, which most scores compare.

A score means what the encoder's training taught it, and scores of two encoders cannot be compared.
So every result says which encoder it was, with the SHA-256 of its weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.axes import SAMPLE
from regard.errors import ArgumentError
from regard.measures.about import labelled

BATCH = 32
"""Images encoded at a time."""


def open_encoder(which: Any) -> Any:
    """`regard.models.encoder.encoder`; all scores go through here."""
    from regard.models.encoder import encoder

    return encoder(which)


def features(which: Any, items: Sequence[Any], *, batch: int, caller: str) -> Any:
    """`regard.models.encoder.encoded`: features of images or texts, a tensor [item, feature]."""
    from regard.models.encoder import encoded

    return encoded(which, items, batch=batch, caller=caller)


def cosine_of_rows(first: Any, second: Any) -> Any:
    """Cosine over the last axis of NumPy arrays or tensors; differentiable; NaN for a zero row."""
    xp = array_namespace(first, second)
    lengths = xp.sqrt(xp.sum(first * first, axis=-1)) * xp.sqrt(xp.sum(second * second, axis=-1))
    return xp.sum(first * second, axis=-1) / lengths


def check_pairs(caller: str, first: Sequence[Any], second: Sequence[Any]) -> None:
    """Refuse what cannot be taken pair by pair.

    Raises:
        ArgumentError: the numbers differ, or there are none.

    Example:
        >>> check_pairs("example", ["a cat"], ["a dog"])
    """
    if isinstance(first, str) or isinstance(second, str):
        raise ArgumentError(f"{caller}: got one text; give lists, with one member for each pair.")
    if len(first) != len(second) or not len(first):
        raise ArgumentError(
            f"{caller}: got {len(first)} and {len(second)}; give one for each, and one pair at "
            f"least."
        )


def cosines(
    caller: str, first: Sequence[Any], second: Sequence[Any], model: Any, batch: int
) -> tuple[Any, Any]:
    """Cosines [sample] and the encoder that made them."""
    which = open_encoder(model)
    pair = [features(which, each, batch=batch, caller=caller).numpy() for each in (first, second)]
    with np.errstate(invalid="ignore"):  # a vector of length 0 points nowhere: NaN, and counted
        return cosine_of_rows(*pair), which


def labelled_by(
    function: Callable[..., Any], values: Any, first: Sequence[Any], which: Any, **attrs: Any
) -> xr.DataArray:
    """A score over sample, with the names of its images and the encoder that gave it."""
    names = getattr(first, "names", None)
    coords = {} if names is None else {SAMPLE: list(names)}
    found = xr.DataArray(np.asarray(values), dims=(SAMPLE,), coords=coords)
    return labelled(found, function, **attrs, encoder=which.name, **which.recipe)
