"""Weights of the fused kernel, which are never shown: what is linear in them is one call of it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights, softmax

Bias = Float[Tensor, "_ _ _ _"] | Bool[Tensor, "_ _ _ _"]

sdpa = functional.scaled_dot_product_attention

# One fused pass with one-hot values costs as much as a dense map of about 64 keys (measured on one
# thread, 256..1024 queries, 4..8 heads): fewer keys than that are read densely.
KEYS_PER_PASS = 64


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
        """P K and log-sum-exp in one pass, where torch has a kernel for both (a private name)."""
        kernel = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
        tracked = torch.is_grad_enabled() and (self.query.requires_grad or self.key.requires_grad)
        # The kernel's log-sum-exp has no gradient, so a loss made of it would be silently wrong.
        if kernel is None or tracked or self.query.device.type != "cpu" or self.bias is not None:
            return None
        key = self.widened(self.key).float()
        mean_key, lse = kernel(self.query.float(), key, key, 0.0, self.causal, scale=self.scale)
        return mean_key, lse


def _forbid(forbidden: Tensor, dtype: torch.dtype) -> Tensor:
    zeros = torch.zeros(forbidden.shape, dtype=dtype, device=forbidden.device)
    return zeros.masked_fill_(forbidden, -torch.inf)
