"""Models that read scenes: autoencoder, image encoder, segmenter and captioner."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from regard.data.drawings import OBJECTS, SUBJECTS
from regard.data.scenes import BACKGROUNDS, Mention, Scene, caption, mentions_in
from regard.experiments.evaluations.task import (
    CardTask,
    Chunk,
    Measured,
    chunks,
    images,
    unseen_scenes,
)
from regard.experiments.store import Done

SCENES = "scenes"


def reconstructed(chunk: Chunk) -> Done:
    """Peak signal-to-noise ratio of each reconstruction, in decibels."""
    import torch

    from regard.models import load
    from regard.zoo.autoencoder import psnr
    from regard.zoo.pixels import to_tensor

    network = load("openmoji-autoencoder")
    pixels = to_tensor(each.image for each in unseen_scenes(chunk))
    with torch.no_grad():
        restored = network.decode(network.encode(pixels).latent_dist.mode()).sample
    return Done(size=len(chunk), arrays={"psnr": psnr(restored, pixels).numpy()})


AUTOENCODER = CardTask(
    "reconstructing",
    lambda quick: chunks(SCENES, 128 if quick else 1000, 50),
    reconstructed,
    lambda found: {
        "psnr_db": float(np.concatenate([each.arrays["psnr"] for each in found.values()]).mean()),
        "images": images(found),
    },
)


def zero_shot_texts(subject: str) -> list[str]:
    """What a subject is called in zero-shot classification: plainly, and on each background."""
    return [caption([Mention(subject)], ground) for ground in (None, *BACKGROUNDS)]


@cache
def _anchors() -> Any:
    """The mean of each subject's texts, of length 1."""
    import torch
    import torch.nn.functional as F

    from regard.models import detector

    names = [detector.text_features(zero_shot_texts(each)).mean(0) for each in SUBJECTS]
    return F.normalize(torch.stack(names), dim=-1)


def named(chunk: Chunk) -> Done:
    """How many single-subject scenes lie nearest to the texts of their subject."""
    from regard.models import detector

    scenes = unseen_scenes(chunk, count=1)
    nearest = (detector.image_features([each.image for each in scenes]) @ _anchors().mT).argmax(1)
    both = zip(nearest, scenes, strict=True)
    right = sum(SUBJECTS[place] == each.mentions[0].subject for place, each in both)
    return Done(size=len(chunk), values=right)


CLIP = CardTask(
    "classifying",
    lambda quick: chunks(SCENES, 240 if quick else 2000, 100),
    named,
    lambda found: {
        "zero_shot_accuracy": sum(each.values for each in found.values()) / images(found),
        "images": images(found),
    },
)


def segmented(chunk: Chunk) -> Done:
    """What is in each scene and what the segmenter finds: subjects, overlaps, colours."""
    from regard.models import detector

    scenes = unseen_scenes(chunk)
    return Done(
        [
            _compared(truth, found)
            for truth, found in zip(
                scenes, detector.detect([each.image for each in scenes]), strict=True
            )
        ],
        size=len(chunk),
    )


def _compared(truth: Scene, found: Any) -> dict[str, Any]:
    overlaps, colours = [], []
    for placed in truth.placed:
        name, colour = placed.mention.subject, placed.mention.colour
        detection = found.subjects.get(name)
        overlap = 0.0 if detection is None else _iou(detection.mask, placed.mask)
        overlaps.append([name, overlap])
        if name in OBJECTS and colour is not None and detection is not None:
            colours.append(detection.colour == colour)
    there = [placed.mention.subject for placed in truth.placed]
    return {
        "there": there,
        "found": list(found.subjects),
        "overlaps": overlaps,
        "colours": colours,
    }


def _segmented(found: Measured) -> dict[str, float]:
    rows = [row for each in found.values() for row in each.rows]
    overlaps: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
    for row in rows:
        for name, overlap in row["overlaps"]:
            overlaps[name].append(overlap)
    return {
        "presence_f1": f1([(set(row["there"]), set(row["found"])) for row in rows]),
        "mask_miou": float(np.mean([np.mean(each) for each in overlaps.values() if each])),
        "segmenter_colour_accuracy": float(
            np.mean([right for row in rows for right in row["colours"]])
        ),
        "images": images(found),
    }


SEGMENTER = CardTask(
    "segmenting",
    lambda quick: chunks(SCENES, 200 if quick else 2000, 100),
    segmented,
    _segmented,
)


def f1(pairs: Sequence[tuple[set[str], set[str]]]) -> float:
    """F1 of what is found against what is there, over all pairs together: 0..1.

    Example:
        >>> f1([({"cat", "dog"}, {"cat"}), ({"car"}, {"car"})])
        0.8
    """
    hits = sum(len(there & found) for there, found in pairs)
    return 2 * hits / sum(len(there) + len(found) for there, found in pairs)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def captioned(chunk: Chunk) -> Done:
    """The caption of each scene."""
    from regard.models.captioner import captions

    said = list(captions([each.image for each in unseen_scenes(chunk)]))
    return Done(size=len(chunk), values=said)


def _captioned(found: Measured) -> dict[str, float]:
    scenes = [each for chunk in found for each in unseen_scenes(chunk)]
    said = [text for each in found.values() for text in each.values]
    return {**caption_figures(scenes, said), "images": images(found)}


CAPTIONER = CardTask(
    "captioning",
    lambda quick: chunks(SCENES, 200 if quick else 2000, 100),
    captioned,
    _captioned,
)


def caption_figures(scenes: Sequence[Scene], said: Sequence[str]) -> dict[str, float]:
    """Captions against scenes.

    Args:
        scenes: What is shown.
        said: One caption for each.

    Returns:
        ``caption_exact``, the share of captions that name all subjects, no others, and each in its
        colour if it was painted in one and in none if not; ``caption_subjects_f1``, of subjects
        alone. Backgrounds, articles and order do not count.
    """
    pairs = [(s.mentions, mentions_in(text)) for s, text in zip(scenes, said, strict=True)]
    names = [({m.subject for m in there}, {m.subject for m in found}) for there, found in pairs]
    return {
        "caption_exact": float(
            np.mean([Counter(there) == Counter(found) for there, found in pairs])
        ),
        "caption_subjects_f1": f1(names),
    }


def confusion(count: int = 2000) -> np.ndarray:
    """Which subject the segmenter reports for each true one, on single-subject test scenes.

    Args:
        count: How many scenes.

    Returns:
        int [24 true, 25 reported]; the last column counts scenes in which no subject was found.
        Where several subjects are reported the largest counts.
    """
    from regard.models import detector

    scenes = unseen_scenes(Chunk(SCENES, 0, count), count=1)
    table = np.zeros((len(SUBJECTS), len(SUBJECTS) + 1), int)
    for truth, found in zip(scenes, detector.detect([s.image for s in scenes]), strict=True):
        first = next(iter(found.subjects), None)
        column = len(SUBJECTS) if first is None else SUBJECTS.index(first)
        table[SUBJECTS.index(truth.mentions[0].subject), column] += 1
    return table
