"""Correlation of rows with one another: kernels over NumPy arrays or tensors."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from regard.stats.ranks import ranks_of_rows


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
