"""Images as the networks take them: float32 [sample, 3, h, w] in -1..1."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.data.scenes import Scene, scene


def to_tensor(images: Iterable[Any]) -> Tensor:
    """Stack images (PIL or uint8 [h, w, 3]) as float32 [sample, 3, h, w] in -1..1.

    Example:
        >>> to_tensor([np.full((2, 2, 3), 255, np.uint8)]).max().item()
        1.0
    """
    arrays = [np.asarray(image, dtype=np.uint8) for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(pixels: Tensor) -> list[Image.Image]:
    """The inverse of `to_tensor`; values outside -1..1 are clipped."""
    bytes_ = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    return [Image.fromarray(each) for each in bytes_.cpu().numpy()]


def kind_of_scenes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Size and version of the scenes that a recipe is for, as `regard.data.scene` takes them.

    Args:
        settings: Its ``train``.
    """
    return {"size": settings.get("size", 64), "version": settings.get("scenes_version", 1)}


def training_scenes(
    step: int, batch: int, settings: Mapping[str, Any], **options: Any
) -> list[Scene]:
    """The scenes of one training step: none is used twice.

    Args:
        step: From 0.
        batch: How many.
        settings: The ``train`` of a recipe: its ``seed``, ``size`` and ``scenes_version``.
        options: More of `regard.data.scene`.
    """
    how = {**kind_of_scenes(settings), "seed": settings["seed"], **options}
    return [scene(i, **how) for i in range(step * batch, (step + 1) * batch)]


def scenes_for_judges(step: int, settings: Mapping[str, Any]) -> list[Scene]:
    """The scenes of one step for a model that judges images: a third is as `openmoji` sees them.

    The rest show two subjects, of all pairs: a judge must know those too that `openmoji` never
    sees together.
    """
    batch = settings["batch"]
    some = training_scenes(step, batch // 3, settings)
    return some + training_scenes(step, batch - len(some), settings, split="test", count=2)


def mixed(settings: Mapping[str, Any], device: torch.device) -> Any:
    """Where a recipe has ``bfloat16``, and on a GPU, a context of mixed precision."""
    wanted = settings.get("bfloat16", False) or device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)
