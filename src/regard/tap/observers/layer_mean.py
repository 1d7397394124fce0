"""Means of a statistic by layer and head."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import NothingObserved
from regard.tap.call import AttentionCall
from regard.tap.weights import Fused  # noqa: F401  for the example


class LayerMean:
    """The mean of a statistic over images, queries and calls, for each head of each layer.

    Memory: one number a head.

    Args:
        read: Gets a call and the chosen rows of the batch; returns [batch, head, query].
        condition: Which rows of the batch: 'cond' or 'uncond'; all if left out.

    Example:
        >>> spread = LayerMean(lambda call, rows: call.entropy(batch=rows))
        >>> query = torch.zeros(1, 1, 2, 4)
        >>> spread(AttentionCall(Fused(query, query), query, layer="attn"))
        >>> spread.result()
        {'attn': tensor([1.])}
    """

    def __init__(
        self, read: Callable[[AttentionCall, slice], Tensor], *, condition: str | None = None
    ) -> None:
        self._read = read
        self._condition = condition
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Add one call."""
        rows = slice(None) if self._condition is None else call.rows_of(self._condition)
        if rows.start is not None and rows.start == rows.stop:
            return
        mean = self._read(call, rows).float().mean((0, 2)).cpu()
        self._sums[call.layer] = self._sums.get(call.layer, 0.0) + mean
        self._counts[call.layer] = self._counts.get(call.layer, 0) + 1

    def result(self) -> dict[str, Float[Tensor, " head"]]:
        """The mean for each layer, in running order, one number a head.

        Raises:
            NothingObserved: no call was read.
        """
        if not self._sums:
            raise NothingObserved(
                "LayerMean: no attention call was read. Did the model run in the block?"
            )
        return {layer: total / self._counts[layer] for layer, total in self._sums.items()}
