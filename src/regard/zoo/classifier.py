"""Task: a vision transformer that says what an image of Fashion-MNIST shows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.data.fashion_mnist import NAMES, FashionMNIST, fashion_mnist
from regard.zoo.recipe import Recipe

MEAN, STD = 0.286, 0.353
"""Of all pixels of the 60,000 training images, in shares of full scale."""


class ClassifierTask:
    """Name the class of an image: first of small ones, then of some patches, then of all."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from transformers import ViTConfig, ViTForImageClassification

        self.settings, self.device = plan.train, device
        names = dict(enumerate(NAMES))
        config = ViTConfig(
            **plan.model, id2label=names, label2id={name: i for i, name in names.items()}
        )
        self.network: Any = ViTForImageClassification(config).to(device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Images of an epoch in its own order, each moved a little, half of them mirrored."""
        seen, settings = training_set(), self.settings
        chosen = of_step(step, settings["batch"], len(seen), seed=settings["seed"])
        rng = np.random.default_rng([settings["seed"], step])
        images = np.stack([varied(seen.images[i], rng, reach=settings["shift"]) for i in chosen])
        return {
            "pixels": to_pixels(images).to(self.device),
            "labels": torch.from_numpy(seen.labels[chosen]).to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """Cross-entropy with softened labels, in nats.

        Source:
            Tan and Le (2021), "EfficientNetV2", arXiv 2104.00298, section 4, for small images
            first.
        """
        settings, pixels = self.settings, batch["pixels"]
        if step < settings["full_size_from"]:
            side = settings["first_side"]
            small = F.interpolate(pixels, size=(side, side), mode="area")
            # The library's own way of using position embeddings of another grid.
            logits = self.network(pixel_values=small, interpolate_pos_encoding=True).logits
        else:
            part = settings["part_of_patches"] if step < settings["whole_from"] else 1.0
            with some_patches(self.network.vit.embeddings, part):
                logits = self.network(pixel_values=pixels).logits
        return F.cross_entropy(
            logits, batch["labels"], label_smoothing=self.settings["label_smoothing"]
        )

    def save(self, folder: Path) -> None:
        """Write network and image processor in the layout of transformers."""
        from transformers import ViTImageProcessorPil

        self.network.save_pretrained(folder, safe_serialization=True)
        side = self.network.config.image_size
        ViTImageProcessorPil(
            size={"height": side, "width": side}, image_mean=[MEAN], image_std=[STD]
        ).save_pretrained(folder)


@lru_cache(maxsize=1)
def training_set() -> FashionMNIST:
    """The 60,000 training images, read once."""
    return fashion_mnist("train")


def of_step(step: int, batch: int, count: int, *, seed: int) -> np.ndarray:
    """Which images make a step: every epoch has an order of its own, by seed and number.

    Example:
        >>> first = np.concatenate([of_step(i, 2, 4, seed=0) for i in range(2)])
        >>> sorted(first.tolist())
        [0, 1, 2, 3]
    """
    places = np.arange(step * batch, (step + 1) * batch)
    return np.array([order(seed, int(at) // count, count)[at % count] for at in places])


@lru_cache(maxsize=2)  # a step may begin in one epoch and end in the next
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of one epoch."""
    return np.random.default_rng([seed, epoch, count]).permutation(count)


def varied(image: np.ndarray, rng: np.random.Generator, *, reach: int) -> np.ndarray:
    """An image moved by up to ``reach`` pixels each way, black coming in, and perhaps mirrored."""
    high, wide = image.shape
    down, across = rng.integers(0, 2 * reach + 1, size=2)
    moved = np.pad(image, reach)[down : down + high, across : across + wide]
    return moved[:, ::-1] if rng.random() < 0.5 else moved


def to_pixels(images: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """Grey images as the network takes them: float32 [sample, 1, h, w], mean 0, deviation 1.

    Example:
        >>> to_pixels(np.zeros((2, 28, 28), np.uint8)).shape
        torch.Size([2, 1, 28, 28])
    """
    shares = np.asarray(images, np.float32) / 255
    return torch.from_numpy((shares - np.float32(MEAN)) / np.float32(STD))[:, None]


@contextmanager
def some_patches(embeddings: Any, part: float) -> Iterator[None]:
    """For the length of the block the transformer gets a random part of the patches, and CLS.

    Args:
        embeddings: The module that makes the tokens: CLS first, then the patches.
        part: Share of patches that each image keeps, other ones in each; 1 keeps all.

    Source:
        Liu et al. (2022), "PatchDropout", arXiv 2208.07220, section 3.
    """

    def keep(module: Any, inputs: Any, tokens: Tensor) -> Tensor:
        samples, count, width = tokens.shape
        wanted = max(1, round(part * (count - 1)))
        drawn = torch.rand(samples, count - 1, device=tokens.device).argsort(1)[:, :wanted] + 1
        kept = tokens.gather(1, drawn[..., None].expand(-1, -1, width))
        return torch.cat([tokens[:, :1], kept], 1)

    hook = embeddings.register_forward_hook(keep) if part < 1 else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def task(plan: Recipe, device: torch.device) -> ClassifierTask:
    """The task that `regard.zoo.train` runs."""
    return ClassifierTask(plan, device)
