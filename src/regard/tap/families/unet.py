"""UNets of diffusers: Stable Diffusion 1 and 2, SDXL, IF, Kandinsky 2, and unconditional ones.

Image queries lie row by row on the grid of their resolution level. What the keys are is known from
the attention module, not from their number: self-attention has image keys; cross-attention has
what the text encoder gave (further calls of a layer with IP-Adapter have the image prompt); layers
with projections for added keys have that first, then the image. Keys that a processor adds of its
own, such as those of another image of the batch, are "other": which they are is not known.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from regard.tap.family import FamilyLayout
from regard.tap.layout import LayerShape, TokenLayout, has_image_prompt
from regard.tap.segment import Grid, segments

Parts = tuple[tuple[str, int], ...]


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of a UNet are."""
    return _laid(
        tuple(inputs["sample"].shape[-2:]),
        getattr(model.config, "downsample_padding", 1) == 0,
        encoded(model, inputs.get("encoder_hidden_states")),
        nature(shape),
        shape.queries,
        shape.keys,
        _grounded(inputs) if ".fuser" in shape.layer else 0,
    )


def nature(shape: LayerShape) -> str:
    """'self', 'cross', 'added' or 'prompted' (by an image), as the attention module says."""
    module = shape.module
    if shape.index > 0 and has_image_prompt(module):
        return "prompted"
    if getattr(module, "added_kv_proj_dim", None) is not None:
        return "added"
    crosses = getattr(module, "is_cross_attention", shape.layer.endswith("attn2"))
    return "cross" if crosses else "self"


def encoded(model: nn.Module, text: Any) -> Parts:
    """What the tokens are that layers attend to beside the image; () if there are none."""
    if torch.is_tensor(text) and text.ndim != 3:  # one vector for the whole prompt
        return ()
    texts = (("text", text.shape[1]),) if torch.is_tensor(text) else ()
    how = getattr(model.config, "encoder_hid_dim_type", None)
    if how not in ("text_image_proj", "image_proj"):
        return texts
    # Kandinsky 2 makes tokens of an image, too: 2.1 puts them before the text, 2.2 has no other.
    count = getattr(model.encoder_hid_proj, "num_image_text_embeds", 0)
    images = (("image_prompt", count),) if count else ()
    return images + texts if how == "text_image_proj" else images


@lru_cache(maxsize=4096)  # every layer asks in every step
def _laid(
    size: Grid,
    asymmetric: bool,
    read: Parts,
    nature: str,
    queries: int,
    keys: int,
    grounded: int,
) -> TokenLayout:
    plane = ("image", queries, level(size, queries, asymmetric=asymmetric))
    image, count = segments(plane), sum(length for _, length in read)
    unknown = segments(("other", keys))
    if nature == "prompted":
        return TokenLayout(image, segments(("image_prompt", keys)))
    if nature == "self":
        if plane[2] is None and queries == keys:
            both = _beside_objects(size, queries, grounded, asymmetric)
            return TokenLayout(both, both)
        # More keys or fewer: a processor has added some, or left some out.
        return TokenLayout(image, image if keys == queries else unknown, known_kind="self")
    if nature == "added" and keys == count + queries:
        return TokenLayout(image, segments(*read, plane))
    if keys == count:
        return TokenLayout(image, segments(*read))
    if not read and keys == queries:  # what is given no text attends to itself
        return TokenLayout(image, image)
    return TokenLayout(image, unknown, known_kind="joint" if nature == "added" else "cross")


def _beside_objects(size: Grid, tokens: int, grounded: int, asymmetric: bool) -> tuple[Any, ...]:
    """The image and, behind it, the objects of GLIGEN; all is 'other' if their number is not so."""
    grid = level(size, tokens - grounded, asymmetric=asymmetric) if grounded else None
    if grid is None:
        return segments(("other", tokens))
    return segments(("image", tokens - grounded, grid), ("other", grounded))


def _grounded(inputs: Mapping[str, Any]) -> int:
    """How many objects GLIGEN was given a box for."""
    boxes = ((inputs.get("cross_attention_kwargs") or {}).get("gligen") or {}).get("boxes")
    return boxes.shape[1] if torch.is_tensor(boxes) else 0


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
    while rows * columns > max(tokens, 1):
        rows, columns = (
            (rows // 2, columns // 2) if asymmetric else (-(-rows // 2), -(-columns // 2))
        )
    return (rows, columns) if rows * columns == tokens else None


def stage(layer: str) -> str | None:
    """'down', 'mid' or 'up', by the block that the layer lies in.

    Example:
        >>> stage("down_blocks.1.attentions.0.transformer_blocks.0.attn2")
        'down'
    """
    block = layer.split("_block", 1)[0].rsplit(".", 1)[-1]
    return block if block in ("down", "mid", "up") else None


FAMILY = FamilyLayout(layout, stage)
