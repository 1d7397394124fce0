"""Word maps propagated by self-attention: patches that attend to each other share their words."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.arguments import number, pair, verb, whole
from regard.axes import KEY, QUERY, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, AxisError, NothingObserved
from regard.explain.asked_words import asked_words
from regard.explain.flow import LARGEST
from regard.generation import Sampling, generate
from regard.measures.rows import check_attention
from regard.tap import AttentionCall
from regard.tap.segment import Grid
from regard.tap.weights import Weights

ROWS = 64
"""Rows of the self-attention map that exist at a time where it is sharpened."""

PerPatch = Float[Tensor, "sample patch column"]


def propagated(
    cross: xr.DataArray, weights: xr.DataArray, *, power: int = 1, gamma: float = 1.0
) -> xr.DataArray:
    """Word maps after self-attention has propagated them; in the unit of the maps.

    C' = S^power C, with S the self-attention, sharpened to rownorm(S^gamma) elementwise.

    Args:
        cross: Maps over ``y`` and ``x`` and any other dims.
        weights: Self-attention over ``query`` and ``key``, both patches row by row on that grid;
            each row sums to 1.
        power: How many times; 0 leaves the maps as they are.
        gamma: Above 1 sharpens.

    Returns:
        The dims of ``cross``.

    Raises:
        AxisError: a dim is missing, or the numbers of patches differ.
        NotAttentionError: rows of ``weights`` do not sum to 1.
        ArgumentError: power is negative, or gamma not positive.

    Example:
        >>> cross = xr.DataArray([[1.0, 0.0]], dims=["y", "x"])
        >>> weights = xr.DataArray([[0.5, 0.5], [0.5, 0.5]], dims=["query", "key"])
        >>> propagated(cross, weights).values
        array([[0.5, 0.5]])

    Source:
        Wang et al. (2023), "Diffusion Model is Secretly a Training-free Open Vocabulary Semantic
        Segmenter", arXiv 2309.02773, for power 1; the general form is ours.
    """
    _check(power, gamma, "propagated")
    check_attention(weights, over=KEY, caller="propagated")
    if set(weights.dims) != {QUERY, KEY} or not {Y, X} <= set(cross.dims):
        raise AxisError(
            f"propagated: the maps have {cross.dims} and need '{Y}' and '{X}'; the weights have "
            f"{weights.dims} and need '{QUERY}' and '{KEY}' alone."
        )
    patches = cross.sizes[Y] * cross.sizes[X]
    if not patches == weights.sizes[QUERY] == weights.sizes[KEY]:
        raise AxisError(
            f"propagated: the maps have {patches} patches and the weights "
            f"{weights.sizes[QUERY]} x {weights.sizes[KEY]}. Resize the maps first."
        )
    sharp = weights.transpose(QUERY, KEY).values ** gamma
    sharp = sharp / sharp.sum(-1, keepdims=True)
    maps = cross.transpose(..., Y, X)
    flat = maps.values.reshape(-1, patches).T
    moved = np.linalg.matrix_power(sharp, power) @ flat
    return maps.copy(data=moved.T.reshape(maps.shape)).transpose(*cross.dims)


class Propagation:
    """The maps of some text tokens in each step, propagated by the self-attention of that step.

    Cross maps are the mean over heads and layers, resized bilinearly to one grid; self-attention
    is the mean over the heads and layers of that grid, applied by the fused kernel. Memory: the
    queries and keys of the layers of one grid and step, and the maps; a map of attention is made
    only where it is sharpened, 64 rows at a time.

    Args:
        tokens: Indices into the text.
        power: How many times to propagate.
        gamma: Above 1 sharpens self-attention.
        stay: What share of a map stays as it was, beside what is propagated; 0..1.
        grid: The grid; the finest of up to 32 x 32 if left out.
        condition: Which rows of the batch: 'cond' or 'uncond'.

    Raises:
        ArgumentError: no tokens, a negative power, a gamma that is not positive, or a stay outside
            0..1.

    Example:
        >>> Propagation([1, 2], power=2)
        Propagation(tokens=[1, 2], power=2, gamma=1.0)

    Source:
        As for `propagated`.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        *,
        power: int = 1,
        gamma: float = 1.0,
        stay: float = 0.0,
        grid: Grid | None = None,
        condition: str = "cond",
    ) -> None:
        _check(power, gamma, "Propagation")
        number(stay, "stay", "Propagation", least=0, most=1)
        if not tokens or min(tokens) < 0:
            raise ArgumentError(
                f"Propagation: tokens are {list(tokens)} and must be indices >= 0, at least one."
            )
        self.tokens, self.power, self.gamma, self.stay = list(tokens), power, gamma, stay
        self._wanted, self._condition = pair(grid, "grid", "Propagation"), condition
        self._run = 0
        self._start()

    def __repr__(self) -> str:
        return f"Propagation(tokens={self.tokens}, power={self.power}, gamma={self.gamma})"

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Keep what one call adds: maps of cross-attention, or queries and keys of self-attention.

        Raises:
            ArgumentError: the layout is unknown, or a token is not in the text.
        """
        rows = call.rows_of(self._condition)
        layout = call.known_layout("Propagation")
        if rows.start == rows.stop or not any(s.name == "image" for s in layout.queries):
            return
        if call.run != self._run:
            self._run = call.run
            self._start()
        if (call.step, call.pass_) != self._now:
            self._finish()
            self._now = (call.step, call.pass_)
        grid = layout.queries_of("image").grid
        if grid is None:
            return
        if layout.kind == "self":
            if self._suits(grid):
                self._selves.setdefault(grid, []).append(call.weights.of(rows))
        elif layout.has(query="image", key="text"):
            text = layout.keys_of("text")
            keys = [text.start + token for token in self.tokens]
            maps = call.columns(keys, batch=rows)[..., layout.queries_of("image").slice, :]
            total = maps.float().mean(1).mT.unflatten(-1, grid)
            before, count = self._crosses.get(grid, (torch.zeros_like(total), 0))
            self._crosses[grid] = (before + total, count + 1)

    def result(self) -> dict[int, Float[Tensor, "sample token y x"]]:
        """The maps of each step of the last generation, on the CPU.

        Raises:
            NothingObserved: there was no attention to text, or no self-attention on such a grid.
        """
        self._finish()
        if not self._steps:
            raise NothingObserved(
                f"Propagation: no step had both cross-attention to text and self-attention on "
                f"{self._wanted or 'a grid of up to 32 x 32'}, in '{self._condition}' rows."
            )
        return self._steps

    def _start(self) -> None:
        self._steps: dict[int, Tensor] = {}
        self._counts: dict[int, int] = {}
        self._now: tuple[int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self._selves: dict[Grid, list[Weights]] = {}
        self._crosses: dict[Grid, tuple[Tensor, int]] = {}

    def _suits(self, grid: Grid) -> bool:
        """Whether to keep queries and keys of this grid: the wanted one, or the finest so far."""
        if self._wanted is not None:
            return grid == self._wanted
        size = grid[0] * grid[1]
        if size > LARGEST or any(y * x > size for y, x in self._selves):
            return False
        self._selves = {at: kept for at, kept in self._selves.items() if at == grid}
        return True

    @torch.no_grad()
    def _finish(self) -> None:
        if self._now is not None and self._selves and self._crosses:
            (grid, selves), maps = next(iter(self._selves.items())), 0.0
            for total, _ in self._crosses.values():
                maps = maps + functional.interpolate(
                    total, grid, mode="bilinear", align_corners=False
                )
            before = (maps / sum(count for _, count in self._crosses.values())).flatten(2).mT
            flat = before
            for _ in range(self.power):
                flat = carried(selves, flat, self.gamma)
            flat = self.stay * before + (1 - self.stay) * flat
            step, found = self._now[0], flat.mT.unflatten(-1, grid).cpu()
            # Some schedulers evaluate the model twice in a step: the mean of both.
            mean, count = self._steps.get(step, found), self._counts.get(step, 0)
            self._steps[step] = mean + (found - mean) / (count + 1)
            self._counts[step] = count + 1
        self._forget()


def carried(layers: Sequence[Weights], flat: PerPatch, gamma: float) -> PerPatch:
    """The mean attention of layers and heads, sharpened, times values per patch."""
    if gamma == 1.0:
        parts = [layer.apply(flat[:, None]).float().mean(1) for layer in layers]
        return torch.stack(parts).mean(0)
    moved = []
    for start in range(0, flat.shape[1], ROWS):
        rows = slice(start, start + ROWS)
        mean = torch.stack([layer.probs(rows).mean(1) for layer in layers]).mean(0) ** gamma
        moved.append(mean / mean.sum(-1, keepdim=True) @ flat)
    return torch.cat(moved, 1)


@verb
def propagated_words(
    model: Any,
    prompt: str,
    *,
    words: Sequence[str] | None = None,
    power: int = 1,
    gamma: float = 1.0,
    grid: Grid | None = None,
    **sampling: Unpack[Sampling],
) -> xr.DataArray:
    """Word maps of a generated image, propagated by its self-attention, in shares of attention.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        words: Words to make maps of, ``cat#2`` for the second cat; all tokens if left out.
        power: How many times to propagate; 0 gives the maps as they are.
        gamma: Above 1 sharpens self-attention.
        grid: On which grid; the finest of up to 32 x 32 if left out.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        step, token, y, x; the coordinate ``word`` names what a token spells.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word.
        ArgumentError: another argument lies outside what it may be.
        NothingObserved: there was no attention to text, or no self-attention on such a grid.

    Example:
        >>> from regard.models import load
        >>> propagated_words(load("openmoji"), "a cat", words=["cat"], num_inference_steps=1).dims
        ('step', 'token', 'y', 'x')

    Source:
        As for `propagated`.
    """
    model, request, text, wanted = asked_words(model, prompt, words, sampling)
    kept = Propagation(wanted, power=power, gamma=gamma, grid=grid)
    generate(model, [request], observe=[kept])
    maps = kept.result()
    return xr.DataArray(
        np.stack([each[0].double().numpy() for each in maps.values()]),
        dims=(STEP, TOKEN, Y, X),
        coords={
            STEP: list(maps),
            TOKEN: wanted,
            "word": (TOKEN, [text.tokens[index].name for index in wanted]),
        },
        name="propagated",
        attrs={"units": "attention weight", "power": power, "gamma": gamma, "prompt": prompt},
    )


def _check(power: int, gamma: float, caller: str) -> None:
    whole(power, "power", caller, least=0, cure="1 is usual.")
    number(gamma, "gamma", caller, least=0, above=True, cure="1.0 is usual.")
