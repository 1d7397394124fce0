"""A classifier and the test images that it is studied on, checked to fit each other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data.fashion_mnist import FashionMNIST
from regard.errors import ArgumentError
from regard.experiments.meter import Meter
from regard.experiments.studies.budget import Budget
from regard.explain.layers import reader
from regard.models import Vision, vision_of
from regard.tap import AttentionCall, Parity, Tap

Size = tuple[int, int]
Numbers = NDArray[np.int64]

PATCHES = 196
"""Patches of a 14 x 14 grid: batches are as large as the plan says there, and smaller above."""


@dataclass(frozen=True)
class Shape:
    """The attention of a model, the same in every layer.

    Attributes:
        layers: Paths of the layers in running order.
        heads: In each layer.
        grid: Rows and columns of patches.
        prefix: Tokens before the patches.
        readout: What the prediction is read from: 'cls', or 'mean' of all patches.
        parity: The largest difference between weights times values and what the layers computed.
    """

    layers: tuple[str, ...]
    heads: int
    grid: Size
    prefix: int
    readout: str
    parity: float


@dataclass(frozen=True, eq=False)
class Setting:
    """What all parts of the study share.

    Attributes:
        vision: The model.
        data: The test images.
        budget: How many of them for what.
        shape: The model's attention, at its own size.
        meter: Counts what is done.
        columns: For each class of the data, its place among the model's logits.
        order: All images in an order whose every beginning has as many of each class.
    """

    vision: Vision
    data: FashionMNIST
    budget: Budget
    shape: Shape
    meter: Meter
    columns: list[int] = field(repr=False)
    order: Numbers = field(repr=False)

    def sample(self, number: int) -> Numbers:
        """As many images, balanced over the classes; a smaller sample is part of a larger."""
        return self.order[:number]

    def pixels(self, numbers: Numbers, size: Size | None = None) -> Tensor:
        """Some images as the model takes them."""
        return self.vision.pixels(self.data.images[numbers], size)

    def logits(self, pixels: Tensor) -> Tensor:
        """[sample, class], in the order of the classes of the data."""
        return self.vision.logits(pixels)[:, self.columns]

    def batches(
        self, numbers: Numbers, *, size: Size | None = None, dense: bool = False
    ) -> Iterator[tuple[Numbers, Tensor]]:
        """Images a batch at a time, smaller for larger grids; counted when they are done.

        Args:
            numbers: Which images.
            size: Rows and columns in pixels; the model's own preparation if left out.
            dense: Whether all attention of a batch is to be held, layer by layer.

        Yields:
            The numbers of the images, and their pixels.
        """
        rows, columns = self.vision.grid(size)
        ratio = PATCHES / (rows * columns)
        at_once = self.budget.batch / 8 * ratio**2 if dense else self.budget.batch * ratio
        step = max(1, min(self.budget.batch, int(at_once)))
        for first in range(0, len(numbers), step):
            part = numbers[first : first + step]
            yield part, self.pixels(part, size)
            self.meter.add(len(part))


def opened(model: Any, data: FashionMNIST, budget: Budget) -> Setting:
    """Open a model and see that it can be studied on this data.

    Raises:
        ArgumentError: the model is no classifier of these classes, has no attention among patches,
            or not the same in every layer.
        UnknownName: there is no such model.
        DataError: it cannot be opened, or does not say how images are prepared.
    """
    vision = vision_of(model)
    columns = _columns(vision, data)
    shape = shape_of(vision, vision.pixels(data.images[:1]))
    patches = shape.grid[0] * shape.grid[1]
    total = budget.passes(len(data), layers=len(shape.layers), heads=shape.heads, patches=patches)
    order = balanced(data.labels, budget.seed)
    return Setting(vision, data, budget, shape, Meter(None, total), columns, order)


def shape_of(vision: Vision, pixels: Tensor) -> Shape:
    """The attention that a model shows for one image.

    Raises:
        ArgumentError: it has none among patches, or not the same in every layer.
    """
    seen: list[tuple[str, int, Size, int, str]] = []
    parity = Parity()

    def look(call: AttentionCall) -> None:
        if not among_patches(call):
            return
        layout = call.known_layout("vit")
        image = layout.keys_of("image")
        grid = image.grid or (1, len(image))
        seen.append((call.layer, call.shape[1], grid, image.start, reader(layout)))

    with torch.no_grad(), Tap(vision.model, observe=[look, parity]):
        vision.forward(pixels)
    kinds = {each[1:] for each in seen}
    if len(kinds) != 1:
        what = "differs from layer to layer" if kinds else "lies not among patches"
        raise ArgumentError(
            f"vit: the attention of {vision.name} {what}. The study takes a vision transformer "
            f"whose layers have the same tokens and heads, such as 'fashion-vit'."
        )
    heads, grid, prefix, readout = kinds.pop()
    layers = tuple(each[0] for each in seen)
    return Shape(layers, heads, grid, prefix, readout, parity.result())


def among_patches(call: AttentionCall) -> bool:
    """Whether patches attend to patches here; a probe that pools them at the end does not count."""
    return call.known_layout("vit").has(query="image", key="image")


def balanced(labels: Numbers, seed: int) -> Numbers:
    """All images in a random order that takes one of each class in turn.

    Example:
        >>> labels = np.array([0, 0, 0, 1, 1])
        >>> labels[balanced(labels, 0)].tolist()
        [0, 1, 0, 1, 0]
    """
    mixed = np.random.default_rng(seed).permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        here = labels[mixed] == label
        turn[here] = np.arange(here.sum())
    return mixed[np.lexsort((labels[mixed], turn))]


def _columns(vision: Vision, data: FashionMNIST) -> list[int]:
    """Where among the logits each class of the data is; names decide, not their order."""
    if sorted(vision.labels) != sorted(data.names):
        told = ", ".join(vision.labels[:3]) or "none"
        raise ArgumentError(
            f"vit: {vision.name} names {len(vision.labels)} classes ({told} ...), and the images "
            f"have {len(data.names)} ({', '.join(data.names[:3])} ...). Give a classifier trained "
            f"on them, with these names in the id2label of its config."
        )
    return [vision.labels.index(name) for name in data.names]
