"""Stable Diffusion 3 and 3.5: image and text in one sequence, each with projections of its own.

Queries and keys are the image row by row, then the text: the tokens of both CLIP encoders, which
share their positions, then those of T5. The second attention of a block (3.5) has the image alone,
and a second call of the same layer, as IP-Adapter makes, has an image prompt behind the image.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from regard.tap.family import FamilyLayout
from regard.tap.layout import LayerShape, TokenLayout, has_image_prompt
from regard.tap.segment import segments


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of Stable Diffusion 3 are."""
    rows, columns = (side // model.config.patch_size for side in inputs["hidden_states"].shape[-2:])
    count = rows * columns
    image = ("image", count, (rows, columns))
    if shape.index > 0 and has_image_prompt(shape.module) and shape.keys > count:
        return TokenLayout(segments(image), segments(image, ("image_prompt", shape.keys - count)))
    alone = shape.layer.endswith("attn2")
    text = 0 if alone else inputs["encoder_hidden_states"].shape[1]
    both = segments(image, ("text", text))
    queries, keys = (
        both if number == count + text else segments(("other", number))
        for number in (shape.queries, shape.keys)
    )
    # A processor may have added keys of its own: which they are is not known.
    return TokenLayout(queries, keys, known_kind="self" if alone else "joint")


FAMILY = FamilyLayout(layout)
