"""Models that read scenes: autoencoder, image encoder, segmenter and captioner."""

from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from regard.data.drawings import SUBJECTS
from regard.data.scenes import BACKGROUNDS, Mention, Scene, caption, mentions_in
from regard.experiments.evaluations.task import (
    CardTask,
    Chunk,
    Measured,
    chunks,
    images,
    share_of,
    unseen_scenes,
    with_ends,
)
from regard.experiments.store import Done
from regard.zoo import Recipe, recipe

SCENES = "scenes"


def reconstructed(plan: Recipe, chunk: Chunk) -> Done:
    """Peak signal-to-noise ratio of each reconstruction, in decibels."""
    import torch

    from regard.models import load
    from regard.zoo.autoencoder import psnr
    from regard.zoo.pixels import to_tensor

    network = load(plan.name)
    pixels = to_tensor(each.image for each in unseen_scenes(chunk, plan))
    with torch.no_grad():
        restored = network.decode(network.encode(pixels).latent_dist.mode()).sample
    return Done(size=len(chunk), arrays={"psnr": psnr(restored, pixels).numpy()})


def _reconstructions(found: Measured) -> dict[str, float]:
    every = np.concatenate([each.arrays["psnr"] for each in found.values()])
    return {
        **with_ends(lambda some: {"psnr_db": float(np.mean(some))}, every),
        "images": images(found),
    }


def autoencoder(plan: Recipe) -> CardTask:
    """How far reconstructions are from their scenes."""
    return CardTask(
        "reconstructing",
        lambda quick: chunks(SCENES, 128 if quick else 1000, 50),
        partial(reconstructed, plan),
        _reconstructions,
    )


def zero_shot_texts(subject: str) -> list[str]:
    """What a subject is called in zero-shot classification: plainly, and on each background."""
    return [caption([Mention(subject)], ground) for ground in (None, *BACKGROUNDS)]


@cache
def _anchors(model: str) -> Any:
    """The mean of each subject's texts, of length 1."""
    import torch
    import torch.nn.functional as F

    from regard.models import detector

    names = [detector.text_features(zero_shot_texts(each), model).mean(0) for each in SUBJECTS]
    return F.normalize(torch.stack(names), dim=-1)


def named(plan: Recipe, chunk: Chunk) -> Done:
    """How many single-subject scenes lie nearest to the texts of their subject."""
    from regard.models import detector

    scenes = unseen_scenes(chunk, plan, count=1)
    features = detector.image_features([each.image for each in scenes], plan.name)
    nearest = (features @ _anchors(plan.name).mT).argmax(1)
    both = zip(nearest, scenes, strict=True)
    right = sum(SUBJECTS[place] == each.mentions[0].subject for place, each in both)
    return Done(size=len(chunk), values=right)


def _zero_shot(found: Measured) -> dict[str, float]:
    right, total = sum(each.values for each in found.values()), int(images(found))
    hits = np.arange(total) < right
    return {**share_of("zero_shot_accuracy", hits, range(total)), "images": images(found)}


def clip(plan: Recipe) -> CardTask:
    """How often images of one subject lie nearest to its texts."""
    return CardTask(
        "classifying",
        lambda quick: chunks(SCENES, 240 if quick else 2000, 100),
        partial(named, plan),
        _zero_shot,
    )


def segmented(plan: Recipe, chunk: Chunk) -> Done:
    """What is in each scene and what the segmenter finds: subjects, overlaps, colours, counts."""
    from regard.models import detector

    scenes = unseen_scenes(chunk, plan)
    seen = detector.detect([each.image for each in scenes], model=plan.name)
    rows = [_compared(truth, found) for truth, found in zip(scenes, seen, strict=True)]
    return Done(rows, size=len(chunk))


def _compared(truth: Scene, found: Any) -> dict[str, Any]:
    overlaps, colours, counts = [], [], []
    for mention in truth.mentions:
        detection = found.subjects.get(mention.subject)
        overlap = 0.0 if detection is None else _iou(detection.mask, truth.mask(mention))
        overlaps.append([mention.subject, overlap])
        if detection is not None:
            counts.append(detection.count == mention.count)
        if mention.colour is not None and detection is not None:
            colours.append(detection.colour == mention.colour)
    return {
        "there": [mention.subject for mention in truth.mentions],
        "found": list(found.subjects),
        "overlaps": overlaps,
        "colours": colours,
        "counts": counts,
    }


def _segmented(found: Measured) -> dict[str, float]:
    rows = [row for each in found.values() for row in each.rows]
    return {**with_ends(_of_masks, rows), "images": images(found)}


def _of_masks(rows: Sequence[Any]) -> dict[str, float]:
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
        "segmenter_count_accuracy": float(
            np.mean([right for row in rows for right in row["counts"]])
        ),
    }


def segmenter(plan: Recipe) -> CardTask:
    """What the segmenter finds in scenes, against what is there."""
    return CardTask(
        "segmenting",
        lambda quick: chunks(SCENES, 200 if quick else 2000, 100),
        partial(segmented, plan),
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


def captioned(plan: Recipe, chunk: Chunk) -> Done:
    """The caption of each scene."""
    from regard.models.captioner import captions

    said = list(captions([each.image for each in unseen_scenes(chunk, plan)], model=plan.name))
    return Done(size=len(chunk), values=said)


def _captioned(plan: Recipe, found: Measured) -> dict[str, float]:
    scenes = [each for chunk in found for each in unseen_scenes(chunk, plan)]
    said = [text for each in found.values() for text in each.values]
    return {**with_ends(_of_captions, _both(scenes, said)), "images": images(found)}


def captioner(plan: Recipe) -> CardTask:
    """What the captioner says of scenes, against what they show."""
    return CardTask(
        "captioning",
        lambda quick: chunks(SCENES, 200 if quick else 2000, 100),
        partial(captioned, plan),
        partial(_captioned, plan),
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
    return _of_captions(_both(scenes, said))


def _both(scenes: Sequence[Scene], said: Sequence[str]) -> list[Any]:
    """What each scene shows and what its caption says, mention by mention."""
    return [(s.mentions, mentions_in(text)) for s, text in zip(scenes, said, strict=True)]


def _of_captions(pairs: Sequence[Any]) -> dict[str, float]:
    names = [({m.subject for m in there}, {m.subject for m in found}) for there, found in pairs]
    exact = [Counter(there) == Counter(found) for there, found in pairs]
    return {"caption_exact": float(np.mean(exact)), "caption_subjects_f1": f1(names)}


def confusion(count: int = 2000) -> np.ndarray:
    """Which subject the segmenter reports for each true one, on single-subject test scenes.

    Args:
        count: How many scenes.

    Returns:
        int [24 true, 25 reported]; the last column counts scenes in which no subject was found.
        Where several subjects are reported the largest counts.
    """
    from regard.models import detector

    scenes = unseen_scenes(Chunk(SCENES, 0, count), recipe(detector.SEGMENTER), count=1)
    table = np.zeros((len(SUBJECTS), len(SUBJECTS) + 1), int)
    for truth, found in zip(scenes, detector.detect([s.image for s in scenes]), strict=True):
        first = next(iter(found.subjects), None)
        column = len(SUBJECTS) if first is None else SUBJECTS.index(first)
        table[SUBJECTS.index(truth.mentions[0].subject), column] += 1
    return table
