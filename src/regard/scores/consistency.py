"""Whether images show one subject: its likeness, that of what is around it, and where it stands."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.arguments import shown
from regard.errors import ArgumentError
from regard.scores.pairs import open_encoder

GREY = (128, 128, 128)
"""What is put where something was removed."""

UNITS = {
    "subject_likeness": "cosine",
    "background_likeness": "cosine",
    "layout_distance": "share of the diagonal",
    "text_agreement": "cosine",
}
"""The columns of `consistency`."""


def consistency(
    images: Sequence[Any],
    masks: Sequence[Any],
    prompts: Sequence[str] | None = None,
    *,
    model: Any = "openmoji-clip",
) -> pd.DataFrame:
    """How alike the subject of each image is to that of the others, and what else is alike.

    Args:
        images: PIL images or uint8 arrays [y, x, 3], two or more.
        masks: Where each shows its subject, bool [y, x] of any size; all False where it does not.
        prompts: What each was to show; None for no agreement with the text.
        model: Encoder of images, and of texts if there are prompts, as
            `regard.models.encoder.encoder` takes it.

    Returns:
        A row for each image. ``subject_likeness``: the mean cosine of its subject to those of the
        others, on grey, cropped and brought to one size, -1..1. ``background_likeness``: the same
        of the whole images with the subject made grey. ``layout_distance``: the mean distance of
        the centres of the masks, as a share of the image's diagonal, 0..1. ``text_agreement``: the
        cosine of image and prompt. NaN where an image shows no subject, or no other does.

    Raises:
        ArgumentError: there are fewer than two images, the numbers differ, or the encoder reads no
            texts.
        DataError: the encoder cannot be opened.

    Example:
        >>> from regard.data import scene
        >>> one = scene(0, count=1)
        >>> mask = one.mask(one.mentions[0])
        >>> consistency([one.image, one.image], [mask, mask]).round(3).iloc[0].tolist()
        [1.0, 1.0, 0.0]

    Source:
        Background removed before images are compared: Tewel et al. (2024), arXiv 2402.03286,
        section 5; Fu et al. (2023), DreamSim, arXiv 2306.09344.

    Differs from the paper:
        Any encoder, which has to be named; the subject is cropped, so that place and size do not
        count as likeness.
    """
    pictures = [_picture(each) for each in images]
    if len(pictures) < 2 or not len(pictures) == len(masks) == len(prompts or pictures):
        raise ArgumentError(
            f"consistency: there are {len(pictures)} images, {len(masks)} masks and "
            f"{shown(prompts and len(prompts))} prompts; give two images or more, and one of each."
        )
    encoder = open_encoder(model)
    if prompts is not None and encoder.texts is None:
        raise ArgumentError(f"consistency: the encoder '{encoder.name}' reads no texts.")
    planes = [_fitted(mask, image.size) for mask, image in zip(masks, pictures, strict=True)]
    both = list(zip(pictures, planes, strict=True))
    there = np.array([plane.any() for plane in planes])
    found = pd.DataFrame(
        {
            "subject_likeness": _to_others(_cosines(encoder, [cut_out(*e) for e in both]), there),
            "background_likeness": _to_others(_cosines(encoder, [erased(*e) for e in both]), there),
            "layout_distance": _to_others(_apart(planes), there),
        }
    )
    if prompts is not None:
        texts = _unit(encoder.texts(list(prompts)))
        found["text_agreement"] = (_unit(encoder.features(pictures)) * texts).sum(1)
    return found


def cut_out(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """The subject alone, on grey, in a square that just holds it.

    Args:
        image: An image.
        mask: bool [y, x] of its size; all False gives a grey image.

    Example:
        >>> mask = np.zeros((4, 8), bool)
        >>> mask[1:3, 2:4] = True
        >>> cut_out(Image.new("RGB", (8, 4), "red"), mask).size
        (2, 2)
    """
    if not mask.any():
        return Image.new("RGB", image.size, GREY)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    alone = np.where(mask[..., None], np.asarray(image), np.array(GREY)).astype(np.uint8)
    part = alone[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(part.shape[:2])
    square = Image.new("RGB", (side, side), GREY)
    square.paste(Image.fromarray(part), ((side - part.shape[1]) // 2, (side - part.shape[0]) // 2))
    return square


def erased(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """The image with its subject made grey.

    Args:
        image: An image.
        mask: bool [y, x] of its size.
    """
    return Image.fromarray(
        np.where(mask[..., None], np.array(GREY), np.asarray(image)).astype(np.uint8)
    )


def _picture(image: Any) -> Image.Image:
    return (image if isinstance(image, Image.Image) else Image.fromarray(image)).convert("RGB")


def _fitted(mask: Any, size: tuple[int, int]) -> np.ndarray:
    plane = Image.fromarray(np.asarray(mask, bool)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(plane, bool)


def _cosines(encoder: Any, images: Sequence[Image.Image]) -> np.ndarray:
    features = _unit(encoder.features(list(images)))
    return features @ features.T


def _unit(features: Any) -> np.ndarray:
    rows = np.asarray(features, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _apart(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Distances of the centres of masks, as shares of the diagonal."""
    high, wide = planes[0].shape
    centres = np.array([_centre(plane) for plane in planes])
    between = centres[:, None] - centres[None]
    return np.hypot(between[..., 0], between[..., 1]) / np.hypot(high, wide)


def _centre(plane: np.ndarray) -> list[float]:
    places = np.nonzero(plane)
    return [float(axis.mean()) if plane.any() else np.nan for axis in places]


def _to_others(pairs: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean of each row over the others that are there; NaN for one that is not."""
    known = np.where(there[:, None] & there[None] & ~np.eye(len(pairs), dtype=bool), pairs, np.nan)
    counted = np.isfinite(known).sum(1)
    return np.where(counted > 0, np.nansum(known, 1) / np.maximum(counted, 1), np.nan)
