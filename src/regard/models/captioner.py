"""What a captioner says of an image: the bundled one, or a BLIP of one's own."""

import os
from collections.abc import Sequence
from typing import Any

import torch

from regard.errors import ArgumentError, DataError
from regard.models.encoder import as_pictures, tokenizer_of
from regard.models.load import folder_of, vision_of
from regard.models.opening import opened_once

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
    """What a captioner says of each image, in one sentence.

    Args:
        images: PIL images or uint8 arrays [h, w, 3], of any size.
        model: ``openmoji-captioner``, or a folder of transformers with a
            ``BlipForConditionalGeneration``, its preprocessor_config.json and its tokenizer.
        beams: How many beginnings are followed at a time; 1 takes the likeliest token each time.
        shortest: Tokens that a caption has at least, start and end counted.
        batch: How many images are captioned at a time.

    Returns:
        One text for each image; empty where the model says nothing.

    Raises:
        UnknownName: there is neither such a bundled model nor such a folder.
        DataError: the folder holds no captioner or not all of it, its weights are not there, or an
            image is none.
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
    network = opened_once(str(model))
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
