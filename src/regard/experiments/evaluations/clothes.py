"""The classifier of clothes, on test images of Fashion-MNIST."""

from functools import cache, partial

import numpy as np

from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.experiments.evaluations.task import CardTask, Chunk, Measured, chunks, images
from regard.experiments.store import Done
from regard.zoo import Recipe
from regard.zoo.cards import accuracy_key


@cache
def unseen_clothes() -> FashionMNIST:
    """The test images of Fashion-MNIST; no training has seen them."""
    return fashion_mnist("test")


def classified(name: str, chunk: Chunk) -> Done:
    """The class that the model names of each image, and its own."""
    test = unseen_clothes()
    named = predictions(chunk.of(test.images), name)
    return Done(size=len(chunk), arrays={"named": named, "labels": chunk.of(test.labels)})


def predictions(images: np.ndarray, name: str = "fashion-vit", *, batch: int = 250) -> np.ndarray:
    """The classes that a bundled classifier names, int [image]."""
    import torch

    from regard.models import load

    model, found = load(name), []
    for first in range(0, len(images), batch):
        with torch.no_grad():
            logits = model.logits(model.pixels(images[first : first + batch]))
        found.append(logits.argmax(1).numpy())
    return np.concatenate(found)


def _figures(found: Measured) -> dict[str, float]:
    """Share of images whose class is named right, in all and by class."""
    named, labels = (
        np.concatenate([each.arrays[name] for each in found.values()])
        for name in ("named", "labels")
    )
    right = named == labels
    each = {
        accuracy_key(name): float(right[labels == label].mean())
        for label, name in enumerate(unseen_clothes().names)
    }
    return {"test_accuracy": float(right.mean()), **each, "images": images(found)}


def classifier(plan: Recipe) -> CardTask:
    """Which class the model names of images of clothes."""
    return CardTask(
        "classifying",
        lambda quick: chunks("clothes", min(1000 if quick else 10_000, len(unseen_clothes())), 500),
        partial(classified, plan.name),
        _figures,
    )
