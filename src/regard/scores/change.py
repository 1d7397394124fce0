"""What changed from a baseline image to others: judges of likeness and of the objects shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from regard.errors import DataError
from regard.measures.verdicts import SAME, pixel_distance

if TYPE_CHECKING:
    from regard.scores.judges import Judge

Cosines = Callable[[Image.Image, Sequence[Image.Image]], Sequence[float]]
Detect = Callable[[Sequence[Image.Image]], Sequence[tuple[str, ...]]]

COLUMNS = {"distance": np.nan, "pixel_distance": np.nan, "seen": ""}
"""The columns of `compared`, and what they say where no judge gives one; pixels always do."""


def bundled_cosines(image: Image.Image, others: Sequence[Image.Image]) -> list[float]:
    """Cosine of an image to others in the space of ``openmoji-clip``: 1 the same, -1 opposite.

    Example:
        >>> image = Image.new("RGB", (64, 64), "teal")
        >>> [round(each, 5) for each in bundled_cosines(image, [image])]
        [1.0]
    """
    from regard.models import detector

    return [float(each) for each in detector.similarity([image], list(others))[0]]


def bundled_objects(images: Sequence[Image.Image]) -> list[tuple[str, ...]]:
    """The objects that ``openmoji-segmenter`` detects in each image, the largest first.

    Example:
        >>> bundled_objects([Image.new("RGB", (64, 64), "white")])
        [()]
    """
    from regard.data.drawings import OBJECTS
    from regard.models import detector

    return [
        tuple(
            # An animal has the colours it was drawn in; only objects are named with one.
            f"{detection.colour} {name}" if name in OBJECTS else name
            for name, detection in found.subjects.items()
        )
        for found in detector.detect(list(images))
    ]


@dataclass(frozen=True)
class Likeness:
    """How far images lie from the baseline, in the space of an encoder and in pixels.

    Attributes:
        cosine: Of one image to several others: 1 the same, less the less alike; None leaves it to
            the pixels.
        space: What the cosine is taken in, for notes.
    """

    cosine: Cosines | None = None
    space: str = "the encoder that was given"
    units: ClassVar = {
        "similarity": "cosine",
        "distance": "1 - cosine",
        "pixel_distance": "share of full scale",
    }

    def recipe(self) -> dict[str, Any]:
        """The space, None for pixels alone."""
        return {"judge": "likeness", "space": self.space if self.cosine else None}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> dict[str, list[Any]]:
        """As for `Judge`."""
        first, *others = (np.asarray(each.convert("RGB")) for each in [baseline, *images])
        pixels = [pixel_distance(first, each) for each in others]
        if self.cosine is None:
            return {"pixel_distance": pixels}
        similar = [float(each) for each in self.cosine(baseline, images)]
        distance = [max(0.0, 1.0 - each) for each in similar]
        return {"similarity": similar, "distance": distance, "pixel_distance": pixels}


@dataclass(frozen=True)
class Seen:
    """Which objects images show, and whether they are those of the baseline.

    Attributes:
        detect: From images to the names of the objects in each.
    """

    detect: Detect = bundled_objects
    units: ClassVar[dict[str, str]] = {}

    def recipe(self) -> dict[str, Any]:
        """Nothing but its name."""
        return {"judge": "seen"}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> dict[str, list[Any]]:
        """As for `Judge`."""
        before, *after = self.detect([baseline, *images])
        return {
            "shown": [named(each) for each in after],
            "seen": [before_after(before, each) for each in after],
        }


def before_after(before: Sequence[str], after: Sequence[str]) -> str:
    """What two images show: ``same``, in whatever order, or both lists.

    Example:
        >>> before_after(["cat", "car"], ["car", "cat"]), before_after(["cat", "car"], [])
        ('same', 'cat, car -> nothing')
    """
    return SAME if set(before) == set(after) else f"{named(before)} -> {named(after)}"


def named(objects: Sequence[str]) -> str:
    """Objects in one line.

    Example:
        >>> named(["cat", "blue car"]), named([])
        ('cat, blue car', 'nothing')
    """
    return ", ".join(objects) or "nothing"


def compared(
    baseline: Image.Image,
    images: Sequence[Image.Image],
    requests: Sequence[Any],
    judges: Sequence["Judge"],
) -> pd.DataFrame:
    """How images differ from a baseline, by some scorers.

    Args:
        baseline: What the images are compared with.
        images: The images.
        requests: The request of each.
        judges: Each gives some of the columns; pixels are compared in any case.

    Returns:
        A row for each image, with the columns distance, pixel_distance and seen.

    Example:
        >>> black, grey = (Image.new("RGB", (2, 2), (each,) * 3) for each in (0, 51))
        >>> compared(black, [grey], [None], [])["pixel_distance"].tolist()
        [0.2]
    """
    columns: dict[str, Any] = {name: [value] * len(images) for name, value in COLUMNS.items()}
    for judge in [Likeness(), *judges]:
        columns |= judge(images, requests, baseline)
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def judges_for(model: Any) -> list["Judge"]:
    """The judges that compare images of a model where none are named.

    Args:
        model: A `TextToImage`.

    Returns:
        The bundled encoder and segmenter for the bundled models; for others likeness in the latents
        of their own autoencoder, or in pixels where there is none.
    """
    if makes_scenes(model):
        return [Likeness(bundled_cosines, "the space of the image encoder openmoji-clip"), Seen()]
    cosine = _latent_cosines(model.pipeline)
    return [Likeness(cosine, "the latents of the model's own autoencoder")]


def makes_scenes(model: Any) -> bool:
    """Whether the bundled encoder and segmenter know the images of a model, and are installed.

    Args:
        model: A `TextToImage`; the bundled ones generate such images.
    """
    return judge_of(model) is not None


def judge_of(model: Any) -> str | None:
    """The bundled segmenter that knows the images of a model; None if none does, or is installed.

    Args:
        model: A `TextToImage`; the bundled ones generate such images.
    """
    import regard.models as models
    import regard.zoo as zoo

    name = models.name_of(model)
    judges = zoo.recipe(name).judges if name in zoo.recipes() else ()
    try:
        for each in ("openmoji-clip", *judges):
            zoo.weights_folder(each)
    except DataError:
        return None  # without their weights the pixels still speak
    return judges[0] if judges else None


def _latent_cosines(pipeline: Any) -> Cosines | None:
    """Cosines in the latents of a pipeline's autoencoder; None if it has none."""
    import torch

    vae, processor = (getattr(pipeline, name, None) for name in ("vae", "image_processor"))
    if vae is None or processor is None or not hasattr(vae, "encode"):
        return None

    @torch.no_grad()
    def latents(image: Image.Image) -> Any:
        pixels = processor.preprocess(image.convert("RGB")).to(vae.device, vae.dtype)
        return vae.encode(pixels).latent_dist.mode()[0].double().cpu()

    def cosines(image: Image.Image, others: Sequence[Image.Image]) -> list[float]:
        first = latents(image)
        centre = first.mean(dim=(-2, -1), keepdim=True)
        own = (first - centre).flatten()
        return [
            float(torch.cosine_similarity(own, (latents(each) - centre).flatten(), dim=0))
            for each in others
        ]

    return cosines
