"""Maps of tokens from forward passes beside the generation, as guides need them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.arguments import listed, shown, whole_or_none
from regard.errors import ArgumentError
from regard.methods.guide import Moment
from regard.tap import TO_TEXT, AttentionCall, Observer

Size = int | Sequence[int] | None
"""Rows and columns, or one number for both; None to choose."""

USUAL_SIDE = 16


class _Enough(Exception):
    """Ends a forward pass of the denoiser when all maps are there."""


class WordMaps:
    """Attention to tokens, mean over heads and over the layers of one grid; differentiable.

    The forward pass ends at the last of these layers: what comes after changes no map.

    Args:
        tokens: Indices into the text.
        grid: Rows and columns of the layers to read, or one number for both; None for the smallest
            grid with sides of 16 or more, or the finest one.
        stages: UNet stages of these layers, such as ``("down",)``; None for all.
    """

    def __init__(
        self, tokens: Sequence[int], grid: Size = None, stages: Sequence[str] | None = None
    ) -> None:
        self.tokens = list(tokens)
        self.stages = stages
        self._wanted = (grid, grid) if isinstance(grid, int) else grid
        self._layers = 0
        self.grid: tuple[int, int] | None = None

    def read(
        self,
        moment: Moment,
        latents: Tensor,
        images: Sequence[int] | None = None,
        *level: Any,
    ) -> Float[Tensor, "image y x token"]:
        """The maps on some latents.

        Args:
            moment: What makes the forward pass.
            latents: [image, ...], not scaled for the denoiser.
            images: Which images of the batch these are; None for all.
            *level: A scheduler and one of its timesteps; nothing for those of the moment.

        Raises:
            ArgumentError: no layer of the grid attends to the text.
        """
        if self.grid is None:
            self._survey(moment)
        columns: list[Tensor] = []

        def gather(call: AttentionCall) -> None:
            if self._grid_of(call) == self.grid:
                columns.append(self._columns(call))
            if len(columns) == self._layers:
                raise _Enough

        self._evaluate(moment, latents, gather, images, *level)
        maps = torch.cat(columns, 1).mean(1)
        return maps.unflatten(1, self.grid)

    def _survey(self, moment: Moment) -> None:
        """Choose the grid, and count its layers."""
        grids: list[tuple[int, int]] = []

        def note(call: AttentionCall) -> None:
            grid = self._grid_of(call)
            if grid is not None:
                grids.append(grid)

        with torch.no_grad():
            self._evaluate(moment, moment.latents, note)
        fine = [grid for grid in grids if min(grid) >= USUAL_SIDE]
        grid = self._wanted or (min(fine) if fine else max(grids, default=(0, 0)))
        self.grid = (int(grid[0]), int(grid[1]))
        self._layers = grids.count(self.grid)
        if not self._layers:
            known = ", ".join(f"{y} x {x}" for y, x in sorted(set(grids))) or "none"
            raise ArgumentError(
                f"maps of words: no layer of {self.grid[0]} x {self.grid[1]} image tokens attends "
                f"to the text. There are: {known}."
            )

    def _evaluate(self, moment: Moment, latents: Tensor, see: Observer, *how: Any) -> None:
        with moment.tap.aside(observe=[(TO_TEXT, see)]), suppress(_Enough):
            moment.evaluate(latents, *how)

    def _grid_of(self, call: AttentionCall) -> tuple[int, int] | None:
        if self.stages is not None and call.stage not in self.stages:
            return None
        return call.known_layout("maps of words").queries_of("image").grid

    def _columns(self, call: AttentionCall) -> Float[Tensor, "image head query token"]:
        layout = call.known_layout("maps of words")
        first = layout.keys_of("text").start
        columns = call.columns([first + token for token in self.tokens])
        return columns[..., layout.queries_of("image").slice, :].float()


def check_grid(who: str, grid: Size) -> None:
    """Refuse what is no grid.

    Raises:
        ArgumentError: it is not one number above 0, nor two.

    Example:
        >>> check_grid("attend_and_excite", (16, 24))
    """
    if isinstance(grid, str) or (grid is not None and not _sides(grid)):
        raise ArgumentError(f"{who}: grid is {shown(grid)} and must be one number above 0, or two.")


def _sides(grid: Any) -> bool:
    sides = [whole_or_none(each) for each in listed(grid) or [grid, grid]]
    return len(sides) == 2 and all(side is not None and side > 0 for side in sides)
