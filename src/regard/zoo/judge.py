"""The bundled judges: what a picture shows, how well it fits a text, and how one would call it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from regard.data.drawings import COLOURS, SUBJECTS
from regard.errors import ArgumentError, DataError
from regard.zoo.encoder import as_pictures, tokenizer_of
from regard.zoo.load import folder_of, load, vision_of, weights_folder
from regard.zoo.pixels import to_tensor
from regard.zoo.segmenter import full_size, split_channels

LEAST_AREA = 0.02
"""Share of the picture below which a subject does not count as shown.

On held-out scenes the smallest true mask covers 3.6 % of the picture; on 400 of them 0.8 % let nine
fragments pass for subjects, and 2 % one.
"""


@dataclass(frozen=True)
class Sighting:
    """One subject in a picture."""

    mask: np.ndarray  # bool [h, w]
    colour: str  # the nearest of the 11 named colours
    area: float  # share of the picture, 0..1


@dataclass(frozen=True)
class Seen:
    """What the segmenter sees in one picture; the largest subject first."""

    subjects: dict[str, Sighting]

    def __str__(self) -> str:
        return ", ".join(f"{s.colour} {name}" for name, s in self.subjects.items()) or "nothing"


def see(images: Sequence[Any], *, batch: int = 64) -> list[Seen]:
    """Which subjects are in each picture, where, and of what colour.

    Args:
        images: PIL pictures or uint8 arrays [h, w, 3], of 64 x 64 pixels or resized to that.
        batch: How many are judged at a time.

    Returns:
        One `Seen` for each picture; masks have its own size.

    Raises:
        DataError: the weights of the segmenter are not there.

    Example:
        >>> from regard.data import scenes
        >>> picture = scenes.scene(0, split="test", count=1)
        >>> list(see([picture.image])[0].subjects) == [picture.mentions[0].subject]
        True
    """
    network = _network("openmoji-segmenter")
    seen: list[Seen] = []
    for first in range(0, len(images), batch):
        pixels = _prepared(images[first : first + batch])
        with torch.no_grad():
            logits = full_size(network(pixel_values=pixels).logits, pixels)
        subjects, colours = split_channels(logits)
        seen += [_one(*pair) for pair in zip(subjects.argmax(1), colours.softmax(1), strict=True)]
    return seen


def _one(classes: torch.Tensor, colours: torch.Tensor) -> Seen:
    found = {}
    for number, subject in enumerate(SUBJECTS, start=1):
        mask = classes == number
        area = mask.float().mean().item()
        if area >= LEAST_AREA:
            colour = int((colours * mask).sum((1, 2)).argmax())
            found[subject] = Sighting(mask.cpu().numpy(), list(COLOURS)[colour], area)
    return Seen(dict(sorted(found.items(), key=lambda each: -each[1].area)))


def similarity(images: Sequence[Any], others: Sequence[Any]) -> np.ndarray:
    """Cosine between pictures and texts, or pictures and pictures, by `openmoji-clip`: -1..1.

    Args:
        images: Pictures, as `see` takes them.
        others: Texts, or pictures.

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
    """Unit vectors of pictures, float32 [image, 128]."""
    network = _network("openmoji-clip")
    out = network.vision_model(pixel_values=_prepared(images)).pooler_output
    return F.normalize(network.visual_projection(out), dim=-1)


@torch.no_grad()
def text_features(texts: Sequence[str]) -> torch.Tensor:
    """Unit vectors of texts, float32 [text, 128]."""
    network, tokenizer = _network("openmoji-clip"), _tokenizer()
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    out = network.text_model(input_ids=tokens.input_ids).pooler_output
    return F.normalize(network.text_projection(out), dim=-1)


def _prepared(images: Sequence[Any]) -> torch.Tensor:
    sized = [Image.fromarray(np.asarray(each, dtype=np.uint8)) for each in images]
    # The judges were trained at 64 px; larger pictures are reduced to what they know.
    return to_tensor(each if each.size == (64, 64) else each.resize((64, 64)) for each in sized)


LONGEST = 30
"""Tokens that a caption has at most: no caption of a scene has more than 19."""


def captions(
    images: Sequence[Any],
    *,
    model: str | os.PathLike[str] = "openmoji-captioner",
    beams: int = 1,
    shortest: int = 0,
    batch: int = 64,
) -> list[str]:
    """What a captioner says of each picture, in one sentence.

    Args:
        images: PIL pictures or uint8 arrays [h, w, 3], of any size.
        model: ``openmoji-captioner``, or a folder of transformers with a
            ``BlipForConditionalGeneration``, its preprocessor_config.json and its tokenizer.
        beams: How many beginnings are followed at a time; 1 takes the likeliest token each time.
        shortest: Tokens that a caption has at least, start and end counted.
        batch: How many pictures are captioned at a time.

    Returns:
        One text for each picture; empty where the model says nothing.

    Raises:
        UnknownName: there is neither such a bundled model nor such a folder.
        DataError: the folder holds no captioner or not all of it, its weights are not there, or a
            picture is none.
        ArgumentError: beams, shortest or batch lie outside what is offered.

    Source:
        Li et al. (2022), "BLIP: Bootstrapping Language-Image Pre-training", arXiv 2201.12086,
        section 3.1. Chefer et al. (2023), "Attend-and-Excite", compare such captions with prompts;
        theirs came from the ``blip_caption`` of LAVIS, whose defaults are near to ``beams=3,
        shortest=10``.
    """
    if beams < 1 or batch < 1 or not 0 <= shortest < LONGEST:
        raise ArgumentError(
            f"captions: beams {beams}, shortest {shortest}, batch {batch}; beams and batch must be "
            f"1 or more, and shortest 0 to {LONGEST - 1}."
        )
    network = _network(str(model))
    if type(network).__name__ != "BlipForConditionalGeneration":
        raise DataError(
            f"captions: '{model}' is a {type(network).__name__}, which writes no captions. Give "
            f"'openmoji-captioner', or a folder with a BlipForConditionalGeneration."
        )
    folder = folder_of(model)
    eyes, words = vision_of(network, folder), tokenizer_of(folder, "captions")
    said: list[str] = []
    for first in range(0, len(images), batch):
        pixels = eyes.pixels(as_pictures(images[first : first + batch], first))
        tokens = network.generate(
            pixel_values=pixels,
            # Of the start and the end that the library puts in: without it, it warns.
            attention_mask=pixels.new_ones(len(pixels), 2, dtype=torch.long),
            max_length=LONGEST,
            min_length=shortest,
            num_beams=beams,
            do_sample=False,
        )
        said += [each.strip() for each in words.batch_decode(tokens, skip_special_tokens=True)]
    return said


@lru_cache(maxsize=4)
def _network(name: str) -> Any:
    return load(name)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(weights_folder("openmoji-clip"))
