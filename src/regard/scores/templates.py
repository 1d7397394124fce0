"""Does an image show all of its prompt, its weaker half too? By 80 templates and an encoder.

The protocol of the Attend-and-Excite benchmark: a prompt is not one text but the mean of 80, so
that no wording of it counts too much.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.axes import SAMPLE
from regard.measures.about import PICTURES_AND_TEXTS, TEXTS, labelled, measure
from regard.scores.pairs import BATCH, check_pairs, cosine_of_rows, features, open_encoder

TEMPLATES = tuple(
    """
a bad photo of a {}.|a photo of many {}.|a sculpture of a {}.|a photo of the hard to see {}.
a low resolution photo of the {}.|a rendering of a {}.|graffiti of a {}.|a bad photo of the {}.
a cropped photo of the {}.|a tattoo of a {}.|the embroidered {}.|a photo of a hard to see {}.
a bright photo of a {}.|a photo of a clean {}.|a photo of a dirty {}.|a dark photo of the {}.
a drawing of a {}.|a photo of my {}.|the plastic {}.|a photo of the cool {}.
a close-up photo of a {}.|a black and white photo of the {}.|a painting of the {}.
a painting of a {}.|a pixelated photo of the {}.|a sculpture of the {}.|a bright photo of the {}.
a cropped photo of a {}.|a plastic {}.|a photo of the dirty {}.|a jpeg corrupted photo of a {}.
a blurry photo of the {}.|a photo of the {}.|a good photo of the {}.|a rendering of the {}.
a {} in a video game.|a photo of one {}.|a doodle of a {}.|a close-up photo of the {}.
a photo of a {}.|the origami {}.|the {} in a video game.|a sketch of a {}.|a doodle of the {}.
a origami {}.|a low resolution photo of a {}.|the toy {}.|a rendition of the {}.
a photo of the clean {}.|a photo of a large {}.|a rendition of a {}.|a photo of a nice {}.
a photo of a weird {}.|a blurry photo of a {}.|a cartoon {}.|art of a {}.|a sketch of the {}.
a embroidered {}.|a pixelated photo of a {}.|itap of the {}.|a jpeg corrupted photo of the {}.
a good photo of a {}.|a plushie {}.|a photo of the nice {}.|a photo of the small {}.
a photo of the weird {}.|the cartoon {}.|art of the {}.|a drawing of the {}.
a photo of the large {}.|a black and white photo of a {}.|the plushie {}.|a dark photo of a {}.
itap of a {}.|graffiti of the {}.|a toy {}.|itap of my {}.|a photo of a cool {}.
a photo of a small {}.|a tattoo of the {}.
""".strip()
    .replace("\n", "|")
    .split("|")
)
"""What CLIP's authors wrap a class of ImageNet in; ``{}`` is its place. ('itap': I took an image.)

Source: Radford et al. (2021), "Learning Transferable Visual Models From Natural Language
Supervision", arXiv 2103.00020, section 3.1.4, and the notebook published with it.
"""


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
        images: Pictures: PIL, uint8 arrays, or `regard.data.pictures.pictures`.
        prompts: One for each.
        model: What `regard.models.encoder.encoder` takes, and reads texts.
        legacy: As for `filled`.
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
    how: dict[str, Any] = {"batch": batch, "caller": "prompt_similarity"}
    known = _by_text(prompts, which, legacy=legacy, **how)
    seen = _unit(features(which, images, **how).numpy())
    values = cosine_of_rows(seen, np.stack([known[each] for each in prompts]))
    told = _told(which, prompts, legacy)
    return labelled(_samples(values, images), prompt_similarity, **told)


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
        legacy: As for `filled`.
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
    how: dict[str, Any] = {"batch": batch, "caller": "minimum_object_similarity"}
    split = [halves(each) for each in prompts]
    said = list(dict.fromkeys(part for parts in split for part in parts))
    seen = _unit(features(which, images, **how).numpy())
    known = _by_text(said, which, legacy=legacy, **how)
    values = [
        min((float(row @ known[part]) for part in parts), default=np.nan)
        for row, parts in zip(seen, split, strict=True)
    ]
    told = {**_told(which, said, legacy), "unsplit": sum(not parts for parts in split)}
    return labelled(_samples(values, images), minimum_object_similarity, **told)


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
        legacy: As for `filled`.
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
    how: dict[str, Any] = {"batch": batch, "caller": "caption_similarity"}
    known = _by_text(prompts, which, legacy=legacy, **how)
    plain = list(dict.fromkeys(captions))
    rows = dict(zip(plain, _unit(features(which, plain, **how).numpy()), strict=True))
    values = cosine_of_rows(
        np.stack([rows[each] for each in captions]), np.stack([known[each] for each in prompts])
    )
    told = _told(which, prompts, legacy)
    told["cut"] += which.cut(plain)
    return labelled(_samples(values, captions), caption_similarity, **told)


def filled(prompt: str, *, legacy: bool = False) -> list[str]:
    """A prompt in each of the 80 `TEMPLATES`; where two articles meet, the prompt's own stays.

    Args:
        prompt: Such as 'a cat and a dog'.
        legacy: Do as the published code does: replace 'a a', then 'the a', by 'a' wherever these
            letters stand. It makes 'pandand' of 'panda and'; for the 276 prompts it is the same.

    Returns:
        80 texts.

    Example:
        >>> filled("an elephant")[:2]
        ['a bad photo of an elephant.', 'a photo of many an elephant.']
        >>> filled("panda and cat", legacy=True)[1]
        'a photo of many pandand cat.'
    """
    if legacy:
        texts = [template.replace("{}", prompt) for template in TEMPLATES]
        return [text.replace("a a", "a").replace("the a", "a") for text in texts]
    own = re.match(r"an?\b", prompt, re.IGNORECASE)
    parts = [template.split("{}") for template in TEMPLATES]
    return [
        (re.sub(r"\b(a|the) $", "", before) if own else before) + prompt + after
        for before, after in parts
    ]


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
        legacy: As for `filled`.
        batch: How many texts are encoded at a time.
        caller: Who asks, for errors.

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


def _by_text(
    said: Sequence[str], which: Any, *, legacy: bool, batch: int, caller: str
) -> dict[str, np.ndarray]:
    """The vector of each text that is said; none are asked for where none are."""
    distinct = list(dict.fromkeys(said))
    if not distinct:
        return {}
    how: dict[str, Any] = {"legacy": legacy, "batch": batch, "caller": caller}
    return dict(zip(distinct, template_features(distinct, model=which, **how), strict=True))


def _unit(rows: np.ndarray) -> np.ndarray:
    # A vector of length 0 points nowhere: NaN, and counted.
    with np.errstate(invalid="ignore"):
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def _told(which: Any, said: Sequence[str], legacy: bool) -> dict[str, Any]:
    texts = [text for each in dict.fromkeys(said) for text in filled(each, legacy=legacy)]
    cut = which.cut(texts) if texts else 0
    return {"cut": cut, "legacy": legacy, "encoder": which.name, **which.recipe}


def _samples(values: Any, first: Sequence[Any]) -> xr.DataArray:
    names = getattr(first, "names", None)
    coords = {} if names is None else {SAMPLE: list(names)}
    return xr.DataArray(np.asarray(values), dims=(SAMPLE,), coords=coords)
