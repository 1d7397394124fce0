"""Attention weights, known in one of three ways, and what can be read from each.

P are the weights, s = scale * q·k + bias the scores; a row of P is the softmax of a row of s:

* ``Fused``: P follows from queries and keys. What is linear in P costs one call of the model's own
  fused kernel: P V with other values V, and the transpose of P as its gradient. No array of size
  queries x keys is made, unless ``probs`` is asked for.
* ``Scored``: the model computed s itself, and P is its softmax.
* ``Replaced``: an edit put another P in its place.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from regard.errors import UnsupportedEdit

Rows = slice | Sequence[int]
ALL = slice(None)

Queries = Float[Tensor, "_ _ queries width"]
Keys = Float[Tensor, "_ _ keys width"]
Bias = Float[Tensor, "_ _ _ _"] | Bool[Tensor, "_ _ _ _"]
PerKey = Float[Tensor, "_ _ keys columns"]
PerQuery = Float[Tensor, "_ _ queries columns"]
Scores = Float[Tensor, "batch head queries keys"]

sdpa = functional.scaled_dot_product_attention

# One fused pass with one-hot values costs as much as a dense map of about 64 keys (measured on one
# thread, 256..1024 queries, 4..8 heads): fewer keys than that are read densely.
KEYS_PER_PASS = 64


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
        """Repeat grouped heads (GQA), so that there are as many as query heads."""
        heads = per_key.shape[1]
        if heads in (1, self.query.shape[1]):
            return per_key
        return per_key.repeat_interleave(self.query.shape[1] // heads, 1)


@dataclass(frozen=True, eq=False)
class Fused(Weights):
    """Weights that the model's fused kernel makes from queries and keys, and never shows.

    Attributes:
        bias: Added to the scores, or, if boolean, True where a key may be attended.
        scale: Factor of q·k.
        causal: Whether query i sees keys 0..i only.
    """

    bias: Bias | None = None
    scale: float = 1.0
    causal: bool = False

    def scores(self, rows: Rows = ALL) -> Scores:
        """Scores s of the given queries."""
        # float32: fused kernels add up in float32, so a half-precision product would be less exact
        # than the model that we are looking at.
        query = self.query[..., rows, :].float() * self.scale
        scores = query @ self.widened(self.key).float().mT
        bias = self.additive_bias(rows, torch.float32)
        return scores if bias is None else scores + bias

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        scores = self.scores(rows)
        masked = self.bias is not None or self.causal
        return softmax(scores) if masked else scores.softmax(-1)

    def of(self, batch: Rows) -> "Fused":
        """The same for these rows of the batch only."""
        bias = self.bias if self.bias is None or self.bias.shape[0] == 1 else self.bias[batch]
        return replace(self, query=self.query[batch], key=self.key[batch], bias=bias)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Fused":
        """Add to the scores; the fused kernel takes it as its mask."""
        bias = bias.to(self.query.dtype)
        present = self.additive_bias(ALL, self.query.dtype)
        return replace(self, bias=bias if present is None else present + bias, causal=False)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Fused":
        """Divide scale * q·k, but not the bias: a masked key stays masked."""
        if len(factor) == 1:
            return replace(self, scale=self.scale / factor.item())
        return replace(self, query=self.query / factor.to(self.query.dtype))

    def apply(self, values: PerKey) -> PerQuery:
        """P V by the fused kernel, as many columns at a time as a head is wide."""
        batch, heads, _, keys = self.shape
        width = self.query.shape[-1]
        wide = (batch, heads, keys, width)
        parts = []
        for part in self.widened(values).to(self.query.dtype).split(width, -1):
            # Padded to the head width: with any other, kernels fall back to a dense map.
            padded = functional.pad(part, (0, width - part.shape[-1])).expand(wide)
            parts.append(self.attend(padded, dropout=0.0)[..., : part.shape[-1]])
        return torch.cat(parts, -1)

    def columns(self, keys: list[int]) -> PerQuery:
        """P at these keys: dense where keys are few, else P times one-hot values."""
        passes = -(-len(keys) // self.query.shape[-1])
        count = self.key.shape[-2]
        if count <= KEYS_PER_PASS * passes:
            return self.probs()[..., keys]
        one_hot = torch.zeros(1, 1, count, len(keys), device=self.query.device)
        one_hot[..., keys, range(len(keys))] = 1.0
        return self.apply(one_hot)

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The gradient of P V with respect to V is the transpose of P: one backward pass."""
        batch, heads, queries, keys = self.shape
        width = self.query.shape[-1]
        fixed = replace(self, query=self.query.detach(), key=self.key.detach())
        sums = []
        for part in weights.to(self.query.dtype).split(width, -1):
            with torch.enable_grad():
                values = self.query.new_zeros(batch, heads, keys, width, requires_grad=True)
                output = fixed.attend(values, dropout=0.0)
                padded = functional.pad(part, (0, width - part.shape[-1])).expand(
                    batch, heads, queries, width
                )
                sums.append(torch.autograd.grad(output, values, padded)[0][..., : part.shape[-1]])
        return torch.cat(sums, -1)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """From the flash kernel where there is one, else from chunks of rows."""
        flash = self._flash()
        if flash is not None:
            return flash[1]
        chunks = range(0, self.shape[2], 256)
        return torch.cat([self.scores(slice(i, i + 256)).logsumexp(-1) for i in chunks], -1)

    def entropy(self) -> Float[Tensor, "batch head queries"]:
        """H = lse - sum_j p_j s_j, where the sum is scale * q·(P K): values := keys."""
        flash = self._flash()
        if flash is None:
            return super().entropy()
        mean_key, lse = flash
        return lse - self.scale * (self.query.float() * mean_key).sum(-1)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The fused kernel itself."""
        return sdpa(
            self.query,
            self.widened(self.key),
            self.widened(value),
            self.bias,
            dropout,
            self.causal,
            scale=self.scale,
        )

    def additive_bias(self, rows: Rows, dtype: torch.dtype) -> Tensor | None:
        """Bias and causal mask of these queries as one tensor to add, None if there is neither."""
        bias = self.bias
        if bias is not None:
            bias = bias if bias.shape[-2] == 1 else bias[..., rows, :]
            bias = _forbid(~bias, dtype) if bias.dtype == torch.bool else bias.to(dtype)
        if not self.causal:
            return bias
        _, _, queries, keys = self.shape
        seen = torch.ones(queries, keys, dtype=torch.bool, device=self.query.device).tril_()
        later = _forbid(~seen[rows], dtype)[None, None]
        return later if bias is None else bias + later

    def _flash(self) -> tuple[Tensor, Tensor] | None:
        """P K and log-sum-exp in one pass, where torch has a kernel that tells (a private name)."""
        kernel = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
        tracked = torch.is_grad_enabled() and (self.query.requires_grad or self.key.requires_grad)
        # The kernel's log-sum-exp has no gradient, so a loss made of it would be silently wrong.
        if kernel is None or tracked or self.query.device.type != "cpu" or self.bias is not None:
            return None
        key = self.widened(self.key).float()
        mean_key, lse = kernel(self.query.float(), key, key, 0.0, self.causal, scale=self.scale)
        return mean_key, lse


@dataclass(frozen=True, eq=False)
class Scored(Weights):
    """Weights of a layer that computes its scores in the open.

    Attributes:
        scores: What the model took the softmax of; scale, masks and soft caps are in it.
    """

    scores: Scores

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return softmax(self.scores[..., rows, :].float())

    def of(self, batch: Rows) -> "Scored":
        """The same for these rows of the batch only."""
        return Scored(self.query[batch], self.key[batch], self.scores[batch])

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Scored":
        """Add to the scores."""
        return replace(self, scores=self.scores + bias.to(self.scores.dtype))

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Scored":
        """Divide the scores."""
        return replace(self, scores=self.scores / factor.to(self.scores.dtype))

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Of the model's own scores."""
        return self.scores.float().logsumexp(-1)


