"""Statistics kept while a model runs: callables on an ``AttentionCall`` with ``.result()``.

A plain function will do as well; these are the ones that need memory, and bound it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.arguments import indices, listed, shown
from regard.axes import HEAD, LAYER, STEP
from regard.errors import ArgumentError, NothingObserved
from regard.tap.call import AttentionCall
from regard.tap.layout import Grid, Segment
from regard.tap.weights import Fused  # noqa: F401  for the examples

KEEPABLE = (STEP, LAYER, HEAD)

TokenMaps = Float[Tensor, "sample head token y x"]


@dataclass(frozen=True)
class LayerHeat:
    """Where some text tokens were looked at from, in one layer.

    Attributes:
        layer: Dotted path of the layer; "mean" if layers were averaged.
        kind: 'cross' or 'joint'; of the last layer if layers were averaged.
        stage: 'down', 'mid', 'up' or None; None if layers were averaged.
        grid: Rows and columns of the image tokens.
        heads: How many heads the layer has, also if they were averaged.
        steps: The steps seen, also if they were averaged.
        timesteps: The noise level that each step began at, as the model is given it; NaN where it
            is given none.
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


class _Running:
    """The maps of one layer, or of all layers with one grid, summed while the model runs."""

    def __init__(self, call: AttentionCall, *, keep: bool) -> None:
        self.layer, self.kind, self.stage = call.layer, call.kind, call.stage
        self.keep = keep
        self.calls = 0
        self.heads = call.shape[1]
        self.steps: dict[int, float] = {}
        self.sums: dict[int | None, Tensor] = {}
        self.counts: dict[int | None, int] = {}
        self.last: int | None = None

    def add(self, call: AttentionCall, maps: TokenMaps) -> None:
        """Add maps to those of their step, which are kept or added to the mean over steps.

        Every evaluation counts the same in its step, and every step the same in the mean.
        """
        if not self.keep and call.step != self.last:
            self._fold()
        self.last = call.step
        self.calls += 1
        # Where a scheduler evaluates twice in a step, the step is known by its beginning.
        self.steps.setdefault(call.step, float("nan") if call.timestep is None else call.timestep)
        if call.step in self.sums:
            self.sums[call.step] += maps
        else:
            self.sums[call.step] = maps.contiguous()
        self.counts[call.step] = self.counts.get(call.step, 0) + 1

    def _fold(self) -> None:
        """Let the last step go into the sum over steps, which is at None."""
        if self.last is None:
            return
        mean, evaluations = self.sums.pop(self.last), self.counts.pop(self.last)
        if evaluations > 1:
            mean /= evaluations
        if None in self.sums:
            self.sums[None] += mean
        else:
            self.sums[None] = mean
        self.counts[None] = self.counts.get(None, 0) + 1
        self.last = None

    def stacked(self) -> Tensor:
        """[sample, step, head, token, y, x]."""
        if not self.keep:
            self._fold()
        steps = sorted(self.sums, key=lambda step: step or 0)
        return torch.stack([self.sums[step] / self.counts[step] for step in steps], 1)


class _Maps(ABC):
    """Maps of text tokens over image tokens, summed while a generation runs; the last one counts.

    Attributes:
        tokens: Indices into the text.
        keep: Which of "step", "layer" and "head" are kept; the others are averaged.
        condition: Which rows of the batch.
    """

    _name: str

    def __init__(
        self, tokens: Sequence[int], more: Sequence[int], keep: Sequence[str], condition: str
    ) -> None:
        found = indices(tokens, "tokens", self._name)
        if not isinstance(found, list) or not found or min((*found, *more)) < 0:
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
        self.tokens, self.keep, self.condition = found, tuple(keep), condition
        self._asked = max((*found, *more))
        self._run = 0
        self._start()

    def __call__(self, call: AttentionCall) -> None:
        """Add one attention call; calls without image queries and text keys are passed over.

        Raises:
            ArgumentError: the model is of no known family, a token is not in the text, or the
                image tokens have no grid.
        """
        if call.run != self._run:
            self._run = call.run
            self._start()
        self._seen += 1
        rows = call.rows_of(self.condition)
        if rows.start == rows.stop or not call.known_layout(self._name).has(
            query="image", key="text"
        ):
            return
        maps = self._checked_maps(call, rows)
        group = f"{call.layer}#{call.index}" if LAYER in self.keep else tuple(maps.shape[-2:])
        running = self._groups.setdefault(group, _Running(call, keep=STEP in self.keep))
        running.add(call, maps)

    def result(self) -> list[LayerHeat]:
        """The maps of the last generation, a list entry for each layer, in running order.

        Raises:
            NothingObserved: no call had image queries and text keys in rows of this condition.
        """
        if not self._groups:
            raise NothingObserved(
                f"{self._name}: none of {self._seen} attention calls had image queries and text "
                f"keys in '{self.condition}' rows. Is it a text-to-image model, and did it run in "
                f"the block?"
            )
        groups = list(self._groups.values())
        return [_heat(group) for group in groups] if LAYER in self.keep else [_mean_heat(groups)]

    def take(self) -> list[LayerHeat]:
        """As `result`, layer by layer and keeping nothing: whoever takes the maps has them alone.

        Raises:
            NothingObserved: as `result`.
        """
        if LAYER in self.keep and self._groups:
            return [_heat(self._groups.pop(group)) for group in list(self._groups)]
        found = self.result()
        self._start()
        return found

    @classmethod
    def _keepable(cls) -> tuple[str, ...]:
        return KEEPABLE

    def _start(self) -> None:
        self._groups: dict[object, _Running] = {}
        self._seen = 0

    @torch.no_grad()
    def _checked_maps(self, call: AttentionCall, rows: slice) -> TokenMaps:
        layout = call.known_layout(self._name)
        image, text = layout.queries_of("image"), layout.keys_of("text")
        if self._asked >= len(text):
            raise ArgumentError(
                f"{self._name}: token {self._asked} is not in the text of {call.layer}, which has "
                f"{len(text)} tokens."
            )
        if image.grid is None:
            raise ArgumentError(
                f"{self._name}: the {len(image)} image tokens of {call.layer} have no grid. Mend "
                f"the layout of {call.model}."
            )
        columns = self._columns(call, rows, image, text)
        return columns.float().mT.unflatten(-1, image.grid).cpu()

    @abstractmethod
    def _columns(
        self, call: AttentionCall, rows: slice, image: Segment, text: Segment
    ) -> Float[Tensor, "sample head patch token"]:
        """The values of each token at each image token, a head or all heads together."""


