"""Weights that an edit has put in place of the model's; there are no scores behind them."""

from dataclasses import dataclass
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.errors import UnsupportedEdit
from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights


def no_scores() -> NoReturn:
    """Refuse what needs scores.

    Raises:
        UnsupportedEdit: always.
    """
    raise UnsupportedEdit(
        "AttentionCall: an edit has replaced this map, so that it has no scores any more. "
        "List edits and reads that need scores before map_probs and identity."
    )


class NoScores(Weights):
    """Weights without scores: nothing can be added to them, divided or summed."""

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "NoScores":
        """Refused: there are no scores to add to."""
        no_scores()

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "NoScores":
        """Refused: there are no scores to divide."""
        no_scores()

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Refused: there are no scores to sum."""
        no_scores()


@dataclass(frozen=True, eq=False)
class Replaced(NoScores):
    """Weights that an edit gives.

    Attributes:
        map: The new P.
    """

    map: Scores

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return self.map[..., rows, :]

    def of(self, batch: Rows) -> "Replaced":
        """The same for these rows of the batch only."""
        return Replaced(self.query[batch], self.key[batch], self.map[batch])


@dataclass(frozen=True, eq=False)
class Identity(NoScores):
    """Each query attends to the key of the same index alone; no map is made."""

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        batch, heads, queries, keys = self.shape
        one = torch.eye(queries, keys, device=self.query.device)[rows]
        return one.expand(batch, heads, *one.shape)

    def of(self, batch: Rows) -> "Identity":
        """The same for these rows of the batch only."""
        return Identity(self.query[batch], self.key[batch])

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The values themselves."""
        batch, heads, queries, _ = self.shape
        kept = self.widened(value).expand(batch, heads, queries, value.shape[-1])
        return functional.dropout(kept, dropout) if dropout else kept
