"""Task: say for each pixel which subject it shows and of what colour."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.scenes import Scene
from regard.zoo.autoencoder import save_half
from regard.zoo.pixels import mixed, scenes_for_judges, to_tensor
from regard.zoo.recipe import Recipe

IGNORED = -100
"""The label of a pixel that does not count, as torch's cross-entropy has it."""


def labels() -> list[str]:
    """The output channels: background, 24 subjects, then 11 colours.

    Example:
        >>> len(labels()), labels()[0], labels()[1], labels()[25]
        (36, 'background', 'cat', 'red')
    """
    return ["background", *SUBJECTS, *COLOURS]


def split_channels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Subject logits [sample, 25, h, w] and colour logits [sample, 11, h, w]."""
    subjects, colours = logits.split([1 + len(SUBJECTS), len(COLOURS)], dim=1)
    return subjects, colours


def targets(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Subject and colour labels, int64 [sample, h, w] each.

    A pixel counts for colour only where something was painted in a named one: what has its own
    colours has none that could be right.
    """
    shape = (len(scenes), *scenes[0].image.shape[:2])
    subjects, colours = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for i, each in enumerate(scenes):
        for placed in each.placed:
            subject, colour = placed.mention.subject, placed.mention.colour
            subjects[i][placed.mask] = 1 + SUBJECTS.index(subject)
            if colour is not None:
                colours[i][placed.mask] = list(COLOURS).index(colour)
    return torch.from_numpy(subjects), torch.from_numpy(colours)


class SegmenterTask:
    """Two cross-entropies, over subjects and over colours, on scenes softened at random."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        self.settings, self.device = plan.train, device
        names = dict(enumerate(labels()))
        config = SegformerConfig(
            **plan.model, id2label=names, label2id={name: i for i, name in names.items()}
        )
        self.network: Any = SegformerForSemanticSegmentation(config).to(device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Scenes, most of them with two subjects, and their labels."""
        scenes = scenes_for_judges(step, self.settings)
        subjects, colours = targets(scenes)
        pixels = softened(to_tensor(s.image for s in scenes))
        return {
            "pixels": pixels.to(self.device),
            "subjects": subjects.to(self.device),
            "colours": colours.to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """Cross-entropy of subjects plus that of colours, at the image's own resolution."""
        with mixed(self.settings, self.device):
            logits = self.network(pixel_values=batch["pixels"]).logits.float()
        logits = full_size(logits, batch["pixels"])
        subjects, colours = split_channels(logits)
        loss = F.cross_entropy(subjects, batch["subjects"])
        if (batch["colours"] != IGNORED).any():
            loss = loss + 0.3 * F.cross_entropy(colours, batch["colours"], ignore_index=IGNORED)
        return loss

    def save(self, folder: Path) -> None:
        """Write the network in the layout of transformers."""
        save_half(self.network, folder)


def full_size(logits: Tensor, pixels: Tensor) -> Tensor:
    """Logits at the resolution of the image, bilinear."""
    return F.interpolate(logits, size=pixels.shape[-2:], mode="bilinear", align_corners=False)


def softened(pixels: Tensor) -> Tensor:
    """Half of the images blurred or noisy, since generated images are never quite sharp."""
    half = len(pixels) // 2
    coarse = F.avg_pool2d(pixels[:half], 3, stride=1, padding=1, count_include_pad=False)
    mix = torch.rand(half, 1, 1, 1)
    soft = pixels[:half].lerp(coarse, mix) + 0.06 * torch.rand(half, 1, 1, 1) * torch.randn_like(
        pixels[:half]
    )
    return torch.cat([soft, pixels[half:]])


def task(plan: Recipe, device: torch.device) -> SegmenterTask:
    """The task that `regard.zoo.train` runs."""
    return SegmenterTask(plan, device)
