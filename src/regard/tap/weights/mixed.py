"""Weights of a batch whose rows differ in how their weights are known."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights, indices


@dataclass(frozen=True, eq=False)
class Mixed(Weights):
    """Weights that differ in kind from one row of the batch to another.

    Attributes:
        base: Of all rows.
        other: Of the rows that are different, in their order.
        rows: Which these are.
    """

    base: Weights
    other: Weights
    rows: tuple[int, ...]

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return self._mixed(self.base.probs(rows), self.other.probs(rows))

    def of(self, batch: Rows) -> Weights:
        """The same for these rows of the batch only."""
        chosen = indices(batch, self.shape[0])
        there = [self.rows.index(row) for row in chosen if row in self.rows]
        if len(there) in (0, len(chosen)):
            return self.other.of(there) if there else self.base.of(batch)
        rows = tuple(at for at, row in enumerate(chosen) if row in self.rows)
        return with_rows(self.base.of(batch), self.other.of(there), rows)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Mixed":
        """Add to the scores of each kind; to those that have none, only nothing can be added."""
        own = self._own(bias)
        other = self.other.biased(own) if bool((own != 0).any()) else self.other
        return replace(self, base=self.base.biased(bias), other=other)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Mixed":
        """Divide the scores of each kind; a kind without scores only by 1."""
        own = self._own(factor)
        other = self.other.tempered(own) if bool((own != 1).any()) else self.other
        return replace(self, base=self.base.tempered(factor), other=other)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Of each kind; refused if one has no scores."""
        return self._mixed(self.base.logsumexp(), self.other.logsumexp())

    def apply(self, values: PerKey) -> PerQuery:
        """P V."""
        return self._mixed(self.base.apply(values), self.other.apply(self._own(values)))

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The transpose of P, times ``weights``."""
        own = self.other.column_sums(self._own(weights))
        return self._mixed(self.base.column_sums(weights), own)

    def entropy(self) -> Float[Tensor, "batch head queries"]:
        """Shannon entropy of each row, in nats."""
        return self._mixed(self.base.entropy(), self.other.entropy())

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The base's kernel on all rows, and the other's on its own."""
        base = self.base.attend(value, dropout=dropout)
        return self._mixed(base, self.other.attend(self._own(value), dropout=dropout))

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor if len(tensor) == 1 else tensor[list(self.rows)]

    def _mixed(self, base: Tensor, other: Tensor) -> Tensor:
        mixed = base.clone()
        mixed[list(self.rows)] = other.to(base.dtype)
        return mixed


def with_rows(base: Weights, other: Weights, rows: tuple[int, ...]) -> Mixed:
    """``other`` in some rows of the batch, ``base`` in the rest."""
    return Mixed(base.query, base.key, base, other, rows)
