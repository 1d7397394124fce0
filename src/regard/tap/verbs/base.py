"""What every verb needs: the call is still open to edits, and only chosen rows change."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import ArgumentError, UnsupportedEdit
from regard.tap.layout import TokenLayout
from regard.tap.weights import ALL, PerKey, PerQuery, Rows, Weights, as_4d, indices, with_rows


class Editable:
    """The state of an `AttentionCall` that verbs change; see there for what each attribute is."""

    weights: Weights
    value: PerKey
    layer: str
    layout: TokenLayout | None
    output: PerQuery | None
    head_factors: Float[Tensor, "_ head 1 1"] | None
    output_changes: tuple[Callable[[Tensor], Tensor], ...]
    edited: bool
    selected: slice

    @property
    def query(self) -> Tensor:
        """Queries, [batch, head, query, width]."""
        return self.weights.query

    @property
    def key(self) -> Tensor:
        """Keys, [batch, head, key, width]; grouped heads (GQA) are not repeated."""
        return self.weights.key

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        return self.weights.shape

    def _start(self, verb: str) -> None:
        if self.output is not None:
            raise UnsupportedEdit(
                f"{verb}: {self.layer} has been evaluated already. Pass the function to "
                f"Tap(edit=[...]), not observe=[...]."
            )
        self.edited = True

    def _checked(self, keys: Sequence[int], verb: str) -> list[int]:
        count = self.shape[-1]
        wrong = [key for key in keys if not 0 <= key < count]
        if wrong:
            raise ArgumentError(f"{verb}: {self.layer} has keys 0..{count - 1}, not {wrong[0]}.")
        return list(keys)

    def _rows(self, batch: Rows | None) -> Rows:
        return self.selected if batch is None else batch

    def _slices(self, batch: Rows | None) -> list[slice]:
        """The same rows of the batch, in slices."""
        rows = self._rows(batch)
        return [rows] if isinstance(rows, slice) else [slice(row, row + 1 or None) for row in rows]

    def _neutral(self, shape: tuple[int, ...], value: float, batch: Rows | None) -> Tensor:
        """One value in all rows of the batch; a single row if all are chosen."""
        count = 1 if self._rows(batch) == ALL else self.shape[0]
        return torch.full((count, *shape), value, device=self.query.device)

    def _spread(self, tensor: Tensor, neutral: float, batch: Rows | None) -> Tensor:
        """The tensor in the chosen rows of the batch, ``neutral`` in the others."""
        tensor, rows = as_4d(tensor), self._rows(batch)
        if rows == ALL:
            return tensor
        spread = tensor.new_full((self.shape[0], *tensor.shape[1:]), neutral)
        spread[rows] = tensor
        return spread

    def _of(self, batch: Rows) -> Weights:
        return self.weights if batch == ALL else self.weights.of(batch)

    def _put(self, weights: Weights, rows: Rows) -> None:
        """Take other weights for these rows of the batch."""
        chosen = tuple(indices(rows, self.shape[0]))
        if len(chosen) == self.shape[0]:
            self.weights = weights
        elif chosen:
            self.weights = with_rows(self.weights, weights, chosen)
