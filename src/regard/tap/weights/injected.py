"""Weights of one row of the batch, injected into others."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from regard.errors import UnsupportedEdit
from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights
from regard.tap.weights.explicit import Explicit
from regard.tap.weights.replaced import no_scores


@dataclass(frozen=True, eq=False)
class Injected(Weights):
    """Another row's weights mapped to these keys, plus a share of the row's own weights.

    With the source's weights S and the row's own Q, P = S mapper + Q diag(share). All that is
    linear in P is that of S and of Q, each by its own kernel. Rows sum to 1 only if mapper and
    share let them.

    Attributes:
        source: S, with as many rows of the batch as there are here.
        own: Q.
        mapper: [key of the source, key]: how much of the attention to the one the other gets.
        share: [key]: how much of the row's own attention is kept.
    """

    source: Weights
    own: Weights
    mapper: Float[Tensor, "keys keys"]
    share: Float[Tensor, " keys"]

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return self.source.probs(rows) @ self.mapper + self.own.probs(rows) * self.share

    def of(self, batch: Rows) -> "Injected":
        """The same for these rows of the batch only."""
        source, own = self.source.of(batch), self.own.of(batch)
        return replace(self, query=own.query, key=own.key, source=source, own=own)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Explicit":
        """Add to the logarithm of P, which serves as scores; rows then sum to 1."""
        return Explicit(self.query, self.key, self._scores() + bias)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Explicit":
        """Divide the logarithm of P, which serves as scores; rows then sum to 1."""
        return Explicit(self.query, self.key, self._scores() / factor)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Refused: there are no scores to sum."""
        no_scores()

    def apply(self, values: PerKey) -> PerQuery:
        """P V."""
        carried, kept = self._both(values)
        return self.source.apply(carried) + self.own.apply(kept)

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The transpose of P, times ``weights``."""
        carried = self.mapper.mT @ self.source.column_sums(weights).float()
        return carried + self.share[:, None] * self.own.column_sums(weights)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The kernels of both."""
        carried, kept = self._both(value)
        return self.source.attend(carried, dropout=dropout) + self.own.attend(kept, dropout=dropout)

    def _both(self, values: PerKey) -> tuple[Tensor, Tensor]:
        """The values that the source's weights meet, and those that the row's own meet."""
        return self.mapper.to(values.dtype) @ values, self.share.to(values.dtype)[:, None] * values

    def _scores(self) -> Scores:
        probs = self.probs()
        if bool((probs < 0).any()):
            raise UnsupportedEdit(
                "AttentionCall: injected weights that are below 0 have no scores. List edits that "
                "need scores before inject_from, or use factors of 0 or more."
            )
        return probs.log()
