"""Verbs that mask or scale: keys, heads, scores. The fused kernel takes them as arguments."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from regard.errors import ArgumentError
from regard.tap.verbs.base import Editable
from regard.tap.weights import Rows


class ScalingVerbs(Editable):
    """Mask and scale what there is."""

    def mask_keys(self, keys: Sequence[int], *, batch: Rows | None = None) -> None:
        """Mask keys; the other weights of a row grow so that it still sums to 1.

        Args:
            keys: Indices on the key axis.
            batch: Which rows of the batch; by default all, or those of the condition that the edit
                was selected for. The same holds for every verb.

        Raises:
            ArgumentError: an index is no key.
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        self._bias_keys(self._checked(keys, "mask_keys"), -torch.inf, batch)

    def scale_keys(
        self,
        keys: Sequence[int],
        factor: float,
        *,
        renormalise: bool = False,
        batch: Rows | None = None,
    ) -> None:
        """Multiply the attention paid to some keys.

        Args:
            keys: Indices on the key axis.
            factor: 1.0 changes nothing.
            renormalise: Whether rows must sum to 1 again. If not, it is the keys' values that are
                multiplied, which comes to the same output; ``probs`` then stays as it was.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: an index is no key, the factor is not finite or past what the model's
                numbers hold, or it is negative and rows are to sum to 1.
            UnsupportedEdit: the call is over, or an edit has replaced the map.

        Source:
            Hertz et al. (2022), "Prompt-to-Prompt Image Editing with Cross Attention Control",
            section 3.3 (attention re-weighting, not renormalised).
        """
        keys = self._checked(keys, "scale_keys")
        if not math.isfinite(factor):
            raise ArgumentError(f"scale_keys: factor is {factor} and must be a finite number.")
        if renormalise:
            if factor < 0:
                raise ArgumentError(
                    f"scale_keys: factor is {factor} and must be >= 0 with renormalise=True."
                )
            self._bias_keys(keys, math.log(factor) if factor else -math.inf, batch)
            return
        _check_holds("scale_keys", factor, self.value.dtype)
        self._start("scale_keys")
        self.value = self.value.clone()
        for row in self._slices(batch):
            for key in keys:
                self.value[row, ..., key, :].mul_(factor)

    def temperature(self, factor: float, *, batch: Rows | None = None) -> None:
        """Divide the scores: above 1 attention spreads, below 1 it sharpens.

        Args:
            factor: 1.0 changes nothing. In layers that compute their softmax explicitly a mask or
                position bias is divided too, as it cannot be separated from q·k.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: the factor is not positive and finite.
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        if not 0 < factor < math.inf:
            raise ArgumentError(
                f"temperature: factor is {factor} and must be > 0 and finite. 1.0 changes nothing."
            )
        self._start("temperature")
        factors = self._neutral((1, 1, 1), 1.0, batch)
        for row in self._slices(batch):
            factors[row] = factor
        self.weights = self.weights.tempered(factors)

    def scale_heads(self, factors: Mapping[int, float], *, batch: Rows | None = None) -> None:
        """Multiply the output of heads, before the output projection: 0.0 silences a head.

        Args:
            factors: What to multiply each head by; heads left out stay as they are.
            batch: As for ``mask_keys``.

        Raises:
            ArgumentError: there is no such head, or a factor is past what the model's numbers hold.
            UnsupportedEdit: the call is over.
        """
        wrong = [head for head in factors if not 0 <= head < self.shape[1]]
        if wrong:
            raise ArgumentError(
                f"scale_heads: {self.layer} has heads 0..{self.shape[1] - 1}, not {wrong[0]}."
            )
        self._start("scale_heads")
        for factor in factors.values():
            _check_holds("scale_heads", factor, self.value.dtype)
        per_head = [factors.get(head, 1.0) for head in range(self.shape[1])]
        scale = torch.tensor(per_head, dtype=torch.float32, device=self.query.device)
        scale = self._spread(scale[:, None, None], 1.0, batch)
        self.head_factors = scale if self.head_factors is None else self.head_factors * scale

    def add_bias(self, bias: Tensor, *, batch: Rows | None = None) -> None:
        """Add to the scores before the softmax.

        Args:
            bias: Broadcasts to [batch, head, query, key]; -inf masks a key for a query.
            batch: As for ``mask_keys``.

        Raises:
            UnsupportedEdit: the call is over, or an edit has replaced the map.
        """
        self._start("add_bias")
        self.weights = self.weights.biased(self._spread(bias, 0.0, batch))

    def _bias_keys(self, keys: list[int], amount: float, batch: Rows | None) -> None:
        self._start("add_bias")
        bias = self._neutral((1, 1, self.shape[-1]), 0.0, batch)
        columns = torch.tensor(keys, dtype=torch.long, device=bias.device)
        for row in self._slices(batch):
            bias[row].index_fill_(-1, columns, amount)
        self.weights = self.weights.biased(bias)


def _check_holds(verb: str, factor: float, dtype: torch.dtype) -> None:
    """Refuse a factor that would be infinite in the model's numbers."""
    most = torch.finfo(dtype).max
    if abs(factor) > most:
        raise ArgumentError(
            f"{verb}: the factor is {factor:g}, and {str(dtype).removeprefix('torch.')} holds "
            f"numbers up to {most:g}. Use a smaller one, or a model with larger numbers."
        )
