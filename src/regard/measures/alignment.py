"""Does a picture fit its text, or another picture? By an encoder, pair by pair.

The encoder is the judge: a score means what its training taught it, and scores of two encoders
cannot be compared. So every result tells which one it was, with the SHA-256 of its weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from array_api_compat import array_namespace

from regard.arguments import indices
from regard.axes import SAMPLE
from regard.errors import ArgumentError
from regard.measures.about import NONE, PICTURES, PICTURES_AND_TEXTS, TEXTS, measure

BATCH = 32
"""Pictures encoded at a time."""

SCALES = {"cosine": "cosine", "2.5": "2.5 x cosine, at least 0", "100": "100 x cosine, at least 0"}
"""How a CLIP score may be written, and its unit."""


@measure(unit="cosine", low=-1.0, higher="fits better", reads=PICTURES_AND_TEXTS, reduce=NONE)
def clip_score(
    images: Sequence[Any],
    texts: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    scale: str = "cosine",
    prefix: str = "",
    batch: int = BATCH,
) -> xr.DataArray:
    """How well each picture fits its text: cosine -1..1, or on a published scale 0..2.5 or 0..100.

    Args:
        images: Pictures: PIL, uint8 arrays, or `regard.data.pictures.pictures`.
        texts: One for each.
        model: What `regard.zoo.encoder.encoder` takes, and reads texts.
        scale: ``cosine``; ``2.5`` for 2.5 max(cosine, 0), the paper's; ``100`` for
            100 max(cosine, 0), as many tools print it.
        prefix: Put before each text. The paper has "A photo depicts "; the bundled model was
            trained without one.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, on that scale; coordinates are file names if there are any. ``attrs["cut"]`` is
        the number of texts that the model could not read whole.

    Raises:
        ArgumentError: the numbers differ, there are none, or there is no such scale.
        DataError: the encoder cannot be opened, or a picture not be read.

    Example:
        >>> from regard.data import scene
        >>> one = scene(3, split="test")
        >>> fits = clip_score([one.image, one.image], [one.caption(), "the bird on the lake"])
        >>> bool(fits[0] > fits[1])
        True

    Source:
        Hessel et al. (2021), "CLIPScore: A Reference-free Evaluation Metric for Image Captioning",
        section 3, arXiv 2104.08718.

    Differs from the paper:
        The plain cosine is the default, and no prefix; the paper's encoder is CLIP ViT-B/32.
    """
    check_scale(scale)
    check_pairs("clip_score", images, texts)
    said = [prefix + text for text in texts]
    cosine, which = _cosines("clip_score", images, said, model, batch)
    score = cosine if scale == "cosine" else float(scale) * np.maximum(cosine, 0.0)
    more = {"scale": scale, "prefix": prefix, "cut": which.cut(said)}
    return _labelled("clip_score", score, images, which, units=SCALES[scale], **more)


@measure(unit="cosine", low=-1.0, higher="more alike", reads=PICTURES, reduce=NONE)
def image_similarity(
    images: Sequence[Any],
    others: Sequence[Any],
    *,
    model: Any = "openmoji-clip",
    batch: int = BATCH,
) -> xr.DataArray:
    """How alike two pictures are in what an encoder sees in them: cosine, 1 the same, -1 opposite.

    Args:
        images: As for `clip_score`.
        others: One for each.
        model: What `regard.zoo.encoder.encoder` takes.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, cosine.

    Raises:
        ArgumentError: the numbers differ, or there are none.
        DataError: the encoder cannot be opened, or a picture not be read.

    Example:
        >>> from regard.data import scene
        >>> image = scene(3).image
        >>> image_similarity([image], [image]).round(3).item()
        1.0

    Source:
        With CLIP, "CLIP-I", and with DINO: Ruiz et al. (2023), "DreamBooth: Fine Tuning
        Text-to-Image Diffusion Models for Subject-Driven Generation", section 4.1.
    """
    check_pairs("image_similarity", images, others)
    cosine, which = _cosines("image_similarity", images, others, model, batch)
    return _labelled("image_similarity", cosine, images, which, units="cosine")


@measure(unit="cosine", low=-1.0, higher="more alike", reads=TEXTS, reduce=NONE)
def text_similarity(
    texts: Sequence[str],
    others: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    batch: int = BATCH,
) -> xr.DataArray:
    """How alike two texts are to an encoder, such as prompt and caption: cosine, 1 the same.

    Args:
        texts: Texts.
        others: One for each.
        model: What `regard.zoo.encoder.encoder` takes, and reads texts.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, cosine; ``attrs["cut"]`` is the number of texts that could not be read whole.

    Raises:
        ArgumentError: the numbers differ, or there are none.
        DataError: the encoder cannot be opened.

    Example:
        >>> text_similarity(["a cat"], ["a cat"]).round(3).item()
        1.0

    Source:
        Between prompt and caption: Chefer et al. (2023), "Attend-and-Excite: Attention-Based
        Semantic Guidance for Text-to-Image Diffusion Models", section 4.2.
    """
    check_pairs("text_similarity", texts, others)
    cosine, which = _cosines("text_similarity", texts, others, model, batch)
    cut = which.cut([*texts, *others])
    return _labelled("text_similarity", cosine, texts, which, units="cosine", cut=cut)


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
    """How far two pictures are apart place by place in the layers of an encoder: 0 the same, to 4.

    At each place of a layer the channels are brought to length 1; the squared distance is
    averaged over places (a class token is one of them), then over layers.

    Args:
        images: As for `clip_score`.
        others: One for each.
        model: What `regard.zoo.encoder.encoder` takes, and shows its layers.
        layers: Numbers of the layers to compare, 0 the first, -1 the last; by default all.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, without unit.

    Raises:
        ArgumentError: the numbers differ, there are none, the encoder shows no layers, or it has
            no such layer.
        DataError: the encoder cannot be opened, or a picture not be read.

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
    from regard.zoo.encoder import as_pictures

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
    told = {"units": "1", "layers": "all" if layers is None else list(layers)}
    return _labelled("perceptual_distance", np.concatenate(found), images, which, **told)


