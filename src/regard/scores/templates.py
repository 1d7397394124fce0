"""Does an image show all of its prompt, its least-shown object too? By 80 templates and an encoder.

The protocol of the Attend-and-Excite benchmark: a prompt is not one text but the mean of 80, so
that no wording of it counts too much.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.measures.about import PICTURES_AND_TEXTS, TEXTS, measure
from regard.scores.pairs import (
    BATCH,
    check_pairs,
    cosine_of_rows,
    features,
    labelled_by,
    open_encoder,
)
from regard.scores.wordings import TEMPLATES, filled


@measure(
    unit="cosine",
    low=-1.0,
    higher="fits better",
    reads=PICTURES_AND_TEXTS,
    reduce="over 80 templates, in the text",
)
def prompt_similarity(
    images: Sequence[Any],
    prompts: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    legacy: bool = False,
    batch: int = BATCH,
) -> xr.DataArray:
    """How well each image fits its prompt, put into 80 templates: cosine, -1..1.

    Args:
        images: PIL images, uint8 arrays, or `regard.data.pictures.pictures`.
        prompts: One for each.
        model: What `regard.models.encoder.encoder` takes, and reads texts.
        legacy: Clean the filled templates as the published code does, which also changes words:
            'panda and' becomes 'pandand'. The 276 prompts are the same in both ways.
        batch: How many images or texts are encoded at a time.

    Returns:
        ``sample``, cosine; ``attrs["cut"]`` is the number of filled templates that the model could
        not read whole.

    Raises:
        ArgumentError: the numbers differ, there are none, or the encoder reads no texts.
        DataError: the encoder cannot be opened, or an image not be read.

    Example:
        >>> from regard.data import scene
        >>> one = scene(3, split="test")
        >>> fits = prompt_similarity([one.image] * 2, [one.caption(), "a horse on the snow"])
        >>> bool(fits[0] > fits[1])
        True

    Source:
        Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance for
        Text-to-Image Diffusion Models", arXiv 2301.13826, section 4.2, "full prompt".

    Differs from the paper:
        Any encoder; the paper's is CLIP ViT-B/16.
    """
    check_pairs("prompt_similarity", images, prompts)
    which = open_encoder(model)
    how = {"legacy": legacy, "batch": batch, "caller": "prompt_similarity"}
    known, seen, attrs = _encoded(which, prompts, images, **how)
    values = cosine_of_rows(seen, np.stack([known[each] for each in prompts]))
    return labelled_by(prompt_similarity, values, images, which, **attrs)


@measure(
    unit="cosine",
    low=-1.0,
    higher="fits better",
    reads=PICTURES_AND_TEXTS,
    reduce="over 80 templates, in the text; the least of the parts",
)
def minimum_object_similarity(
    images: Sequence[Any],
    prompts: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    legacy: bool = False,
    batch: int = BATCH,
) -> xr.DataArray:
    """How well each image fits the part of its prompt that it fits least: cosine, -1..1.

    Args:
        images: As for `prompt_similarity`.
        prompts: One for each.
        model: As for `prompt_similarity`.
        legacy: As for `prompt_similarity`.
        batch: As for `prompt_similarity`.

    Returns:
        ``sample``, cosine; NaN for a prompt that `halves` cannot split, and ``attrs["unsplit"]``
        is their number. ``attrs["cut"]`` as for `prompt_similarity`.

    Raises:
        ArgumentError: the numbers differ, there are none, or the encoder reads no texts.
        DataError: the encoder cannot be opened, or an image not be read.

    Example:
        >>> from regard.data import scene
        >>> one = scene(3, split="test").image
        >>> found = minimum_object_similarity([one, one], ["a cat", "a cat and a red car"])
        >>> bool(found[0].isnull()), bool(found[1].isnull()), found.attrs["unsplit"]
        (True, False, 1)

    Source:
        Chefer et al. (2023), arXiv 2301.13826, section 4.2, "minimum object".

    Differs from the paper:
        Any encoder. A prompt with several ' and ' has as many parts and one more.
    """
    check_pairs("minimum_object_similarity", images, prompts)
    which = open_encoder(model)
    how = {"legacy": legacy, "batch": batch, "caller": "minimum_object_similarity"}
    split = [halves(each) for each in prompts]
    known, seen, attrs = _encoded(which, [part for each in split for part in each], images, **how)
    values = [
        min((float(row @ known[part]) for part in parts), default=np.nan)
        for row, parts in zip(seen, split, strict=True)
    ]
    attrs["unsplit"] = sum(not parts for parts in split)
    return labelled_by(minimum_object_similarity, values, images, which, **attrs)


@measure(
    unit="cosine",
    low=-1.0,
    higher="more alike",
    reads=TEXTS,
    reduce="over 80 templates, in the prompt",
)
def caption_similarity(
    captions: Sequence[str],
    prompts: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    legacy: bool = False,
    batch: int = BATCH,
) -> xr.DataArray:
    """How alike the caption of an image and its prompt in 80 templates are: cosine, -1..1.

    The caption stands alone, in no template, so that equal texts reach less than 1.

    Args:
        captions: What a captioner says, such as `regard.models.captioner.captions`.
        prompts: One for each.
        model: What `regard.models.encoder.encoder` takes, and reads texts.
        legacy: As for `prompt_similarity`.
        batch: How many texts are encoded at a time.

    Returns:
        ``sample``, cosine; ``attrs["cut"]`` is the number of captions and filled templates that
        could not be read whole.

    Raises:
        ArgumentError: the numbers differ, there are none, or the encoder reads no texts.
        DataError: the encoder cannot be opened.

    Example:
        >>> found = caption_similarity(["a cat", "a car"], ["a cat", "a cat"])
        >>> bool(found[0] > found[1])
        True

    Source:
        Chefer et al. (2023), arXiv 2301.13826, section 4.2, "text-text similarities".

    Differs from the paper:
        Any encoder; the paper's is CLIP ViT-B/16, and its captioner is BLIP.
    """
    check_pairs("caption_similarity", captions, prompts)
    which = open_encoder(model)
    how = {"legacy": legacy, "batch": batch, "caller": "caption_similarity"}
    plain = list(dict.fromkeys(captions))
    known, seen, attrs = _encoded(which, prompts, plain, **how)
    rows = dict(zip(plain, seen, strict=True))
    values = cosine_of_rows(
        np.stack([rows[each] for each in captions]), np.stack([known[each] for each in prompts])
    )
    attrs["cut"] += which.cut(plain)
    return labelled_by(caption_similarity, values, captions, which, **attrs)


def halves(prompt: str) -> tuple[str, ...]:
    """The parts of a prompt between ' and ', or else between ' with '; none if it has neither.

    Example:
        >>> halves("a cat and a red car"), halves("a cat with a bow"), halves("a cat")
        (('a cat', 'a red car'), ('a cat', 'a bow'), ())
    """
    for word in ("and", "with"):
        parts = re.split(rf"\s+{word}\s+", prompt.strip(), flags=re.IGNORECASE)
        if len(parts) > 1:
            return tuple(parts)
    return ()


def template_features(
    prompts: Sequence[str],
    *,
    model: Any = "openmoji-clip",
    legacy: bool = False,
    batch: int = BATCH,
    caller: str = "template_features",
) -> np.ndarray:
    """One unit vector a prompt: the mean over the templates of unit vectors, made unit again.

    Args:
        prompts: Texts; one that comes twice is encoded once.
        model: What `regard.models.encoder.encoder` takes, and reads texts.
        legacy: As for `prompt_similarity`.
        batch: How many texts are encoded at a time.
        caller: The name of the calling function, for errors.

    Returns:
        float32 [prompt, feature].

    Raises:
        ArgumentError: there are none, or the encoder reads no texts.
        DataError: the encoder cannot be opened.

    Example:
        >>> template_features(["a cat", "a dog"]).shape
        (2, 128)
    """
    which, distinct = open_encoder(model), list(dict.fromkeys(prompts))
    texts = [text for each in distinct for text in filled(each, legacy=legacy)]
    # Cleaned, 'a photo of a' and 'a photo of the' are one text: of 80 often 56 are left to encode.
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    rows = _unit(features(which, list(place), batch=batch, caller=caller).numpy())
    each_text = rows[[place[text] for text in texts]]
    means = _unit(each_text.reshape(len(distinct), len(TEMPLATES), -1).mean(1))
    number = {prompt: at for at, prompt in enumerate(distinct)}
    return means[[number[each] for each in prompts]]


def _encoded(
    which: Any, said: Sequence[str], items: Sequence[Any], *, legacy: Any, batch: Any, caller: Any
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Any]]:
    """Unit vectors: by text of what is said in templates, and one per item; and their attrs."""
    distinct = list(dict.fromkeys(said))
    how: dict[str, Any] = {"batch": batch, "caller": caller}
    # Of no texts there are no features: an encoder refuses them.
    rows = template_features(distinct, model=which, legacy=legacy, **how) if distinct else ()
    texts = [text for each in distinct for text in filled(each, legacy=legacy)]
    attrs = {"cut": which.cut(texts) if texts else 0, "legacy": legacy}
    seen = _unit(features(which, items, **how).numpy())
    return dict(zip(distinct, rows, strict=True)), seen, attrs


def _unit(rows: np.ndarray) -> np.ndarray:
    # A vector of length 0 points nowhere: NaN, and counted.
    with np.errstate(invalid="ignore"):
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit
