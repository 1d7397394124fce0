"""FLUX.1: text and image in one sequence, in double blocks and in single blocks alike.

Queries and keys are the tokens of T5 (CLIP gives one vector for the whole prompt and no tokens),
then the image row by row, then, where a reference image was given (Kontext), that image. A second
call of the same layer, as IP-Adapter makes, has an image prompt.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from regard.tap.family import FamilyLayout
from regard.tap.layout import LayerShape, TokenLayout, has_image_prompt
from regard.tap.segment import Grid, segments

# Reading positions waits for the device, so it is done once for all layers and steps.
_grids = WeakTensorKeyDictionary()


def layout(model: nn.Module, inputs: Mapping[str, Any], shape: LayerShape) -> TokenLayout:
    """Say what the queries and keys of one attention layer of FLUX are."""
    ids = inputs["img_ids"]
    if ids not in _grids:
        _grids[ids] = grid(ids)
    rows, columns = _grids[ids]
    images, text = (inputs[n].shape[1] for n in ("hidden_states", "encoder_hidden_states"))
    planes = (
        ("image", rows * columns, (rows, columns)),
        ("image_prompt", images - rows * columns),
    )
    if shape.index > 0 and has_image_prompt(shape.module) and shape.queries == images:
        return TokenLayout(segments(*planes), segments(("image_prompt", shape.keys)))
    both = segments(("text", text), *planes)
    queries, keys = (
        both if count == text + images else segments(("other", count))
        for count in (shape.queries, shape.keys)
    )
    # A processor may have added keys of its own: which they are is not known.
    return TokenLayout(queries, keys, known_kind="joint")


def grid(ids: Tensor) -> Grid:
    """Rows and columns of the generated image, from the positions of its tokens.

    Args:
        ids: [token, 3] or [batch, token, 3]: which image, row and column; the generated one comes
            first.

    Example:
        >>> import torch
        >>> made = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 0, 2]])
        >>> given = torch.tensor([[1, 0, 0], [1, 1, 0]])
        >>> grid(torch.cat([made, given]))
        (1, 3)
    """
    flat = ids if ids.ndim == 2 else ids[0]
    rows, columns = flat[flat[:, 0] == flat[0, 0]][:, 1:].amax(0).tolist()
    return int(rows) + 1, int(columns) + 1


FAMILY = FamilyLayout(layout)
