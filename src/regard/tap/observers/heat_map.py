"""Attention to text tokens, as maps over the image."""

from collections.abc import Sequence

import torch

from regard.arguments import indices, shown
from regard.axes import HEAD
from regard.errors import ArgumentError
from regard.tap.call import AttentionCall
from regard.tap.observers.text_maps import KEEPABLE, Columns, TextMaps
from regard.tap.segment import Segment


class HeatMap(TextMaps):
    """For each text token, how much each image token attends to it.

    Each generation starts afresh: ``result`` describes the last one. Memory: 4 bytes x samples x
    tokens x image tokens, times steps, layers and heads as far as they are kept.

    Args:
        tokens: Indices into the text, as the text encoder counts its tokens.
        keep: Which of "step", "layer" and "head" to keep; the others are averaged while running.
        condition: Which rows of the batch: 'cond' or 'uncond'.
        rest: More tokens, such as the padding; the sum of their maps comes after the others.
        sample: Which image of the batch; None keeps all.

    Raises:
        ArgumentError: no tokens, a negative one, or an axis that cannot be kept.

    Example:
        >>> heat = HeatMap([1, 2], keep=("layer",))
        >>> heat
        HeatMap(tokens=[1, 2], keep=('layer',), condition='cond')

    Source:
        Tang et al. (2023), "What the DAAM: Interpreting Stable Diffusion Using Cross Attention",
        section 2.2. Differs from the paper: maps are the model's own weights on its own grids;
        nothing is upscaled, unless layers of different grids are averaged.
    """

    _name = "HeatMap"

    def __init__(
        self,
        tokens: Sequence[int],
        *,
        keep: Sequence[str] = KEEPABLE,
        condition: str = "cond",
        rest: Sequence[int] = (),
        sample: int | None = None,
    ) -> None:
        more = indices(rest, "rest", "HeatMap")
        if not isinstance(more, list):
            raise ArgumentError(f"HeatMap: rest is {shown(rest)} and must be indices, or empty.")
        self.rest = more
        super().__init__(tokens, self.rest, keep, condition, sample)

    def __repr__(self) -> str:
        return f"HeatMap(tokens={self.tokens}, keep={self.keep}, condition={self.condition!r})"

    def _columns(self, call: AttentionCall, rows: slice, image: Segment, text: Segment) -> Columns:
        columns = call.columns([text.start + token for token in self.tokens], batch=rows)
        if self.rest:
            inside = torch.zeros(call.shape[-1], 1, device=call.query.device)
            inside[[text.start + token for token in self.rest]] = 1.0
            columns = torch.cat([columns, call.apply(inside, batch=rows)], -1)
        columns = columns[..., image.slice, :]
        return columns if HEAD in self.keep else columns.float().mean(1, keepdim=True)
