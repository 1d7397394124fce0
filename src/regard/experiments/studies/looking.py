"""Reading attention of many images in bounded memory: the row of the answer, or everything."""

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from regard.axes import HEAD, KEY, LAYER, QUERY, SAMPLE, X, Y
from regard.experiments.studies.setting import Numbers, Setting, Size, among_patches
from regard.explain.layers import reader
from regard.measures.agreement import head_divergence, head_diversity
from regard.measures.artefacts import column_concentration
from regard.measures.reach import attention_distance, positions
from regard.measures.spread import entropy, normalised_entropy
from regard.tap import AttentionCall, Tap

Read = Callable[[xr.DataArray, Size, int], dict[str, xr.DataArray]]
"""From rows over sample, head, query and key of one layer, its grid and prefix, to numbers."""


def answer_rows(call: AttentionCall) -> Tensor:
    """What the token that the prediction is read from attends to: [batch, head, key], summing to 1.

    Only that row is computed. Without a class token it is the mean row of all patches, which
    takes one pass of the fused kernel.
    """
    layout = call.known_layout("vit")
    name = reader(layout)
    if name != "mean":
        return call.probs(layout.queries_of(name).slice).mean(2)
    image = layout.queries_of("image")
    share = torch.zeros(call.shape[2], 1)
    share[image.slice] = 1 / len(image)
    return call.column_sums(share)[..., 0]


class AnswerRows:
    """An observer: `answer_rows` of every layer, of the batch that is evaluated."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []

    def __call__(self, call: AttentionCall) -> None:
        """Keep one call."""
        if among_patches(call):
            self._rows.append(answer_rows(call))

    def taken(self) -> xr.DataArray:
        """The rows of one batch over sample, layer, head and key; they are forgotten then."""
        values = torch.stack(self._rows, 1).numpy()
        self._rows = []
        return xr.DataArray(values, dims=(SAMPLE, LAYER, HEAD, KEY))


def answer_maps(weights: xr.DataArray, grid: Size, prefix: int) -> xr.DataArray:
    """Rows as maps over patches, in multiples of an even share: 1 is what all would get alike.

    Example:
        >>> row = xr.DataArray([[0.5, 0.125, 0.375]], dims=["head", "key"])
        >>> answer_maps(row, (1, 2), 1).values
        array([[[0.5, 1.5]]])
    """
    patches = weights.isel({KEY: slice(prefix, None)})
    even = grid[0] * grid[1] * patches / patches.sum(KEY)
    values = even.transpose(..., KEY).values
    dims = [dim for dim in weights.dims if dim != KEY]
    return xr.DataArray(
        values.reshape(*values.shape[:-1], *grid),
        dims=[*dims, Y, X],
        attrs={"units": "times an even share"},
    )


class Dense:
    """An observer: numbers computed from all rows of the patches, a layer of a batch at a time.

    Memory: 4 bytes x images of the batch x heads x tokens x tokens, and a few times that for what
    a measure sums up.

    Args:
        read: What is computed.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._batches: list[list[xr.Dataset]] = [[]]

    def __call__(self, call: AttentionCall) -> None:
        """Read one call."""
        if not among_patches(call):
            return
        image = call.known_layout("vit").keys_of("image")
        rows = xr.DataArray(
            call.probs(image.slice).numpy(),
            dims=(SAMPLE, HEAD, QUERY, KEY),
            coords={QUERY: np.arange(image.start, image.stop)},
        )
        found = self._read(rows, image.grid or (1, len(image)), image.start)
        self._batches[-1].append(xr.Dataset(found).drop_attrs())

    def next_batch(self) -> None:
        """The layers that follow are those of other images."""
        self._batches.append([])

    def result(self) -> xr.Dataset:
        """All that was computed, over sample, layer and further dims; layers count from 0."""
        parts = [xr.concat(batch, LAYER) for batch in self._batches if batch]
        return numbered(xr.concat(parts, SAMPLE)).transpose(SAMPLE, LAYER, ...)


def read_all(
    setting: Setting, numbers: Numbers, read: Read, *, size: Size | None = None
) -> xr.Dataset:
    """What `read` computes from all attention of some images, over sample, layer and more."""
    dense = Dense(read)
    for _, pixels in setting.batches(numbers, size=size, dense=True):
        with torch.no_grad(), Tap(setting.vision.model, observe=[dense]):
            setting.vision.forward(pixels)
        dense.next_batch()
    return dense.result()


def numbered(found: xr.Dataset) -> xr.Dataset:
    """Layers and heads with their numbers as labels, from 0 as in code."""
    labels = {dim: np.arange(found.sizes[dim]) for dim in (LAYER, HEAD) if dim in found.dims}
    return found.assign_coords(labels)


def reach_and_spread(rows: xr.DataArray, grid: Size, prefix: int) -> dict[str, xr.DataArray]:
    """How far patches attend, as a share of the diagonal, and how evenly: means over patches."""
    distance = attention_distance(rows, grid, prefix=prefix)
    return {
        "distance": distance.mean(QUERY) / (distance.attrs["diagonal"] or np.nan),
        "evenness": normalised_entropy(rows, prefix=prefix).mean(QUERY),
    }


def even_distance(grid: Size) -> float:
    """The distance of even attention to all patches, as a share of the diagonal.

    Example:
        >>> round(even_distance((1, 3)), 4)  # 0, 1, 2, 1, 0, 1, 2, 1, 0 of 2
        0.4444
    """
    places = positions(grid)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return float(apart.mean() / (apart.max() or np.nan))


def everything(rows: xr.DataArray, grid: Size, prefix: int) -> dict[str, xr.DataArray]:
    """Reach, spread, and how heads differ: per image and head, or pair of heads, or image."""
    found = reach_and_spread(rows, grid, prefix)
    kinds = {
        kind: head_diversity(rows, kind=kind, prefix=prefix) for kind in ("cosine", "generalised")
    }
    return {
        **found,
        "entropy": entropy(rows, prefix=prefix).mean(QUERY),
        "divergence": head_divergence(rows, prefix=prefix),
        "columns": column_concentration(rows, prefix=prefix),
        **kinds,
    }