class HeatMap(_Maps):
    """For each text token, how much each image token attends to it.

    Each generation starts afresh: ``result`` describes the last one. Memory: 4 bytes x samples x
    tokens x image tokens, times steps, layers and heads as far as they are kept.

    Args:
        tokens: Indices into the text, as the text encoder counts its tokens.
        keep: Which of "step", "layer" and "head" to keep; the others are averaged while running.
        condition: Which rows of the batch: 'cond' or 'uncond'.
        rest: More tokens, such as the padding; the sum of their maps comes after the others.

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
    ) -> None:
        found = indices(rest, "rest", "HeatMap")
        if not isinstance(found, list):
            raise ArgumentError(f"HeatMap: rest is {shown(rest)} and must be indices, or empty.")
        self.rest = found
        super().__init__(tokens, self.rest, keep, condition)

    def __repr__(self) -> str:
        return f"HeatMap(tokens={self.tokens}, keep={self.keep}, condition={self.condition!r})"

    def _columns(
        self, call: AttentionCall, rows: slice, image: Segment, text: Segment
    ) -> Float[Tensor, "sample head patch token"]:
        columns = call.columns([text.start + token for token in self.tokens], batch=rows)
        if self.rest:
            inside = torch.zeros(call.shape[-1], 1, device=call.query.device)
            inside[[text.start + token for token in self.rest]] = 1.0
            columns = torch.cat([columns, call.apply(inside, batch=rows)], -1)
        columns = columns[..., image.slice, :]
        return columns if HEAD in self.keep else columns.float().mean(1, keepdim=True)


class OutputMap(_Maps):
    """For each text token, how much more the output of an image token is like its own: shares of 1.

    What a layer computes at an image token is compared with what it computes at each text token,
    all heads together; a softmax over the tokens gives the shares. In joint attention text tokens
    have an output. In cross-attention they have none, and a token's value stands for it: what an
    image token gets that attends to this token alone. Memory: as `HeatMap` without heads.

    Args:
        tokens: Indices into the text: the words to tell apart. The start token, or any that stands
            for what no word names, takes what is like none of them.
        among: For each image of the batch those of ``tokens`` that its prompt has; the others get
            0. All if left out.
        sharpness: Factor of the cosine before the softmax; None takes the dot product instead.
        keep: Which of "step" and "layer" to keep; the others are averaged while running.
        condition: Which rows of the batch: 'cond' or 'uncond'.

    Raises:
        ArgumentError: no tokens, a negative one, an axis that cannot be kept, a sharpness that is
            not above 0, or an image among no tokens.

    Example:
        >>> OutputMap([0, 1, 2])
        OutputMap(tokens=[0, 1, 2], sharpness=5.0, keep=('step', 'layer'), condition='cond')

    Source:
        Helbling et al. (2025), "ConceptAttention: Diffusion Transformers Learn Highly Interpretable
        Features", arXiv 2502.04320. Differs from the paper: concepts are tokens of the prompt, so
        that the model computes nothing more; ``sharpness=None`` has the paper's dot product, but a
        cosine found more of what words name; and cross-attention is ours.
    """

    _name = "OutputMap"

    def __init__(
        self,
        tokens: Sequence[int],
        *,
        among: Sequence[Sequence[int]] | None = None,
        sharpness: float | None = 5.0,
        keep: Sequence[str] = (STEP, LAYER),
        condition: str = "cond",
    ) -> None:
        super().__init__(tokens, (), keep, condition)
        if sharpness is not None and not 0 < sharpness < float("inf"):
            raise ArgumentError(
                f"OutputMap: sharpness is {sharpness} and must be above 0 and finite. 5.0 is "
                f"usual; None takes the dot product."
            )
        if among is not None and not all(set(each) & set(self.tokens) for each in among):
            raise ArgumentError(
                f"OutputMap: an image is among none of the tokens {self.tokens}. Give each image "
                f"at least one of them."
            )
        self.sharpness, self._among = sharpness, among

    def __repr__(self) -> str:
        return (
            f"OutputMap(tokens={self.tokens}, sharpness={self.sharpness}, keep={self.keep}, "
            f"condition={self.condition!r})"
        )

    @classmethod
    def _keepable(cls) -> tuple[str, ...]:
        return (STEP, LAYER)

    def _columns(
        self, call: AttentionCall, rows: slice, image: Segment, text: Segment
    ) -> Float[Tensor, "sample head patch token"]:
        assert call.output is not None, "observers run after the layer"
        output = call.output[rows].float()
        if call.known_layout("OutputMap").has(query="text"):
            own = output[..., call.known_layout("OutputMap").queries_of("text").slice, :]
        else:
            own = call.weights.widened(call.value)[rows].float()[..., text.slice, :]
        own = own.expand(-1, output.shape[1], -1, -1)[..., self.tokens, :]
        patches, tokens = (part.transpose(1, 2).flatten(2) for part in (output, own))
        patches = patches[:, image.slice]
        if self.sharpness is not None:
            patches = self.sharpness * functional.normalize(patches, dim=-1)
            tokens = functional.normalize(tokens, dim=-1)
        alike = patches @ tokens.mT
        if self._among is not None:
            alike = alike.masked_fill(self._absent(len(alike), alike.device), -torch.inf)
        return alike.softmax(-1)[:, None]

    def _absent(self, images: int, device: torch.device) -> Tensor:
        """[sample, 1, token]: which tokens the prompt of each image has not."""
        assert self._among is not None
        if len(self._among) != images:
            raise ArgumentError(
                f"OutputMap: among has {len(self._among)} lists for {images} images. Give one each."
            )
        there = [[token in each for token in self.tokens] for each in map(set, self._among)]
        return ~torch.tensor(there, device=device)[:, None]


def _heat(running: _Running) -> LayerHeat:
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


def _mean_heat(groups: list[_Running]) -> LayerHeat:
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


class Parity:
    """How well the weights explain what the model computed: the largest |P V - output|.

    P V is computed densely, in float32, and set against the layer's own output, relative to the
    largest output. Only the first call of each layer is compared. Memory: 64 rows of one map.

    Example:
        >>> query, value = torch.zeros(1, 1, 2, 4), torch.tensor([[[[0.0], [2.0]]]])
        >>> call = AttentionCall(Fused(query, query), value, output=torch.ones(1, 1, 2, 1))
        >>> parity = Parity()
        >>> parity(call)
        >>> parity.result()
        0.0
    """

    def __init__(self) -> None:
        self._errors: dict[tuple[str, int], float] = {}

    def __call__(self, call: AttentionCall) -> None:
        """Compare one call, if it is the first of its layer."""
        if (call.layer, call.index) not in self._errors:
            self._errors[call.layer, call.index] = _parity_error(call)

    def result(self) -> float:
        """The largest error of any layer: 0.0 is exact, about 1e-6 is rounding in float32.

        Raises:
            NothingObserved: no call was compared.
        """
        if not self._errors:
            raise NothingObserved(
                "Parity: no attention call was compared. Did the model run in the block?"
            )
        return max(self._errors.values())


@torch.no_grad()
def _parity_error(call: AttentionCall) -> float:
    assert call.output is not None, "observers run after the layer"
    value = call.weights.widened(call.value).float()
    output = call.output.float()
    worst = 0.0
    for rows, probs in call.row_chunks():
        expected = probs @ value
        if call.head_factors is not None:
            expected = expected * call.head_factors
        worst = max(worst, (expected - output[..., rows, :]).abs().max().item())
    return worst / max(output.abs().max().item(), torch.finfo(torch.float32).tiny)


class LayerMean:
    """The mean of a statistic over images, queries and calls, for each head of each layer.

    Memory: one number a head.

    Args:
        read: Gets a call and the rows of the batch asked for; returns [batch, head, query].
        condition: Which rows of the batch: 'cond' or 'uncond'; all if left out.

    Example:
        >>> spread = LayerMean(lambda call, rows: call.entropy(batch=rows))
        >>> query = torch.zeros(1, 1, 2, 4)
        >>> spread(AttentionCall(Fused(query, query), query, layer="attn"))
        >>> spread.result()
        {'attn': tensor([1.])}
    """

    def __init__(
        self, read: Callable[[AttentionCall, slice], Tensor], *, condition: str | None = None
    ) -> None:
        self._read = read
        self._condition = condition
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Add one call."""
        rows = slice(None) if self._condition is None else call.rows_of(self._condition)
        if rows.start is not None and rows.start == rows.stop:
            return
        mean = self._read(call, rows).float().mean((0, 2)).cpu()
        self._sums[call.layer] = self._sums.get(call.layer, 0.0) + mean
        self._counts[call.layer] = self._counts.get(call.layer, 0) + 1

    def result(self) -> dict[str, Float[Tensor, " head"]]:
        """The mean for each layer, in running order, one number a head.

        Raises:
            NothingObserved: no call was read.
        """
        if not self._sums:
            raise NothingObserved(
                "LayerMean: no attention call was read. Did the model run in the block?"
            )
        return {layer: total / self._counts[layer] for layer, total in self._sums.items()}
