"""Maps of text tokens over image tokens, summed while a model runs: what such observers share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.arguments import indices, listed, shown
from regard.axes import HEAD, LAYER, STEP
from regard.errors import ArgumentError, NothingObserved
from regard.tap.call import AttentionCall
from regard.tap.segment import Grid, Segment

KEEPABLE = (STEP, LAYER, HEAD)

TokenMaps = Float[Tensor, "sample head token y x"]
Kept = Float[Tensor, "sample head *rest"]
Columns = Float[Tensor, "sample head patch token"]


@dataclass(frozen=True)
class LayerHeat:
    """How much the image tokens of one layer attend to some text tokens.

    Attributes:
        layer: Dotted path of the layer; "mean" if layers were averaged.
        kind: 'cross' or 'joint'; of the last layer if layers were averaged.
        stage: 'down', 'mid', 'up' or None; None if layers were averaged.
        grid: Rows and columns of the image tokens.
        heads: How many heads the layer has, also if they were averaged.
        steps: The steps observed, also if they were averaged.
        timesteps: The timestep that the model was given at each step; NaN where it was given none.
        maps: Attention weights: [sample, step, head, token, y, x], float32, on the CPU. Averaged
            axes have size 1. The sum over all tokens of the text is 1 at each y and x in
            cross-attention; in joint attention the image has the rest.
    """

    layer: str
    kind: str
    stage: str | None
    grid: Grid
    heads: int
    steps: list[int]
    timesteps: list[float]
    maps: Float[Tensor, "sample step head token y x"]


class RunningMaps:
    """What is kept of one layer, or of all layers with one grid, summed while the model runs."""

    def __init__(self, call: AttentionCall, *, keep: bool) -> None:
        self.layer, self.kind, self.stage = call.layer, call.kind, call.stage
        self.keep = keep
        self.calls = 0
        self.heads = call.shape[1]
        self.steps: dict[int, float] = {}
        self.sums: dict[int | None, Tensor] = {}
        self.counts: dict[int | None, int] = {}
        self.last: int | None = None

    def add(self, call: AttentionCall, maps: Kept) -> None:
        """Add maps to those of their step, which are kept or added to the mean over steps.

        Every forward pass counts the same in its step, and every step the same in the mean.
        """
        if not self.keep and call.step != self.last:
            self._fold()
        self.last = call.step
        self.calls += 1
        # Where a scheduler evaluates twice in a step, the timestep is that of the first.
        self.steps.setdefault(call.step, float("nan") if call.timestep is None else call.timestep)
        if call.step in self.sums:
            self.sums[call.step] += maps
        else:
            self.sums[call.step] = maps.contiguous()
        self.counts[call.step] = self.counts.get(call.step, 0) + 1

    def _fold(self) -> None:
        """Add the last step to the sum over steps, which is at None."""
        if self.last is None:
            return
        mean, passes = self.sums.pop(self.last), self.counts.pop(self.last)
        if passes > 1:
            mean /= passes
        if None in self.sums:
            self.sums[None] += mean
        else:
            self.sums[None] = mean
        self.counts[None] = self.counts.get(None, 0) + 1
        self.last = None

    def stacked(self) -> Tensor:
        """[sample, step, head, token, y, x], or what else there was per sample and head."""
        if not self.keep:
            self._fold()
        steps = sorted(self.sums, key=lambda step: step or 0)
        return torch.stack([self.sums[step] / self.counts[step] for step in steps], 1)


class TextMaps(ABC):
    """Maps of text tokens over image tokens, summed while a generation runs; the last one counts.

    Attributes:
        tokens: Indices into the text.
        keep: Which of "step", "layer" and "head" are kept; the others are averaged.
        condition: Which rows of the batch.
        sample: Which image of the batch; None for all.
    """

    _name: str

    def __init__(
        self,
        tokens: Sequence[int],
        more: Sequence[int],
        keep: Sequence[str],
        condition: str,
        sample: int | None = None,
    ) -> None:
        numbers = indices(tokens, "tokens", self._name)
        if not isinstance(numbers, list) or not numbers or min((*numbers, *more)) < 0:
            raise ArgumentError(
                f"{self._name}: tokens are {shown(tokens)} and must be indices >= 0, at least one."
            )
        if isinstance(keep, str | bytes) or listed(keep) is None:
            raise ArgumentError(
                f"{self._name}: keep is {shown(keep)} and must be a list of "
                f"{', '.join(self._keepable())}."
            )
        wrong = [axis for axis in keep if axis not in self._keepable()]
        if wrong:
            raise ArgumentError(
                f"{self._name}: keep has '{wrong[0]}', which is not one of "
                f"{', '.join(self._keepable())}."
            )
        self.tokens, self.keep, self.condition = numbers, tuple(keep), condition
        self.sample = sample
        self._largest = max((*numbers, *more))
        self._run = 0
        self._start()

    def __call__(self, call: AttentionCall) -> None:
        """Add one attention call; calls without image queries and text keys are ignored.

        Raises:
            ArgumentError: the model is of no known family, a token is not in the text, or the
                image tokens have no grid.
        """
        if call.run != self._run:
            self._run = call.run
            self._start()
        self._count += 1
        rows = call.rows_of(self.condition)
        if rows.start == rows.stop or not call.known_layout(self._name).has(
            query="image", key="text"
        ):
            return
        if self.sample is not None:
            own = rows.start + self.sample
            rows = slice(own, own + 1)
        maps = self._checked_maps(call, rows)
        group = f"{call.layer}#{call.index}" if LAYER in self.keep else tuple(maps.shape[-2:])
        running = self._groups.setdefault(group, RunningMaps(call, keep=STEP in self.keep))
        running.add(call, maps)

    def result(self) -> list[LayerHeat]:
        """The maps of the last generation, a list entry for each layer, in running order.

        Raises:
            NothingObserved: no call had image queries and text keys in rows of this condition.
        """
        if not self._groups:
            raise NothingObserved(
                f"{self._name}: none of {self._count} attention calls had image queries and text "
                f"keys in '{self.condition}' rows. Is it a text-to-image model, and did it run in "
                f"the block?"
            )
        groups = list(self._groups.values())
        return [_heat(group) for group in groups] if LAYER in self.keep else [_mean_heat(groups)]

    def take(self) -> list[LayerHeat]:
        """As `result`, but the maps are handed over and forgotten here, layer by layer.

        Raises:
            NothingObserved: as `result`.
        """
        if LAYER in self.keep and self._groups:
            return [_heat(self._groups.pop(group)) for group in list(self._groups)]
        heats = self.result()
        self._start()
        return heats

    @classmethod
    def _keepable(cls) -> tuple[str, ...]:
        return KEEPABLE

    def _start(self) -> None:
        self._groups: dict[object, RunningMaps] = {}
        self._count = 0

    @torch.no_grad()
    def _checked_maps(self, call: AttentionCall, rows: slice) -> TokenMaps:
        layout = call.known_layout(self._name)
        image, text = layout.queries_of("image"), layout.keys_of("text")
        if self._largest >= len(text):
            raise ArgumentError(
                f"{self._name}: token {self._largest} is not in the text of {call.layer}, which "
                f"has {len(text)} tokens."
            )
        if image.grid is None:
            raise ArgumentError(
                f"{self._name}: the {len(image)} image tokens of {call.layer} have no grid. Fix "
                f"the layout of {call.model}."
            )
        columns = self._columns(call, rows, image, text)
        return columns.float().mT.unflatten(-1, image.grid).cpu()

    @abstractmethod
    def _columns(self, call: AttentionCall, rows: slice, image: Segment, text: Segment) -> Columns:
        """The values of each token at each image token, a head or all heads together."""


def _heat(running: RunningMaps) -> LayerHeat:
    maps = running.stacked()
    steps = sorted(running.steps)
    return LayerHeat(
        layer=running.layer,
        kind=running.kind,
        stage=running.stage,
        grid=(maps.shape[-2], maps.shape[-1]),
        heads=running.heads,
        steps=steps,
        timesteps=[running.steps[step] for step in steps],
        maps=maps,
    )


def _mean_heat(groups: list[RunningMaps]) -> LayerHeat:
    """The mean over layers on the largest grid, smaller ones resized bilinearly."""
    if len({tuple(sorted(group.sums, key=str)) for group in groups}) > 1:
        raise ArgumentError(
            "HeatMap: layers of this model ran in different steps, as under a cache, so they have "
            "no mean in each step. Keep 'layer', or do not keep 'step'."
        )
    largest = _heat(max(groups, key=lambda group: group.stacked().shape[-1]))
    total, count = torch.zeros_like(largest.maps), 0
    for group in groups:
        calls = group.calls
        flat = group.stacked().flatten(0, 2)
        resized = functional.interpolate(flat, largest.grid, mode="bilinear", align_corners=False)
        total += calls * resized.reshape(total.shape)
        count += calls
    return replace(largest, layer="mean", stage=None, maps=total / count)
