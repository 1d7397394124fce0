"""Weights of rows that attend to keys of other rows of the batch too, beside their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.errors import UnsupportedEdit
from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights, indices
from regard.tap.weights.fused import Fused


@dataclass(frozen=True, eq=False)
class Lent:
    """Keys and values that a row attends to beside its own. Rows may share one.

    Attributes:
        key: As many heads as the layer's own keys have.
        value: Their values.
        seen: Which of them the row attends to; None for all.
        bias: What is added to the scores of all of them.
        image: Which of the images that lend each is of, by number; None if not known.
        patch: Which patch of that image.
    """

    key: Float[Tensor, "head lent width"]
    value: Float[Tensor, "head lent column"]
    seen: Bool[Tensor, " lent"] | None = None
    bias: float = 0.0
    image: Int[Tensor, " lent"] | None = None
    patch: Int[Tensor, " lent"] | None = None

    def __len__(self) -> int:
        return self.key.shape[-2]


@dataclass(frozen=True, eq=False)
class Extended(Weights):
    """Each row's own keys, and after them those that are lent to it.

    The keys of one row are laid side by side when they are needed and forgotten after, so that no
    more than one row's copies are there at a time. A row that is lent nothing has weights of 0
    there.

    Attributes:
        own: The weights on a row's own keys.
        lent: What each row is lent; None for nothing. All that are lent are as many.
    """

    own: Fused
    lent: tuple[Lent | None, ...]

    @property
    def number(self) -> int:
        """How many keys are lent."""
        return next((len(each) for each in self.lent if each is not None), 0)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, and a row's own and lent keys."""
        batch, heads, queries, keys = self.own.shape
        return batch, heads, queries, keys + self.number

    def probs(self, rows: Rows = ALL) -> Scores:
        """P for the given queries."""
        return self._each(lambda row: row.probs(rows))

    def of(self, batch: Rows) -> "Extended":
        """The same for these rows of the batch only."""
        own = self.own.of(batch)
        lent = tuple(self.lent[row] for row in indices(batch, len(self.lent)))
        return replace(self, query=own.query, key=own.key, own=own, lent=lent)

    def biased(self, bias: Float[Tensor, "_ _ _ _"]) -> Weights:
        """Refused: add to the scores of a row's own keys before others are lent."""
        raise _late()

    def tempered(self, factor: Float[Tensor, "_ 1 1 1"]) -> "Extended":
        """Divide the scores, of lent keys too."""
        own = self.own.tempered(factor)
        return replace(self, query=own.query, own=own)

    def logsumexp(self) -> Float[Tensor, "batch head queries"]:
        """From each row alone."""
        return self._each(lambda row: row.logsumexp())

    def apply(self, values: PerKey) -> PerQuery:
        """P V, for values of all keys, lent ones too."""
        return self._with(values, lambda row, own: row.apply(own))

    def columns(self, keys: list[int]) -> PerQuery:
        """P at these keys."""
        return self._each(lambda row: row.columns(keys))

    def column_sums(self, weights: PerQuery) -> PerKey:
        """The transpose of P, times ``weights``."""
        return self._with(weights, lambda row, own: row.column_sums(own))

    def entropy(self) -> Float[Tensor, "batch head queries"]:
        """Shannon entropy of each row, in nats."""
        return torch.cat([torch.special.entr(p).sum(-1) for _, p in self.chunks(256)], -1)

    def attend(self, value: PerKey, *, dropout: float) -> PerQuery:
        """The fused kernel of each row on the keys that it attends to.

        Args:
            value: Of a row's own keys; those of lent ones are with them.
            dropout: As for all weights.
        """
        outputs = []
        for place, lent in enumerate(self.lent):
            row, own = self.own.of([place]), value[place if len(value) > 1 else 0][None]
            if lent is not None:
                key, values, bias = _attended(row, lent)
                row = replace(row, key=torch.cat([row.key, key], -2), bias=bias)
                own = torch.cat([own, values], -2)
            outputs.append(row.attend(own, dropout=dropout))
        return torch.cat(outputs)

    def _rows(self) -> Iterator[Fused]:
        """Each row of the batch alone, on all keys: those that it does not attend to are masked."""
        for place, lent in enumerate(self.lent):
            row = self.own.of([place])
            if not self.number:
                yield row
                continue
            nothing = lent is None
            some = next(each for each in self.lent if each is not None) if lent is None else lent
            seen = torch.ones(len(some), dtype=torch.bool, device=row.key.device)
            seen = seen if some.seen is None else some.seen
            added = torch.full(seen.shape, some.bias, device=row.key.device)
            added = added.masked_fill(~seen | nothing, -torch.inf)
            key = torch.cat([row.key, some.key[None]], -2)
            yield replace(row, key=key, bias=_lengthened(row, added))

    def _each(self, read: Callable[[Fused], Tensor]) -> Tensor:
        return torch.cat([read(row) for row in self._rows()])

    def _with(self, given: Tensor, read: Callable[[Fused, Tensor], Tensor]) -> Tensor:
        rows = enumerate(self._rows())
        return torch.cat([read(row, given[at if len(given) > 1 else 0][None]) for at, row in rows])


def _attended(row: Fused, lent: Lent) -> tuple[Tensor, Tensor, Tensor | None]:
    """The lent keys and values that a row attends to, and the bias for these and its own."""
    key, value = lent.key[None], lent.value[None]
    if lent.seen is not None:
        key, value = key[..., lent.seen, :], value[..., lent.seen, :]
    if row.bias is None and not lent.bias:
        return key, value, None
    added = torch.full((key.shape[-2],), lent.bias, device=key.device)
    return key, value, _lengthened(row, added)


def _lengthened(row: Fused, added: Tensor) -> Tensor:
    """The bias of a row's own keys with that of lent ones after it."""
    dtype, own = row.query.dtype, row.additive_bias(ALL, row.query.dtype)
    keys = row.key.shape[-2]
    own = torch.zeros(1, 1, 1, keys, device=added.device) if own is None else own
    own = own.to(dtype).expand(*own.shape[:-1], keys)
    return torch.cat([own, added.to(dtype).expand(*own.shape[:-1], -1)], -1)


def extended(own: Weights, lent: tuple[Lent | None, ...]) -> Extended:
    """Weights of rows that are lent keys.

    Raises:
        UnsupportedEdit: they do not follow from queries and keys.
    """
    if not isinstance(own, Fused) or own.causal:
        raise UnsupportedEdit(
            "extend_kv: this layer uses eager (explicit) softmax attention or a causal mask, or an "
            "edit has replaced its map, so other keys cannot be lent to it. Load the model with "
            "fused attention (attn_implementation='sdpa', AttnProcessor2_0)."
        )
    return Extended(own.query, own.key, own, lent)


def _late() -> UnsupportedEdit:
    return UnsupportedEdit(
        "AttentionCall: keys of other images have been lent to this layer, and its scores cannot "
        "be added to any more. List edits that mask or scale keys before the one that lends."
    )
