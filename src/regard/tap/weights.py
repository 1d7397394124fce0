"""Attention weights, known in one of several ways, and what can be read from each.

P are the weights, s = scale * q·k + bias the scores; a row of P is the softmax of a row of s:

* ``Fused``: P follows from queries and keys. What is linear in P costs one call of the model's own
  fused kernel: P V with other values V, and the transpose of P as its gradient. No array of size
  queries x keys is made, unless ``probs`` is asked for.
* ``Scored``: the model computed s itself, and P is its softmax.
* ``Replaced``: an edit put another P in its place.
* ``Identity``: an edit made each query attend to itself alone.
* ``Borrowed``: an edit brought another image's weights, and left a share of its own.
* ``Mixed``: some rows of the batch are known in one way, the others in another.
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


@dataclass(frozen=True, eq=False)
class Identity(Weights):
    """Each query attends to the key of its own place, and to no other; no map is made of it."""

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        batch, heads, queries, keys = self.shape
        one = torch.eye(queries, keys, device=self.query.device)[rows]
        return one.expand(batch, heads, *one.shape)

    def of(self, batch: Rows) -> "Identity":
        """The same for these rows of the batch only."""
        return Identity(self.query[batch], self.key[batch])

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Identity":
        """Refused: there are no scores to add to."""
        raise UnsupportedEdit(_NO_SCORES)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Identity":
        """Refused: there are no scores to divide."""
        raise UnsupportedEdit(_NO_SCORES)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Refused: there are no scores to sum."""
        raise UnsupportedEdit(_NO_SCORES)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The values themselves."""
        batch, heads, queries, _ = self.shape
        kept = self.widened(value).expand(batch, heads, queries, value.shape[-1])
        return functional.dropout(kept, dropout) if dropout else kept


@dataclass(frozen=True, eq=False)
class Borrowed(Weights):
    """Another image's weights carried over to these keys, and shares of one's own beside them.

    With the lender's weights L and one's own Q, P = L mapper + Q diag(share). All that is linear in
    P is that of L and of Q, each by its own kernel. Rows sum to 1 only if mapper and share let
    them.

    Attributes:
        lender: L, with as many rows of the batch as there are here.
        own: Q.
        mapper: [key of the lender, key]: how much of the attention to the one the other gets.
        share: [key]: what counts of one's own attention.
    """

    lender: Weights
    own: Weights
    mapper: Float[Tensor, "keys keys"]
    share: Float[Tensor, " keys"]

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return self.lender.probs(rows) @ self.mapper + self.own.probs(rows) * self.share

    def of(self, batch: Rows) -> "Borrowed":
        """The same for these rows of the batch only."""
        lender, own = self.lender.of(batch), self.own.of(batch)
        return replace(self, query=own.query, key=own.key, lender=lender, own=own)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Scored":
        """Add to the logarithm of P, which serves as scores; rows then sum to 1."""
        return Scored(self.query, self.key, self._scores() + bias)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Scored":
        """Divide the logarithm of P, which serves as scores; rows then sum to 1."""
        return Scored(self.query, self.key, self._scores() / factor)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """Refused: there are no scores to sum."""
        raise UnsupportedEdit(_NO_SCORES)

    def apply(self, values: PerKey) -> PerQuery:
        """P V."""
        carried, kept = self._both(values)
        return self.lender.apply(carried) + self.own.apply(kept)

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The transpose of P, times ``weights``."""
        carried = self.mapper.mT @ self.lender.column_sums(weights).float()
        return carried + self.share[:, None] * self.own.column_sums(weights)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The kernels of both."""
        carried, kept = self._both(value)
        return self.lender.attend(carried, dropout=dropout) + self.own.attend(kept, dropout=dropout)

    def _both(self, values: PerKey) -> tuple[Tensor, Tensor]:
        """What the lender's weights meet of these values, and what one's own meet."""
        return self.mapper.to(values.dtype) @ values, self.share.to(values.dtype)[:, None] * values

    def _scores(self) -> Scores:
        probs = self.probs()
        if bool((probs < 0).any()):
            raise UnsupportedEdit(
                "AttentionCall: borrowed weights that are below 0 have no scores. List edits that "
                "need scores before borrow, or use factors of 0 or more."
            )
        return probs.log()


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
        return mixed(self.base.of(batch), self.other.of(there), rows)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> "Mixed":
        """Add to the scores of each kind; to those that have none, only nothing can be added."""
        own = self._own(bias)
        other = self.other.biased(own) if bool((own != 0).any()) else self.other
        return replace(self, base=self.base.biased(bias), other=other)

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Mixed":
        """Divide the scores of each kind; those that there are not, only by 1."""
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


def mixed(base: Weights, other: Weights, rows: tuple[int, ...]) -> Mixed:
    """``other`` in some rows of the batch, ``base`` in the rest."""
    return Mixed(base.query, base.key, base, other, rows)


def indices(rows: Rows, count: int) -> list[int]:
    """The numbers that a slice or a sequence stands for.

    Example:
        >>> indices(slice(1, None, 2), 4), indices([-1], 4)
        ([1, 3], [3])
    """
    return list(range(count)[rows]) if isinstance(rows, slice) else [row % count for row in rows]


_NO_SCORES = (
    "AttentionCall: an edit has replaced this map, so that it has no scores any more. "
    "List edits and reads that need scores before map_probs and identity."
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
