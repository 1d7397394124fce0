"""Vision transformers of transformers, and the text towers that come with some of them.

Other classes come here where `regard.tap.proven` has tried which patch is which token.

Keys are the class token, registers, then patches row by row. SigLIP has patches only, and a pooling
head with one learned query; DeiT has a distillation token after the class token. Which of these
there are is known from the parameters, not by what is left when patches are taken off. Covered:
ViT, DeiT, DINOv2 with and without registers, DINOv3, CLIP, SigLIP.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from regard.tap.family import FamilyLayout
from regard.tap.layout import LayerShape, TokenLayout
from regard.tap.segment import Grid, segments

SPECIAL = {
    "cls_token": "cls",
    "class_embedding": "cls",
    "distillation_token": "distillation",
    "register_tokens": "register",
}
"""Parameters that hold tokens, in the order in which the tokens come before the patches."""

_special: WeakKeyDictionary[nn.Module, dict[str, int]] = WeakKeyDictionary()


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of a vision transformer are."""
    if shape.layer.startswith("text_model") or inputs.get("pixel_values") is None:
        text = segments(("text", shape.queries))
        return TokenLayout(text, text)
    config = config_of(model)
    rows, columns = patch_grid(tuple(inputs["pixel_values"].shape[-2:]), config.patch_size)
    keys = segments(*special(model).items(), ("image", rows * columns, (rows, columns)))
    pools = shape.queries == 1 and ".head." in f".{shape.layer}."
    return TokenLayout(segments(("probe", 1)) if pools else keys, keys)


def special(model: nn.Module) -> dict[str, int]:
    """How many tokens of each kind come before the patches, by the model's parameters.

    A pooling head may have a token of its own, which is none of these.
    """
    if model not in _special:
        held = {
            name.rsplit(".", 1)[-1]: value
            for name, value in model.named_parameters()
            if ".head." not in f".{name}"
        }
        _special[model] = {
            kind: 1 if held[name].ndim == 1 else held[name].shape[-2]
            for name, kind in SPECIAL.items()
            if name in held
        }
    return _special[model]


def patch_grid(size: Grid, patch: int | Sequence[int]) -> Grid:
    """Rows and columns of patches in an image of this size in pixels.

    Example:
        >>> patch_grid((28, 42), 14)
        (2, 3)
    """
    high, wide = sides_of(patch)
    return size[0] // high, size[1] // wide


def sides_of(sides: int | Sequence[int]) -> Grid:
    """Rows and columns in pixels of a patch or an image, as configurations give them.

    Example:
        >>> sides_of(14)
        (14, 14)
    """
    high, wide = (sides, sides) if isinstance(sides, int) else sides
    return int(high), int(wide)


def config_of(model: nn.Module) -> Any:
    """The configuration of what looks at images, which may be a part of a larger one."""
    return getattr(model.config, "vision_config", model.config)


FAMILY = FamilyLayout(layout)
