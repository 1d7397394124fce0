"""How far two images are apart in the layers of an encoder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.arguments import indices
from regard.errors import ArgumentError
from regard.measures.about import PICTURES, measure
from regard.scores.pairs import BATCH, check_pairs, labelled_by, open_encoder


@measure(
    unit="1",
    high=4.0,
    higher="further apart",
    reads=PICTURES,
    reduce="over places, then over layers",
)
def perceptual_distance(
    images: Sequence[Any],
    others: Sequence[Any],
    *,
    model: Any = "openmoji-clip",
    layers: Sequence[int] | None = None,
    batch: int = BATCH,
) -> xr.DataArray:
    """How far two images are apart place by place in the layers of an encoder: 0 the same, to 4.

    At each place of a layer the channels are brought to length 1; the squared distance is
    averaged over places (a class token is one of them), then over layers.

    Args:
        images: As for `clip_score`.
        others: One for each.
        model: What `regard.models.encoder.encoder` takes, and shows its layers.
        layers: Numbers of the layers to compare, 0 the first, -1 the last; by default all.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, without unit.

    Raises:
        ArgumentError: the numbers differ, there are none, the encoder shows no layers, or it has
            no such layer.
        DataError: the encoder cannot be opened, or an image not be read.

    Example:
        >>> from regard.data import scene
        >>> image = scene(3).image
        >>> perceptual_distance([image], [image]).item()
        0.0

    Source:
        Zhang et al. (2018), "The Unreasonable Effectiveness of Deep Features as a Perceptual
        Metric", eq. 1, arXiv 1801.03924.

    Differs from the paper:
        No weights learnt from human judgements (so this is not LPIPS), any encoder, and the mean
        over layers where the paper has the sum.
    """
    from regard.models.encoder import as_pictures

    check_pairs("perceptual_distance", images, others)
    which = open_encoder(model)
    if which.layers is None:
        raise ArgumentError(
            f"perceptual_distance: the encoder '{which.name}' shows no layers. Give a bundled "
            f"model, a folder, or an Encoder with layers=."
        )
    found = []
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        pair = [which.layers(as_pictures(each[part], first)) for each in (images, others)]
        kept = [_chosen(each, layers) for each in pair]
        found.append(np.asarray(distance_of_layers(*kept)))
    named = "all" if layers is None else list(layers)
    return labelled_by(perceptual_distance, np.concatenate(found), images, which, layers=named)


def distance_of_layers(first: Sequence[Any], second: Sequence[Any]) -> Any:
    """``perceptual_distance`` of layers [sample, place, channel] or [sample, channel, y, x].

    NumPy arrays or tensors; differentiable.
    """
    each = [_distance_of_layer(one, other) for one, other in zip(first, second, strict=True)]
    return sum(each[1:], each[0]) / len(each)


def _distance_of_layer(one: Any, other: Any) -> Any:
    xp = array_namespace(one, other)
    if one.ndim == 4:
        one, other = (
            xp.permute_dims(xp.reshape(each, (*each.shape[:2], -1)), (0, 2, 1))
            for each in (one, other)
        )
    between = _unit(one) - _unit(other)
    return xp.mean(xp.sum(between * between, axis=-1), axis=-1)


def _unit(rows: Any) -> Any:
    xp = array_namespace(rows)
    length = xp.sqrt(xp.sum(rows * rows, axis=-1, keepdims=True))
    # A place where every channel is 0, as after a ReLU, has no direction and stays 0.
    return rows / xp.clip(length, min=1e-10)


def _chosen(found: Sequence[Any], layers: Sequence[int] | None) -> list[Any]:
    number, places = len(found), indices(layers, "layers", "perceptual_distance")
    if places is None:
        return list(found)
    if isinstance(places, slice):
        places = list(range(number))[places]
    if not places or not all(-number <= place < number for place in places):
        raise ArgumentError(
            f"perceptual_distance: layers is {places} and the encoder has the layers 0 to "
            f"{number - 1}. Name some of these."
        )
    return [found[place] for place in places]
