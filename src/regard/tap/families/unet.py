"""UNets of diffusers: Stable Diffusion 1 and 2, SDXL, IF, Kandinsky 2, and unconditional ones.

Image queries lie row by row on the grid of their resolution level. Self-attention has image keys;
cross-attention has the text (a second call of the same layer, as IP-Adapter makes, has the image
prompt); layers with added keys have the text first, then the image.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from torch import nn

from regard.tap.layout import Family, Grid, LayerShape, TokenLayout, segments


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of a UNet are."""
    text = inputs.get("encoder_hidden_states")
    return _laid(
        tuple(inputs["sample"].shape[-2:]),
        0 if text is None else text.shape[1],
        getattr(model.config, "downsample_padding", 1) == 0,
        shape,
    )


@lru_cache(maxsize=4096)  # every layer asks in every step
def _laid(size: Grid, texts: int, asymmetric: bool, shape: LayerShape) -> TokenLayout:
    plane = ("image", shape.queries, level(size, shape.queries, asymmetric=asymmetric))
    image = segments(plane)
    if shape.index > 0:
        return TokenLayout(image, segments(("image_prompt", shape.keys)))
    if shape.keys == texts and not shape.layer.endswith("attn1"):
        return TokenLayout(image, segments(("text", texts)))
    if shape.keys == shape.queries:
        return TokenLayout(image, image)
    if shape.keys == texts:
        return TokenLayout(image, segments(("text", texts)))
    if shape.keys > shape.queries:
        return TokenLayout(image, segments(("text", shape.keys - shape.queries), plane))
    return TokenLayout(image, segments(("other", shape.keys)))


def level(size: Grid, tokens: int, *, asymmetric: bool = False) -> Grid | None:
    """The resolution of the level that has this many tokens.

    Each level halves rows and columns: rounding up with the usual padding of 1, rounding down where
    only one side is padded.

    Args:
        size: Rows and columns of the latent.
        tokens: Number of image tokens at the level.
        asymmetric: Whether the model pads one side only (``downsample_padding=0``).

    Returns:
        Rows and columns, or None if no level has that many tokens.

    Example:
        >>> level((9, 16), 40)
        (5, 8)
        >>> level((9, 16), 7) is None
        True
    """
    rows, columns = size
    while rows * columns > tokens:
        rows, columns = (
            (rows // 2, columns // 2) if asymmetric else (-(-rows // 2), -(-columns // 2))
        )
    return (rows, columns) if rows * columns == tokens else None


def place(layer: str) -> str | None:
    """'down', 'mid' or 'up', by the block that the layer lies in.

    Example:
        >>> place("down_blocks.1.attentions.0.transformer_blocks.0.attn2")
        'down'
    """
    block = layer.split("_block", 1)[0].rsplit(".", 1)[-1]
    return block if block in ("down", "mid", "up") else None


FAMILY = Family(layout, place)
