"""What can be read from all weights, and how where nothing cheaper is known."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Rows = slice | Sequence[int]
ALL = slice(None)

Queries = Float[Tensor, "_ _ queries width"]
Keys = Float[Tensor, "_ _ keys width"]
PerKey = Float[Tensor, "_ _ keys columns"]
PerQuery = Float[Tensor, "_ _ queries columns"]
Scores = Float[Tensor, "batch head queries keys"]


@dataclass(frozen=True, eq=False)
class Weights(ABC):
    """Attention weights of one call; rows sum to 1, a row without any key left is all 0."""

    query: Queries
    key: Keys

    @abstractmethod
    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries, float32."""

    @abstractmethod
    def of(self, batch: Rows) -> "Weights":
        """The same for these rows of the batch only."""

    @abstractmethod
    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Weights":
        """The weights after adding ``bias`` to the scores."""

    @abstractmethod
    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Weights":
        """The weights after dividing the scores by ``factor``."""

    @abstractmethod
    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Log of the sum over keys of e^s, float32."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        batch, heads, queries, _ = self.query.shape
        return batch, heads, queries, self.key.shape[-2]

    def chunks(self, size: int) -> Iterator[tuple[slice, Tensor]]:
        """P in chunks of complete rows."""
        for start in range(0, self.shape[2], size):
            rows = slice(start, min(start + size, self.shape[2]))
            yield rows, self.probs(rows)

    def apply(self, values: PerKey) -> PerQuery:
        """P V."""
        probs = self.probs()
        return probs @ self.widened(values).to(probs.dtype)

    def columns(self, keys: list[int]) -> PerQuery:
        """P at these keys."""
        return self.probs()[..., keys]

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The transpose of P, times ``weights``."""
        probs = self.probs()
        return probs.mT @ weights.to(probs.dtype)

    def entropy(self) -> Float[Tensor, "batch head queries"]:
        """Shannon entropy of each row, in nats."""
        return torch.cat([torch.special.entr(p).sum(-1) for _, p in self.chunks(256)], -1)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """What the layer computes: P times its values, with dropout on P."""
        probs = functional.dropout(self.probs(), dropout).to(value.dtype)
        return probs @ self.widened(value)

    def widened(self, per_key: Tensor) -> Tensor:
        """Repeat grouped heads (GQA), to as many as query heads."""
        heads = per_key.shape[1]
        if heads in (1, self.query.shape[1]):
            return per_key
        return per_key.repeat_interleave(self.query.shape[1] // heads, 1)


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis; a row of nothing but -inf gives 0, as in fused kernels, not NaN.

    Example:
        >>> softmax(torch.tensor([[0.0, 0.0], [-torch.inf, -torch.inf]]))
        tensor([[0.5000, 0.5000],
                [0.0000, 0.0000]])
    """
    probs = scores.softmax(-1)
    return probs.masked_fill(scores.amax(-1, keepdim=True) == -torch.inf, 0.0)


def indices(rows: Rows, count: int) -> list[int]:
    """The numbers that a slice or a sequence stands for.

    Example:
        >>> indices(slice(1, None, 2), 4), indices([-1], 4)
        ([1, 3], [3])
    """
    return list(range(count)[rows]) if isinstance(rows, slice) else [row % count for row in rows]


def as_4d(tensor: Tensor) -> Tensor:
    """With leading axes of length 1, to four: batch, head, query or key, and columns.

    Example:
        >>> as_4d(torch.zeros(3, 2)).shape
        torch.Size([1, 1, 3, 2])
    """
    return tensor.reshape((1,) * (4 - tensor.ndim) + tensor.shape)
