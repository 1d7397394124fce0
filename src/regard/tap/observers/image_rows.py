"""Where patches of an image attend: rows of attention weights, kept while a model runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.axes import HEAD, STEP
from regard.errors import ArgumentError, NothingObserved
from regard.tap.call import AttentionCall
from regard.tap.observers.text_maps import RunningMaps
from regard.tap.segment import Grid, Segment
from regard.trace.patches import Patch, cell_of

CHUNK = 256
"""Queries whose weights are read at a time; those of all heads to all keys."""

UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@dataclass(frozen=True)
class LayerRows:
    """Where some patches of one layer attend.

    Attributes:
        layer: Dotted path of the layer.
        kind: 'self' or 'joint'.
        stage: 'down', 'mid', 'up' or None.
        grid: Rows and columns of the image tokens.
        prefix: What is attended to beside the image, such as 'text': the tokens of one kind count
            as one key, the sum of them.
        queries: Which patches, numbered as the keys are: those of ``prefix`` come first.
        steps: The steps observed, also if they were averaged.
        weights: Attention weights [step, head, query, key], float32, on the CPU; each row sums to
            1. Averaged axes have size 1.
    """

    layer: str
    kind: str
    stage: str | None
    grid: Grid
    prefix: list[str]
    queries: list[int]
    steps: list[int]
    weights: Float[Tensor, "step head query key"]


class ImageRows:
    """For some patches of the first image of a batch, how much they attend to each patch.

    Each generation starts afresh. Memory: 4 bytes x patches x keys for each layer, times steps and
    heads as far as they are kept; the sum is known, and refused, when each layer has run once.

    Args:
        patches: Rows and columns, or points of the image, as `regard.trace.patches` has them; None
            for every patch.
        keep: Which of "step" and "head" to keep; the others are averaged while running.
        steps: How many steps there will be, to know what will be kept.
        most: Bytes to keep at most.
        condition: Which rows of the batch: 'cond' or 'uncond'.
        sample: Which image of the batch.

    Example:
        >>> ImageRows([(0.5, 0.5)], keep=("head",), steps=30, most=2**20)
        ImageRows(patches=((0.5, 0.5),), keep=('head',), condition='cond')
    """

    def __init__(
        self,
        patches: Sequence[Patch] | None,
        *,
        keep: Sequence[str],
        steps: int,
        most: int,
        condition: str = "cond",
        sample: int = 0,
    ) -> None:
        self.sample = sample
        self.patches = None if patches is None else tuple(patches)
        self.keep, self.steps, self.most, self.condition = tuple(keep), steps, most, condition
        self._run = 0
        self._start()

    def __repr__(self) -> str:
        return f"ImageRows(patches={self.patches}, keep={self.keep}, condition={self.condition!r})"

    def __call__(self, call: AttentionCall) -> None:
        """Keep the rows of one call; calls without image queries and image keys are ignored.

        Raises:
            ArgumentError: the model is of no known family, the grid of the layer is not known or
                has no such patch, or more bytes would be kept than was allowed.
        """
        if call.run != self._run:
            self._run = call.run
            self._start()
        rows = call.rows_of(self.condition)
        layout = call.known_layout("look")
        if rows.start == rows.stop or not layout.has(query="image", key="image"):
            return
        name = call.layer if call.index == 0 else f"{call.layer}#{call.index}"
        if name in self._about:
            self._check_room()
        else:
            self._meet(name, call)
        if self._asked <= self.most:
            about = self._about[name]
            running = self._running.setdefault(name, RunningMaps(call, keep=STEP in self.keep))
            own = rows.start + self.sample
            running.add(call, self._rows(call, slice(own, own + 1), about))

    def take(self) -> list[LayerRows]:
        """The rows of the last generation, which are forgotten here, layer by layer.

        Raises:
            NothingObserved: no layer was asked for in which the image attends to itself.
            ArgumentError: more bytes would have been kept than was allowed.
        """
        self._check_room()
        if not self._running:
            raise NothingObserved(
                "look: in none of the layers that self_attention names does the image attend to "
                "itself. Leave its layers out for all of them."
            )
        return [self._taken(name) for name in list(self._running)]

    # Inside

    def _start(self) -> None:
        self._about: dict[str, tuple[Grid, list[str], list[int]]] = {}
        self._running: dict[str, RunningMaps] = {}
        self._asked = 0

    def _meet(self, name: str, call: AttentionCall) -> None:
        """Note what a layer has, and what will be kept of it."""
        layout = call.known_layout("look")
        image = layout.keys_of("image")
        grid = image.grid or layout.queries_of("image").grid
        if grid is None or len(layout.queries_of("image")) != len(image):
            raise ArgumentError(
                f"look: the {len(image)} image tokens of {name} have no grid. Fix the layout of "
                f"{call.model}, or leave the layer out of self_attention."
            )
        prefix = list(dict.fromkeys(each.name for each in layout.keys if each.name != "image"))
        if self.patches is None:
            cells = list(range(len(image)))
        else:
            found = [cell_of(each, grid, caller="look", layer=name) for each in self.patches]
            cells = list(dict.fromkeys(row * grid[1] + column for row, column in found))
        self._about[name] = grid, prefix, cells
        steps = self.steps if STEP in self.keep else 1
        heads = call.shape[1] if HEAD in self.keep else 1
        self._asked += 4 * steps * heads * len(cells) * (len(prefix) + len(image))
        if self._asked > self.most:
            self._running.clear()

    def _check_room(self) -> None:
        """Refuse more than was allowed, once each layer has said what it would take."""
        if self._asked > self.most:
            raise ArgumentError(
                f"look: self_attention would keep {self._asked:,} bytes ({said(self._asked)}) of "
                f"{len(self._about)} layers, and max_bytes is {self.most:,} ({said(self.most)}). "
                f"Ask for fewer patches or layers, leave 'step' or 'head' out of keep=, or raise "
                f"max_bytes=."
            )

    @torch.no_grad()
    def _rows(
        self, call: AttentionCall, batch: slice, about: tuple[Grid, list[str], list[int]]
    ) -> Float[Tensor, "1 head query key"]:
        _, prefix, cells = about
        layout = call.known_layout("look")
        start = layout.queries_of("image").start
        parts = []
        for at in range(0, len(cells), CHUNK):
            weights = call.probs([start + cell for cell in cells[at : at + CHUNK]], batch=batch)
            rows = folded(weights, layout.keys, prefix)
            parts.append((rows if HEAD in self.keep else rows.mean(1, keepdim=True)).cpu())
        return torch.cat(parts, 2)

    def _taken(self, name: str) -> LayerRows:
        running = self._running.pop(name)
        grid, prefix, cells = self._about[name]
        return LayerRows(
            layer=name,
            kind=running.kind,
            stage=running.stage,
            grid=grid,
            prefix=prefix,
            queries=[len(prefix) + cell for cell in cells],
            steps=sorted(running.steps),
            weights=running.stacked()[0],
        )


def folded(
    weights: Float[Tensor, "1 head query all"], keys: Sequence[Segment], prefix: Sequence[str]
) -> Float[Tensor, "1 head query key"]:
    """Weights with the tokens of each kind but the image as one key, before those of the image.

    Example:
        >>> from regard.tap.segment import segments
        >>> keys = segments(("image", 2), ("text", 2))
        >>> folded(torch.tensor([[[[0.125, 0.375, 0.25, 0.25]]]]), keys, ["text"])
        tensor([[[[0.5000, 0.1250, 0.3750]]]])
    """
    sums = [
        sum(weights[..., each.slice].sum(-1, keepdim=True) for each in keys if each.name == name)
        for name in prefix
    ]
    (image,) = [each for each in keys if each.name == "image"]
    return torch.cat([*sums, weights[..., image.slice]], -1)


def said(count: int) -> str:
    """A number of bytes in words.

    Example:
        >>> said(3 * 2**20), said(100)
        ('3.0 MiB', '100 B')
    """
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
