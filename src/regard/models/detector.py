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
from regard.zoo.pixels import to_tensor
from regard.zoo.segmenter import full_size, split_channels

LEAST_AREA = 0.02
"""Share of the image below which a subject does not count as shown.

On held-out scenes the smallest true mask covers 3.6 % of the image; on 400 of them 0.8 % let nine
fragments pass for subjects, and 2 % one.
"""


@dataclass(frozen=True)
class Detection:
    """One subject in an image."""

    mask: np.ndarray  # bool [h, w]
    colour: str  # the nearest of the 11 named colours
    area: float  # share of the image, 0..1


@dataclass(frozen=True)
class Detections:
    """What the segmenter sees in one image; the largest subject first."""

    subjects: dict[str, Detection]

    def __str__(self) -> str:
        return ", ".join(f"{s.colour} {name}" for name, s in self.subjects.items()) or "nothing"


def detect(images: Sequence[Any], *, batch: int = 64) -> list[Detections]:
    """Which subjects are in each image, where, and of what colour.

    Args:
        images: PIL images or uint8 arrays [h, w, 3], of 64 x 64 pixels or resized to that.
        batch: How many are judged at a time.

    Returns:
        One `Detections` for each image; masks have its own size.

    Raises:
        DataError: the weights of the segmenter are not there.

    Example:
        >>> from regard.data import scenes
        >>> picture = scenes.scene(0, split="test", count=1)
        >>> list(detect([picture.image])[0].subjects) == [picture.mentions[0].subject]
        True
    """
    network = opened_once("openmoji-segmenter")
    seen: list[Detections] = []
    for first in range(0, len(images), batch):
        pixels = _prepared(images[first : first + batch])
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
            found[subject] = Detection(mask.cpu().numpy(), list(COLOURS)[colour], area)
    return Detections(dict(sorted(found.items(), key=lambda each: -each[1].area)))


def similarity(images: Sequence[Any], others: Sequence[Any]) -> np.ndarray:
    """Cosine between images and texts, or images and images, by `openmoji-clip`: -1..1.

    Args:
        images: Images, as `detect` takes them.
        others: Texts, or images.

    Returns:
        float32 [image, other].

    Raises:
        DataError: the weights of the model are not there.

    Source:
        Radford et al. (2021), arXiv 2103.00020.
    """
    first = image_features(images)
    texts = bool(others) and isinstance(others[0], str)
    second = text_features(others) if texts else image_features(others)
    return (first @ second.mT).numpy()


@torch.no_grad()
def image_features(images: Sequence[Any]) -> torch.Tensor:
    """Unit vectors of images, float32 [image, 128]."""
    network = opened_once("openmoji-clip")
    out = network.vision_model(pixel_values=_prepared(images)).pooler_output
    return F.normalize(network.visual_projection(out), dim=-1)


@torch.no_grad()
def text_features(texts: Sequence[str]) -> torch.Tensor:
    """Unit vectors of texts, float32 [text, 128]."""
    network, tokenizer = opened_once("openmoji-clip"), _tokenizer()
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    out = network.text_model(input_ids=tokens.input_ids).pooler_output
    return F.normalize(network.text_projection(out), dim=-1)


def _prepared(images: Sequence[Any]) -> torch.Tensor:
    sized = [Image.fromarray(np.asarray(each, dtype=np.uint8)) for each in images]
    # The judges were trained at 64 px; larger images are reduced to what they know.
    return to_tensor(each if each.size == (64, 64) else each.resize((64, 64)) for each in sized)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(weights_folder("openmoji-clip"))
