"""Weights of eager attention: the model computes scores and softmax itself."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from regard.tap.weights.base import ALL, Rows, Scores, Weights, softmax


@dataclass(frozen=True, eq=False)
class Explicit(Weights):
    """Weights of a layer that computes its softmax explicitly.

    Attributes:
        scores: What the model took the softmax of; scale, masks and soft caps are in it.
    """

    scores: Scores

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return softmax(self.scores[..., rows, :].float())

    def of(self, batch: Rows) -> "Explicit":
        """The same for these rows of the batch only."""
        return Explicit(self.query[batch], self.key[batch], self.scores[batch])

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Explicit":
        """Add to the scores."""
        return replace(self, scores=self.scores + bias.to(self.scores.dtype))

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Explicit":
        """Divide the scores."""
        return replace(self, scores=self.scores / factor.to(self.scores.dtype))

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Of the model's own scores."""
        return self.scores.float().logsumexp(-1)
