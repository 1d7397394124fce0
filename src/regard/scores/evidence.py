"""Who says what changed from one image to another, and what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.errors import DataError
from regard.measures.verdicts import SAME, pixel_distance

Sight = tuple[str, ...]


@dataclass(frozen=True)
class Judges:
    """Who says what changed from one image to another.

    Args:
        likeness: Of one image to several others: 1 the same, less the less alike.
        sight: What each image shows, a name for each thing; None where nobody says.
        name: What likeness is measured in, for the note of a proof.
    """

    likeness: Callable[[Image.Image, Sequence[Image.Image]], Sequence[float]]
    sight: Callable[[Sequence[Image.Image]], Sequence[Sight]] | None = None
    name: str = "the encoder that was given"


def judges_of(model: Any) -> Judges | None:
    """Who compares the images of a model: the bundled judges, or else its own autoencoder."""
    return bundled_judges(model) or _latent_judges(model.pipeline)


def _latent_judges(pipeline: Any) -> Judges | None:
    """Likeness in the latents of a pipeline's autoencoder; None if it has none."""
    import torch

    vae, processor = (getattr(pipeline, name, None) for name in ("vae", "image_processor"))
    if vae is None or processor is None or not hasattr(vae, "encode"):
        return None

    @torch.no_grad()
    def latents(image: Image.Image) -> Any:
        pixels = processor.preprocess(image.convert("RGB")).to(vae.device, vae.dtype)
        return vae.encode(pixels).latent_dist.mode()[0].double().cpu()

    def likeness(image: Image.Image, others: Sequence[Image.Image]) -> list[float]:
        first = latents(image)
        centre = first.mean(dim=(-2, -1), keepdim=True)
        own = (first - centre).flatten()
        return [
            float(torch.cosine_similarity(own, (latents(each) - centre).flatten(), dim=0))
            for each in others
        ]

    return Judges(likeness, name="the latents of the model's own autoencoder")


def bundled_judges(model: Any) -> Judges | None:
    """The bundled judges, if this is a bundled model and their weights are there."""
    import regard.models as models
    import regard.zoo as zoo

    try:
        if models.name_of(model) in zoo.recipes():
            zoo.weights_folder("openmoji-clip")
            zoo.weights_folder("openmoji-segmenter")
            return Judges(_likeness, _sight, "the space of the image encoder openmoji-clip")
    except DataError:
        pass  # without the judges' weights the pixels still speak
    return None


def _likeness(image: Image.Image, others: Sequence[Image.Image]) -> list[float]:
    from regard.models import detector

    return [float(each) for each in detector.similarity([image], list(others))[0]]


def _sight(images: Sequence[Image.Image]) -> list[Sight]:
    from regard.data.drawings import OBJECTS
    from regard.models import detector

    return [
        tuple(
            # An animal has the colours it was drawn in; only objects are named with one.
            f"{sighting.colour} {name}" if name in OBJECTS else name
            for name, sighting in seen.subjects.items()
        )
        for seen in detector.detect(list(images))
    ]


def evidence(
    image: Image.Image, others: Sequence[Image.Image], judges: Judges | None
) -> pd.DataFrame:
    """How far images are from another one, and what is seen in them.

    Args:
        image: What they are compared with.
        others: The images.
        judges: Who compares them; None leaves it to the pixels.

    Returns:
        One row for each, with the columns distance, pixel_distance and seen of a proof.
    """
    pixels = np.asarray(image.convert("RGB"))
    likeness = judges.likeness(image, others) if judges else [np.nan] * len(others)
    return pd.DataFrame(
        {
            "distance": [max(0.0, 1.0 - float(each)) for each in likeness],
            "pixel_distance": [
                pixel_distance(pixels, np.asarray(each.convert("RGB"))) for each in others
            ],
            "seen": _changes(image, others, judges),
        }
    )


def _changes(image: Image.Image, images: Sequence[Image.Image], judges: Judges | None) -> list[str]:
    if judges is None or judges.sight is None:
        return [""] * len(images)
    before, *after = judges.sight([image, *images])
    return [
        SAME if set(sight) == set(before) else f"{_listed(before)} -> {_listed(sight)}"
        for sight in after
    ]


def _listed(sight: Sight) -> str:
    return ", ".join(sight) or "nothing"
