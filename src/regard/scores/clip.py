"""Does an image fit its text, or another image? The cosine of an encoder, pair by pair."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.errors import ArgumentError
from regard.measures.about import NONE, PICTURES, PICTURES_AND_TEXTS, TEXTS, measure
from regard.scores.pairs import BATCH, check_pairs, cosines, labelled_by

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
    """How well each image fits its text: cosine -1..1, or on a published scale 0..2.5 or 0..100.

    Args:
        images: PIL images, uint8 arrays, or `regard.data.pictures.pictures`.
        texts: One for each.
        model: What `regard.models.encoder.encoder` takes, and reads texts.
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
        DataError: the encoder cannot be opened, or an image not be read.

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
    cosine, which = cosines("clip_score", images, said, model, batch)
    score = cosine if scale == "cosine" else float(scale) * np.maximum(cosine, 0.0)
    more = {"scale": scale, "prefix": prefix, "cut": which.cut(said)}
    found = labelled_by(clip_score, score, images, which, **more)
    return found.assign_attrs(units=SCALES[scale])


@measure(unit="cosine", low=-1.0, higher="more alike", reads=PICTURES, reduce=NONE)
def image_similarity(
    images: Sequence[Any],
    others: Sequence[Any],
    *,
    model: Any = "openmoji-clip",
    batch: int = BATCH,
) -> xr.DataArray:
    """How alike two images are in what an encoder sees in them: cosine, 1 the same, -1 opposite.

    Args:
        images: As for `clip_score`.
        others: One for each.
        model: What `regard.models.encoder.encoder` takes.
        batch: How many are encoded at a time.

    Returns:
        ``sample``, cosine.

    Raises:
        ArgumentError: the numbers differ, or there are none.
        DataError: the encoder cannot be opened, or an image not be read.

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
    cosine, which = cosines("image_similarity", images, others, model, batch)
    return labelled_by(image_similarity, cosine, images, which)


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
        model: What `regard.models.encoder.encoder` takes, and reads texts.
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
    cosine, which = cosines("text_similarity", texts, others, model, batch)
    return labelled_by(text_similarity, cosine, texts, which, cut=which.cut([*texts, *others]))


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
