"""Tiny vision transformers with random weights, as folders that `regard.load` opens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tiny import VISION

LABELS = ["cat", "dog", "bird"]

NAMES = (
    "ViTForImageClassification",
    "ViTModel",
    "Dinov2Model",
    "Dinov2ForImageClassification",
    "Dinov2WithRegistersModel",
    "Dinov2WithRegistersForImageClassification",
    "DINOv3ViTModel",
    "CLIPVisionModel",
    "CLIPVisionModelWithProjection",
    "SiglipVisionModel",
    "DeiTForImageClassification",
)


def tiny_vision(name: str, **changes: Any) -> nn.Module:
    """A network of 24 x 24 pixels and patches of 8; classifiers name a cat, a dog or a bird."""
    import transformers

    kind = getattr(transformers, name)
    settings = {**VISION, **changes}
    if "WithRegisters" in name or "DINOv3" in name:
        settings.setdefault("num_register_tokens", 4)
    if name.endswith("ForImageClassification"):
        settings["id2label"] = dict(enumerate(LABELS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(kind.config_class(**settings)).eval()


def vision_folder(
    folder: Path, name: str = "ViTForImageClassification", processor: Any = None, **changes: Any
) -> Path:
    """A folder with weights and, unless it is {}, a processor."""
    tiny_vision(name, **changes).save_pretrained(folder)
    plain = {"size": {"height": 24, "width": 24}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    said = plain if processor is None else processor
    if said:
        (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def picture(rows: int = 30, columns: int = 44, seed: int = 0) -> Image.Image:
    """Coloured noise, not square."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (rows, columns, 3), np.uint8))
