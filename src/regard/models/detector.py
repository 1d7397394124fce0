"""What the bundled models see in an image: its subjects, and how well it fits a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from regard.data.drawings import COLOURS, SUBJECTS
from regard.models.opening import opened_once
from regard.zoo.bundled import weights_folder
from regard.zoo.pixels import kind_of_scenes, to_tensor
from regard.zoo.recipe import recipe
from regard.zoo.segmenter import full_size, split_channels
from regard.zoo.words import padded

LEAST_AREA = 0.02
"""Share of the image below which a subject does not count as shown.

On held-out scenes the smallest true mask covers 3.6 % of the image; on 400 of them 0.8 % let nine
fragments pass for subjects, and 2 % one.
"""


LEAST_PART = 0.4
"""Size of a part of a mask, as a share of the largest, from which on it is a thing of its own."""


@dataclass(frozen=True)
class Detection:
    """One subject in an image."""

    mask: np.ndarray  # bool [h, w]
    colour: str  # the nearest of the 11 named colours
    area: float  # share of the image, 0..1
    count: int = 1  # how many of them


@dataclass(frozen=True)
class Detections:
    """What the segmenter sees in one image; the largest subject first."""

    subjects: dict[str, Detection]

    def __str__(self) -> str:
        return ", ".join(f"{s.colour} {name}" for name, s in self.subjects.items()) or "nothing"


SEGMENTER, CLIP = "openmoji-segmenter", "openmoji-clip"
"""The judges that are asked where no other is named."""


def detect(images: Sequence[Any], *, model: str = SEGMENTER, batch: int = 64) -> list[Detections]:
    """Which subjects are in each image, where, and of what colour.

    Args:
        images: PIL images or uint8 arrays [h, w, 3], resized to what the segmenter was trained at.
        model: The name of a bundled segmenter.
        batch: How many are judged at a time.

    Returns:
        One `Detections` for each image; masks have the size that the segmenter was trained at.

    Raises:
        DataError: the weights of the segmenter are not there.

    Example:
        >>> from regard.data import scenes
        >>> picture = scenes.scene(0, split="test", count=1)
        >>> list(detect([picture.image])[0].subjects) == [picture.mentions[0].subject]
        True
    """
    network = opened_once(model)
    seen: list[Detections] = []
    for first in range(0, len(images), batch):
        pixels = _prepared(images[first : first + batch], model)
        with torch.no_grad():
            logits = full_size(network(pixel_values=pixels).logits, pixels)
        subjects, colours = split_channels(logits)
        seen += [_one(*pair) for pair in zip(subjects.argmax(1), colours.softmax(1), strict=True)]
    return seen


def _one(classes: torch.Tensor, colours: torch.Tensor) -> Detections:
    found = {}
    for number, subject in enumerate(SUBJECTS, start=1):
        mask = classes == number
        area = mask.float().mean().item()
        if area >= LEAST_AREA:
            colour = int((colours * mask).sum((1, 2)).argmax())
            shape = mask.cpu().numpy()
            found[subject] = Detection(shape, list(COLOURS)[colour], area, count=counted(shape))
    return Detections(dict(sorted(found.items(), key=lambda each: -each[1].area)))


def counted(mask: np.ndarray) -> int:
    """How many things a mask shows: its connected parts of about the size of the largest.

    Smaller parts are those of one drawing, such as the spoon above a bowl.

    Args:
        mask: bool [h, w].

    Returns:
        0 or more.

    Example:
        >>> counted(np.array([[True, False, True], [True, False, True]]))
        2
    """
    from scipy import ndimage

    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    return int((sizes >= LEAST_PART * sizes.max(initial=1)).sum())


def similarity(images: Sequence[Any], others: Sequence[Any], *, model: str = CLIP) -> np.ndarray:
    """Cosine between images and texts, or images and images: -1..1.

    Args:
        images: Images, as `detect` takes them.
        others: Texts, or images.
        model: The name of a bundled contrastive model.

    Returns:
        float32 [image, other].

    Raises:
        DataError: the weights of the model are not there.

    Source:
        Radford et al. (2021), arXiv 2103.00020.
    """
    first = image_features(images, model)
    texts = bool(others) and isinstance(others[0], str)
    second = text_features(others, model) if texts else image_features(others, model)
    return (first @ second.mT).numpy()


@torch.no_grad()
def image_features(images: Sequence[Any], model: str = CLIP) -> torch.Tensor:
    """Unit vectors of images, float32 [image, 128]."""
    network = opened_once(model)
    out = network.vision_model(pixel_values=_prepared(images, model)).pooler_output
    return F.normalize(network.visual_projection(out), dim=-1)


@torch.no_grad()
def text_features(texts: Sequence[str], model: str = CLIP) -> torch.Tensor:
    """Unit vectors of texts, float32 [text, 128]."""
    network = opened_once(model)
    out = network.text_model(input_ids=padded(_tokenizer(model), list(texts))).pooler_output
    return F.normalize(network.text_projection(out), dim=-1)


def _prepared(images: Sequence[Any], model: str) -> torch.Tensor:
    side = kind_of_scenes(recipe(model).train)["size"]
    sized = [Image.fromarray(np.asarray(each, dtype=np.uint8)) for each in images]
    # A judge was trained at one size; larger images are reduced to what it knows.
    size = (side, side)
    return to_tensor(each if each.size == size else each.resize(size) for each in sized)


@lru_cache(maxsize=2)
def _tokenizer(model: str) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(weights_folder(model))
