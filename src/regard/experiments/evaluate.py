"""The figures that the cards quote, computed anew on what was never trained on."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from regard.data.drawings import OBJECTS, SUBJECTS
from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.data.scenes import BACKGROUNDS, Mention, Scene, caption, mentions_in, scene
from regard.errors import unknown
from regard.zoo import recipes

Report = Callable[[str], None]

SEED = 77
"""Names the data set of test scenes; no recipe trains on it."""

_EVALUATIONS = {
    "openmoji-clip": "regard.experiments.evaluate:clip",
    "openmoji-autoencoder": "regard.experiments.evaluate:autoencoder",
    "openmoji-segmenter": "regard.experiments.evaluate:segmenter",
    "openmoji-captioner": "regard.experiments.evaluate:captioner",
    "openmoji": "regard.experiments.generation:openmoji",
    "fashion-vit": "regard.experiments.evaluate:classifier",
}


def evaluate(name: str, *, quick: bool = False, progress: Report | None = None) -> dict[str, float]:
    """Every figure that the card of a bundled model quotes.

    Args:
        name: A name of `regard.zoo.recipes`.
        quick: Take a subset that needs less than a minute; ``images`` says how many images.
        progress: Called with a line about what is being done.

    Returns:
        One flat dict; shares and accuracies in 0..1, ``psnr_db`` in decibels.

    Raises:
        UnknownName: no bundled model has this name.
        DataError: its weights, or those of a judge, are not there.
    """
    if name not in _EVALUATIONS:
        raise unknown("bundled model", name, recipes())
    module, function = _EVALUATIONS[name].split(":")
    compute = getattr(import_module(module), function)
    figures: dict[str, float] = compute(quick=quick, report=progress or (lambda _: None))
    return {key: round(float(value), 4) for key, value in figures.items()}


def unseen_scenes(number: int, **options: Any) -> list[Scene]:
    """Scenes that no training has seen."""
    return [scene(i, seed=SEED, split="test", **options) for i in range(number)]


def autoencoder(*, quick: bool, report: Report) -> dict[str, float]:
    """Peak signal-to-noise ratio of reconstructions, mean over test scenes."""
    import torch

    from regard.models import load
    from regard.zoo.autoencoder import psnr
    from regard.zoo.pixels import to_tensor

    scenes = unseen_scenes(128 if quick else 1000)
    report(f"reconstructing {len(scenes)} test scenes")
    network, values = load("openmoji-autoencoder"), []
    for first in range(0, len(scenes), 50):
        pixels = to_tensor(s.image for s in scenes[first : first + 50])
        with torch.no_grad():
            restored = network.decode(network.encode(pixels).latent_dist.mode()).sample
        values.append(psnr(restored, pixels).numpy())
    return {"psnr_db": float(np.concatenate(values).mean()), "images": float(len(scenes))}


def zero_shot_texts(subject: str) -> list[str]:
    """What a subject is called in zero-shot classification: plainly, and on each background."""
    return [caption([Mention(subject)], ground) for ground in (None, *BACKGROUNDS)]


def clip(*, quick: bool, report: Report) -> dict[str, float]:
    """Share of single-subject test scenes whose nearest subject name is the right one."""
    import torch.nn.functional as F

    from regard.models import detector

    scenes = unseen_scenes(240 if quick else 2000, count=1)
    report(f"classifying {len(scenes)} test scenes among {len(SUBJECTS)} subjects")
    names = [detector.text_features(zero_shot_texts(s)).mean(0) for s in SUBJECTS]
    anchors = F.normalize(_stack(names), dim=-1)
    right = 0
    for first in range(0, len(scenes), 100):
        part = scenes[first : first + 100]
        nearest = (detector.image_features([s.image for s in part]) @ anchors.mT).argmax(1)
        right += sum(
            SUBJECTS[i] == s.mentions[0].subject for i, s in zip(nearest, part, strict=True)
        )
    return {"zero_shot_accuracy": right / len(scenes), "images": float(len(scenes))}


def _stack(rows: list[Any]) -> Any:
    import torch

    return torch.stack(rows)


def segmenter(*, quick: bool, report: Report) -> dict[str, float]:
    """How well the judge judges: presence, masks and colours on test scenes."""
    from regard.models import detector

    scenes = unseen_scenes(200 if quick else 2000)
    report(f"segmenting {len(scenes)} test scenes")
    seen = detector.detect([s.image for s in scenes])
    presence = [
        ({p.mention.subject for p in truth.placed}, set(found.subjects))
        for truth, found in zip(scenes, seen, strict=True)
    ]
    overlaps: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
    colours: list[bool] = []
    for truth, found in zip(scenes, seen, strict=True):
        for placed in truth.placed:
            name, colour = placed.mention.subject, placed.mention.colour
            sighting = found.subjects.get(name)
            overlaps[name].append(0.0 if sighting is None else _iou(sighting.mask, placed.mask))
            if name in OBJECTS and colour is not None and sighting is not None:
                colours.append(sighting.colour == colour)
    return {
        "presence_f1": f1(presence),
        "mask_miou": float(np.mean([np.mean(each) for each in overlaps.values() if each])),
        "segmenter_colour_accuracy": float(np.mean(colours)),
        "images": float(len(scenes)),
    }


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


def captioner(*, quick: bool, report: Report) -> dict[str, float]:
    """How often a caption names the subjects and colours of a test scene, whatever their order."""
    from regard.models.captioner import captions

    scenes = unseen_scenes(200 if quick else 2000)
    report(f"captioning {len(scenes)} test scenes")
    said = captions([each.image for each in scenes])
    return {**caption_figures(scenes, said), "images": float(len(scenes))}


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
        int [24 true, 25 reported]; the last column counts scenes in which nothing was seen. Where
        several subjects are reported the largest counts.
    """
    from regard.models import detector

    scenes = unseen_scenes(count, count=1)
    table = np.zeros((len(SUBJECTS), len(SUBJECTS) + 1), int)
    for truth, found in zip(scenes, detector.detect([s.image for s in scenes]), strict=True):
        first = next(iter(found.subjects), None)
        column = len(SUBJECTS) if first is None else SUBJECTS.index(first)
        table[SUBJECTS.index(truth.mentions[0].subject), column] += 1
    return table


def classifier(*, quick: bool, report: Report) -> dict[str, float]:
    """Share of test images of Fashion-MNIST whose class is named right, in all and by class."""
    from regard.zoo.cards import accuracy_key

    seen = unseen_clothes(1000 if quick else 10_000)
    report(f"classifying {len(seen)} test images among {len(seen.names)} classes")
    right = predictions(seen.images) == seen.labels
    each = {
        accuracy_key(name): float(right[seen.labels == label].mean())
        for label, name in enumerate(seen.names)
    }
    return {"test_accuracy": float(right.mean()), **each, "images": float(len(seen))}


def unseen_clothes(number: int) -> FashionMNIST:
    """The first test images of Fashion-MNIST; no training has seen them."""
    seen = fashion_mnist("test")
    return replace(seen, images=seen.images[:number], labels=seen.labels[:number])


def predictions(images: np.ndarray, *, batch: int = 250) -> np.ndarray:
    """The classes that `fashion-vit` names, int [image]."""
    import torch

    from regard.models import load

    model, found = load("fashion-vit"), []
    for first in range(0, len(images), batch):
        with torch.no_grad():
            logits = model.logits(model.pixels(images[first : first + batch]))
        found.append(logits.argmax(1).numpy())
    return np.concatenate(found)
