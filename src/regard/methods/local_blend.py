"""Keep an edit in the image regions that attend to its words, and the source elsewhere."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.tap import AttentionCall
from regard.tap.segment import Grid

FINEST = 256
"""Image tokens of the finest grid that is read: 16 x 16, where maps localise best."""

THRESHOLD = 0.3
"""Share of a map's maximum from which a region counts as attending; of the authors' code."""


class LocalBlend:
    """Latents of edits that are their own in regions that attend to some words, else the source's.

    Maps are summed over the steps so far, over the words' tokens, and over the heads and layers of
    the finest grid of at most `FINEST` tokens; the coarsest where all are finer. In the batch the
    source is the last image. Memory: 4 bytes x images x image tokens of each grid.

    Args:
        source: The tokens that count in the source's prompt.
        edit: Those in the edits' prompt.

    Source:
        Hertz et al. (2022), arXiv 2208.01626, section 4 (localised editing); the numbers are those
        of the authors' code.
    """

    def __init__(self, source: list[int], edit: list[int]) -> None:
        self.source, self.edit = source, edit
        self._sums: dict[Grid, Float[Tensor, "image y x"]] = {}
        self._grid: Grid | None = None

    def see(self, call: AttentionCall) -> None:
        """An observer of attention to text: add its maps to those of the steps before."""
        layout = call.known_layout("prompt_to_prompt")
        image, text = layout.queries_of("image"), layout.keys_of("text")
        if image.grid is None or self._grid not in (None, image.grid):
            return
        keys = [text.start + token for token in (*self.edit, *self.source)]
        columns = call.columns(keys, batch=call.rows_of("cond")).float().sum(1)
        count = len(self.edit)
        both = [columns[:-1, :, :count].sum(-1), columns[-1:, :, count:].sum(-1)]
        maps = torch.cat(both).unflatten(-1, image.grid)
        self._sums[image.grid] = self._sums.get(image.grid, 0) + maps

    def blended(self, step: int, latents: Tensor) -> Tensor:
        """The latents that a step ended with, the edits' mixed with the source's."""
        if self._grid is None:
            self._grid = chosen(list(self._sums))
        inside = mask(self._sums[self._grid], (latents.shape[-2], latents.shape[-1]))
        return torch.where(inside[:, None], latents, latents[-1:])


def chosen(grids: list[Grid]) -> Grid:
    """The finest grid of at most `FINEST` tokens, or the coarsest where all are finer.

    Example:
        >>> chosen([(64, 64), (16, 16), (8, 8)]), chosen([(64, 64), (32, 32)])
        ((16, 16), (32, 32))
    """
    few = [grid for grid in grids if math.prod(grid) <= FINEST]
    return max(few, key=math.prod) if few else min(grids, key=math.prod)


def mask(maps: Float[Tensor, "image y x"], size: Grid) -> Tensor:
    """Where each image, or the last of them, attends to the words: bool [image, y, x].

    Args:
        maps: Summed attention; the source's is the last.
        size: Rows and columns of the latents.

    Example:
        >>> maps = torch.zeros(2, 4, 4)
        >>> maps[0, 0, 0] = 1.0
        >>> mask(maps, (4, 4))[0].int()
        tensor([[1, 1, 0, 0],
                [1, 1, 0, 0],
                [0, 0, 0, 0],
                [0, 0, 0, 0]], dtype=torch.int32)
    """
    wide = functional.max_pool2d(maps[:, None], 3, stride=1, padding=1)
    fitted = functional.interpolate(wide, size, mode="nearest")[:, 0]
    inside = fitted > THRESHOLD * fitted.amax((1, 2), keepdim=True)
    return inside | inside[-1:]