@dataclass(frozen=True, eq=False)
class Replaced(Weights):
    """Weights that an edit has put in place; there are no scores behind them.

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

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Replaced":
        """Refused: there are no scores to add to."""
        raise UnsupportedEdit(_NO_SCORES)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Replaced":
        """Refused: there are no scores to divide."""
        raise UnsupportedEdit(_NO_SCORES)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Refused: there are no scores to sum."""
        raise UnsupportedEdit(_NO_SCORES)


_NO_SCORES = (
    "AttentionCall: map_probs has replaced this map, so that it has no scores any more. "
    "List edits and reads that need scores before map_probs."
)


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis; a row of nothing but -inf gives 0, as in fused kernels, not NaN.

    Example:
        >>> softmax(torch.tensor([[0.0, 0.0], [-torch.inf, -torch.inf]]))
        tensor([[0.5000, 0.5000],
                [0.0000, 0.0000]])
    """
    probs = scores.softmax(-1)
    return probs.masked_fill(scores.amax(-1, keepdim=True) == -torch.inf, 0.0)


def _forbid(forbidden: Tensor, dtype: torch.dtype) -> Tensor:
    zeros = torch.zeros(forbidden.shape, dtype=dtype, device=forbidden.device)
    return zeros.masked_fill_(forbidden, -torch.inf)
