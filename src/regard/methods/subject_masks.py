"""Where each image of a batch shows its subject, read from attention to its words so far."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from regard.measures.levels import otsu_level_of_rows
from regard.tap import AttentionCall
from regard.trace import Prompt

Grid = tuple[int, int]

WINDOW = 20
"""How many of the last steps count, as in the authors' code."""

FINEST = 32
"""Sides of the finest grid whose layers are read where no layers are named, as in the paper."""


class SubjectMasks:
    """Masks of subjects, from the attention of image patches to their words in the last steps.

    Maps are the mean over heads, layers and the last steps; each is split in two by Otsu's
    threshold, and the masks of several subjects are joined.

    Args:
        tokens: For each image and each subject the tokens that stand for it in the image's prompt;
            none for a subject that the prompt lacks.
        window: How many of the last steps count.
        all_grids: Whether layers of all grids are read, as where they were chosen by name; else
            those of the finest grid of up to `FINEST` a side.

    Source:
        Tewel et al. (2024), arXiv 2402.03286, section 4.1. Otsu (1979), "A Threshold Selection
        Method from Gray-Level Histograms": here of the values themselves, not of 256 bins.
    """

    def __init__(
        self, tokens: Sequence[Sequence[Sequence[int]]], window: int, *, all_grids: bool
    ) -> None:
        self.tokens = tokens
        self.every = sorted({each for image in tokens for own in image for each in own})
        self.window, self.all_grids = window, all_grids
        self._steps: dict[int, dict[Grid, tuple[Tensor, int]]] = {}
        self._run = -1

    @classmethod
    def of_words(
        cls,
        reading: Mapping[str, Any],
        prompts: Sequence[Prompt],
        words: Sequence[str],
        window: int = WINDOW,
    ) -> "SubjectMasks":
        """Masks of words, with their tokens as the words of a model are read best.

        Args:
            reading: Of the model, as `TextToImage.reading` has it; empty where it was not measured.
            prompts: What each image reads.
            words: Of the subjects.
            window: How many of the last steps count.
        """
        carriers = bool(reading.get("carriers"))
        tokens = [tokens_of(each, words, carriers=carriers) for each in prompts]
        return cls(tokens, window, all_grids="layers" in reading)

    def see(self, call: AttentionCall) -> None:
        """Add the maps of one call that has text keys, of its conditional rows."""
        rows = call.rows_of("cond")
        layout = call.known_layout("subject masks")
        grid = layout.queries_of("image").grid
        if grid is None or rows.start == rows.stop:
            return
        if call.run != self._run:
            self._run, self._steps = call.run, {}
        first = layout.keys_of("text").start
        columns = call.columns([first + token for token in self.every], batch=rows)
        maps = columns[..., layout.queries_of("image").slice, :].float().mean(1)
        grids = self._steps.setdefault(call.step, {})
        before, count = grids.get(grid, (torch.zeros_like(maps), 0))
        grids[grid] = (before + maps, count + 1)

    def of(self, grid: Grid, *, before: int | None = None) -> Bool[Tensor, "image patch"] | None:
        """The mask of each image on a grid, from the steps before one; None before the first.

        Args:
            grid: Rows and columns.
            before: A step; None for all that have been seen.
        """
        steps = [step for step in sorted(self._steps) if before is None or step < before]
        if not steps:
            return None
        maps = self._mean(steps[-self.window :])
        resized = functional.interpolate(maps, size=grid, mode="bilinear", align_corners=False)
        masks = torch.zeros(len(self.tokens), grid[0] * grid[1], dtype=torch.bool)
        for image, subjects in enumerate(self.tokens):
            for own in subjects:
                if own:
                    map_ = resized[image, [self.every.index(token) for token in own]].sum(0)
                    values = map_.flatten().cpu()
                    masks[image] |= values >= otsu_level_of_rows(values)
        return masks.to(maps.device)

    @property
    def finest(self) -> Grid | None:
        """The grid that masks are read on; None before anything was seen."""
        grids = {grid for kept in self._steps.values() for grid in kept}
        return max(self._read(grids)) if grids else None

    def _read(self, grids: set[Grid]) -> set[Grid]:
        """The grids whose layers count."""
        fine = {grid for grid in grids if max(grid) <= FINEST} or {min(grids)}
        return grids if self.all_grids else {max(fine)}

    def _mean(self, steps: Sequence[int]) -> Float[Tensor, "image token y x"]:
        grids = {grid for step in steps for grid in self._steps[step]}
        read = self._read(grids)
        target = max(read)
        total, layers = torch.zeros(()), 0
        for step in steps:
            for grid, (maps, count) in self._steps[step].items():
                if grid in read:
                    plane = maps.mT.unflatten(-1, grid)
                    total = total.to(plane.device) + functional.interpolate(
                        plane, size=target, mode="bilinear", align_corners=False
                    )
                    layers += count
        return total / layers


def tokens_of(prompt: Prompt, words: Sequence[str], *, carriers: bool) -> list[list[int]]:
    """The tokens of those words that a prompt has, one list for each.

    Args:
        prompt: As a model reads it.
        words: In any capitals.
        carriers: Whether the token after a word counts too, as `Prompt.carriers` has it.
    """
    known = {name.casefold() for name in prompt.word_names}
    there = [word for word in words if word.casefold() in known]
    if carriers and there:
        return [list(each) for each in prompt.carriers(there)]
    return [list(prompt.spelled([word])) for word in there]


def dropped(masks: Tensor, share: float, seed: Sequence[int]) -> Tensor:
    """Masks with a share of their patches left out at random.

    Args:
        masks: bool [image, patch].
        share: The probability of each patch to be left out.
        seed: Numbers that decide which, by a generator of their own.

    Example:
        >>> masks = torch.ones(1, 1000, dtype=torch.bool)
        >>> bool(400 < dropped(masks, 0.5, [0, 1]).sum() < 600)
        True
    """
    digest = hashlib.sha256(repr(list(seed)).encode()).digest()
    number = int.from_bytes(digest[:7], "big")
    kept = torch.rand(masks.shape, generator=torch.Generator().manual_seed(number)) >= share
    return masks & kept.to(masks.device)
