"""Tiny image classifiers and pictures for the tests of explanations."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

import tiny


@functools.cache
def classifier(name: str = "ViT", labels: int = 4, **changes: Any) -> nn.Module:
    """A classifier of transformers on 24 x 24 pixels with patches of 8; made once, never changed.

    Its weights are larger than at initialisation, so that classes and patches differ.
    """
    import transformers

    made = {**tiny.VISION, "num_labels": labels, **changes}
    config = getattr(transformers, f"{name}Config")(**made)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}ForImageClassification")(config).eval()
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.data = torch.randn_like(weights) * weights.shape[-1] ** -0.5
    return model


def pictures(count: int = 2, high: int = 24, wide: int = 24, seed: int = 0) -> Tensor:
    """Normal noise, [sample, 3, y, x]."""
    return tiny.noise(count, 3, high, wide, seed=seed)


def total(pixels: Tensor) -> Tensor:
    """The sum of each picture: a score whose parts one can add up by hand."""
    return pixels.sum((1, 2, 3))


def squares(pixels: Tensor) -> Tensor:
    """The sum of squares of each picture."""
    return (pixels**2).sum((1, 2, 3))


NOTHING = nn.Identity().eval()
"""A model for scores that need none."""