def open_encoder(which: Any) -> Any:
    """`regard.zoo.encoder.encoder`; this module is the door of this room to encoders."""
    from regard.zoo.encoder import encoder

    return encoder(which)


def features(which: Any, items: Sequence[Any], *, batch: int, caller: str) -> Any:
    """`regard.zoo.encoder.encoded`: features of pictures or texts, a tensor [item, feature]."""
    from regard.zoo.encoder import encoded

    return encoded(which, items, batch=batch, caller=caller)


def cosine_of_rows(first: Any, second: Any) -> Any:
    """Cosine over the last axis of NumPy arrays or tensors; differentiable; NaN for a zero row."""
    xp = array_namespace(first, second)
    lengths = xp.sqrt(xp.sum(first * first, axis=-1)) * xp.sqrt(xp.sum(second * second, axis=-1))
    return xp.sum(first * second, axis=-1) / lengths


def distance_of_layers(first: Sequence[Any], second: Sequence[Any]) -> Any:
    """``perceptual_distance`` of layers [sample, place, channel] or [sample, channel, y, x].

    NumPy arrays or tensors; differentiable.
    """
    each = [_distance_of_layer(one, other) for one, other in zip(first, second, strict=True)]
    return sum(each[1:], each[0]) / len(each)


def check_scale(scale: str) -> None:
    """Refuse a scale that a CLIP score is not written on.

    Raises:
        ArgumentError: there is no such scale.

    Example:
        >>> check_scale("cosine")
    """
    if scale not in SCALES:
        raise ArgumentError(
            f"clip_score: scale is '{scale}' and must be one of {', '.join(sorted(SCALES))}."
        )


def check_pairs(caller: str, first: Sequence[Any], second: Sequence[Any]) -> None:
    """Refuse what cannot be taken pair by pair.

    Raises:
        ArgumentError: the numbers differ, or there are none.

    Example:
        >>> check_pairs("example", ["a cat"], ["a dog"])
    """
    if isinstance(first, str) or isinstance(second, str):
        raise ArgumentError(f"{caller}: got one text; give lists, with one member for each pair.")
    if len(first) != len(second) or not len(first):
        raise ArgumentError(
            f"{caller}: got {len(first)} and {len(second)}; give one for each, and one pair at "
            f"least."
        )


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


def _cosines(
    caller: str, first: Sequence[Any], second: Sequence[Any], model: Any, batch: int
) -> tuple[Any, Any]:
    """Cosines [sample] and the encoder that made them."""
    which = open_encoder(model)
    pair = [features(which, each, batch=batch, caller=caller).numpy() for each in (first, second)]
    with np.errstate(invalid="ignore"):  # a vector of length 0 points nowhere: NaN, and counted
        return cosine_of_rows(*pair), which


def _labelled(
    name: str, values: Any, first: Sequence[Any], which: Any, **attrs: Any
) -> xr.DataArray:
    names = getattr(first, "names", None)
    coords = {} if names is None else {SAMPLE: list(names)}
    told = {"encoder": which.name, **which.recipe, "undefined": int(np.isnan(values).sum())}
    found = xr.DataArray(values, dims=(SAMPLE,), coords=coords, name=name)
    return found.assign_attrs({**attrs, **told})
