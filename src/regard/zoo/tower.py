"""The text tower of a contrastive model, as the text encoder of a denoiser."""

from pathlib import Path
from typing import Any

import torch

from regard.zoo.bundled import ready


def text_tower(folder: Path, device: torch.device, *, projected: bool = False) -> tuple[Any, Any]:
    """Tokenizer and text tower, which is used and not trained.

    Args:
        folder: Of a `transformers.CLIPModel` with its tokenizer.
        device: Where the tower goes.
        projected: Whether it keeps the projection into the space that texts and images share.

    Returns:
        A `CLIPTokenizer`, and a `CLIPTextModel` or `CLIPTextModelWithProjection`.
    """
    from transformers import (
        CLIPModel,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    clip = CLIPModel.from_pretrained(folder)
    config = clip.config.text_config
    config.projection_dim = clip.config.projection_dim
    tower = (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)
    weights = clip.state_dict()
    own = tower.state_dict()
    # Versions of transformers differ in whether a lone tower has the prefix.
    tower.load_state_dict(
        {name: weights[name if name in weights else f"text_model.{name}"] for name in own}
    )
    return CLIPTokenizer.from_pretrained(folder), ready(tower).to(device)
