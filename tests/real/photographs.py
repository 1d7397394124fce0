"""Real photographs, which come with scikit-image (public domain or CC0)."""

from functools import cache
from typing import Any

import numpy as np
import torch

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@cache
def photo(name: str) -> np.ndarray:
    """A photograph, uint8 [y, x, 3]."""
    from skimage import data

    return np.asarray(getattr(data, name)())


def run(model: Any, pixels: torch.Tensor) -> Any:
    """What a module of the library gives for pixels, its weights and hidden states too."""
    with torch.no_grad():
        return model(pixels, output_attentions=True, output_hidden_states=True)
