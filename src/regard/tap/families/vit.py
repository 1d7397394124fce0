"""Vision transformers of transformers, and the text towers that come with some of them.

Keys are the class token, registers, then patches row by row. SigLIP has patches only, and a pooling
head with one learned query; DeiT has a distillation token after the class token. Covered: ViT,
DeiT, DINOv2 with and without registers, DINOv3, CLIP, SigLIP.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from regard.tap.layout import Family, Grid, LayerShape, TokenLayout, segments


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of a vision transformer are."""
    if shape.layer.startswith("text_model") or inputs.get("pixel_values") is None:
        return TokenLayout(*(segments(("text", shape.queries)),) * 2)
    config = getattr(model.config, "vision_config", model.config)
    rows, columns = patch_grid(tuple(inputs["pixel_values"].shape[-2:]), config.patch_size)
    registers = getattr(config, "num_register_tokens", 0)
    distillation = int(config.model_type == "deit")
    keys = segments(
        ("cls", shape.keys - distillation - registers - rows * columns),
        ("distillation", distillation),
        ("register", registers),
        ("image", rows * columns, (rows, columns)),
    )
    pooled = shape.queries != shape.keys
    return TokenLayout(segments(("probe", shape.queries)) if pooled else keys, keys)


def patch_grid(size: Grid, patch: int | Grid) -> Grid:
    """Rows and columns of patches in an image of this size in pixels.

    Example:
        >>> patch_grid((28, 42), 14)
        (2, 3)
    """
    high, wide = (patch, patch) if isinstance(patch, int) else patch
    return size[0] // high, size[1] // wide


FAMILY = Family(layout)
