"""Judges: what is said of images that were generated, as named columns of numbers with units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from regard.data.scenes import mentions_in
from regard.measures.verdicts import pixel_distance
from regard.scores import clip, perceptual, templates
from regard.scores.change import before_after
from regard.scores.presence import misbound_colours, miscounted_subjects, neglected_subjects

Columns = dict[str, list[Any]]
"""By name, one value for each image."""

SUBJECTS = "share of subjects"


class Judge(Protocol):
    """Who says something of images.

    Attributes:
        units: Of each column of numbers that it may give.
    """

    units: ClassVar[Mapping[str, str]]

    def recipe(self) -> dict[str, Any]:
        """What decides its judgement, as plain JSON values."""

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """What it says of each image.

        Args:
            images: The images.
            requests: The `Request` of each, all of one prompt.
            baseline: The image of the same prompt and seed without methods.
        """


class Pixels:
    """How far the pixels of images lie from those of the baseline."""

    units: ClassVar = {"distance": "share of full scale"}

    def recipe(self) -> dict[str, Any]:
        """Nothing but its name."""
        return {"judge": "pixels"}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        first, *others = arrays([baseline, *images])
        return {"distance": [pixel_distance(first, each) for each in others]}


@dataclass(frozen=True)
class Shift:
    """What an encoder says of the way from the baseline: how far, and how the prompt still fits.

    Attributes:
        encoder: As `regard.models.encoder.encoder` returns it; what it cannot read is left out.
    """

    encoder: Any
    units: ClassVar = {"perceptual_distance": "1", "clip_score": "cosine", "clip_change": "cosine"}

    def recipe(self) -> dict[str, Any]:
        """The encoder and its checksum."""
        return {"judge": "shift", **recipe_of(self.encoder)}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        found: Columns = {}
        if self.encoder.layers is not None:
            before = [baseline] * len(images)
            apart = perceptual.perceptual_distance(before, images, model=self.encoder)
            found["perceptual_distance"] = apart.values.tolist()
        if self.encoder.texts is not None:
            prompts = [requests[0].prompt, *(each.prompt for each in requests)]
            fits = clip.clip_score([baseline, *images], prompts, model=self.encoder).values
            found["clip_score"] = fits[1:].tolist()
            found["clip_change"] = (fits[1:] - fits[0]).tolist()
        return found


class Losses:
    """Which subjects the segmenter of the bundled scenes sees no more; none of other prompts."""

    units: ClassVar = dict.fromkeys(("neglected", "neglected_change", "still_shown"), SUBJECTS)

    def recipe(self) -> dict[str, Any]:
        """Nothing but its name."""
        return {"judge": "losses"}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        from regard.models.detector import detect

        prompt = requests[0].prompt
        named = {mention.subject for mention in mentions_in(prompt)}
        if not named:
            return {}
        seen = detect([baseline, *images])
        neglected = neglected_subjects([prompt] * len(seen), seen).values
        first, *others = [set(each.subjects) for each in seen]
        before, subjects = named & first, [list(each.subjects) for each in seen]
        return {
            "neglected": neglected[1:].tolist(),
            "neglected_change": (neglected[1:] - neglected[0]).tolist(),
            "still_shown": [
                len(before & each) / len(before) if before else np.nan for each in others
            ],
            "segmenter": [before_after(subjects[0], each) for each in subjects[1:]],
        }


@dataclass(frozen=True)
class Presence:
    """Which subjects and colours of the prompt the segmenter of the bundled scenes misses.

    Attributes:
        segmenter: The name of a bundled one.
    """

    segmenter: str = "openmoji-segmenter"
    units: ClassVar = {
        "neglected": "1 if a subject is missing",
        "neglected_subjects": SUBJECTS,
        "misbound_colours": "share of colours",
    }

    def recipe(self) -> dict[str, Any]:
        """The segmenter."""
        return {"judge": "presence", "segmenter": self.segmenter}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        from regard.models.detector import detect

        seen = detect(arrays(images), model=self.segmenter)
        prompts = [each.prompt for each in requests]
        missing = neglected_subjects(prompts, seen).values
        return {
            "neglected": np.where(np.isnan(missing), np.nan, missing > 0).tolist(),
            "neglected_subjects": missing.tolist(),
            "misbound_colours": misbound_colours(prompts, seen).values.tolist(),
        }


@dataclass(frozen=True)
class Counts:
    """Whether there are as many of a subject as the prompt says; nothing where it counts none.

    Attributes:
        segmenter: The name of a bundled one.
    """

    segmenter: str = "openmoji-segmenter"
    units: ClassVar = {"miscounted_subjects": SUBJECTS}

    def recipe(self) -> dict[str, Any]:
        """The segmenter."""
        return {"judge": "counts", "segmenter": self.segmenter}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        from regard.models.detector import detect

        seen = detect(arrays(images), model=self.segmenter)
        prompts = [each.prompt for each in requests]
        return {"miscounted_subjects": miscounted_subjects(prompts, seen).values.tolist()}


@dataclass(frozen=True)
class Fit:
    """How well images fit their prompt, and the half of it that they fit less.

    Attributes:
        encoder: Of images and texts, as `regard.models.encoder.encoder` returns it.
    """

    encoder: Any
    units: ClassVar = {"full_prompt": "cosine", "minimum_object_similarity": "cosine"}

    def recipe(self) -> dict[str, Any]:
        """The encoder and its checksum."""
        return {"judge": "fit", **recipe_of(self.encoder)}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        shown, prompts = arrays(images), [each.prompt for each in requests]
        full = templates.prompt_similarity(shown, prompts, model=self.encoder)
        least = templates.minimum_object_similarity(shown, prompts, model=self.encoder)
        return {
            "full_prompt": full.values.tolist(),
            "minimum_object_similarity": least.values.tolist(),
        }


@dataclass(frozen=True)
class Captions:
    """What a captioner says of images, and how near that is to their prompt.

    Attributes:
        captioner: As `regard.models.captioner.captions` takes it.
        encoder: Of texts, as `regard.models.encoder.encoder` returns it.
    """

    captioner: Any
    encoder: Any
    units: ClassVar = {"caption_similarity": "cosine"}

    def recipe(self) -> dict[str, Any]:
        """The captioner, and the encoder with its checksum."""
        return {"judge": "captions", **recipe_of(self.encoder), "captioner": str(self.captioner)}

    def __call__(
        self, images: Sequence[Image.Image], requests: Sequence[Any], baseline: Image.Image
    ) -> Columns:
        """As for `Judge`."""
        from regard.models.captioner import captions

        told = list(captions(arrays(images), model=self.captioner))
        prompts = [each.prompt for each in requests]
        similar = templates.caption_similarity(told, prompts, model=self.encoder)
        return {"caption": told, "caption_similarity": similar.values.tolist()}


def recipe_of(encoder: Any) -> dict[str, Any]:
    """The name and the checksum of an encoder, None where there is no encoder.

    Example:
        >>> recipe_of(None)
        {'encoder': None, 'encoder_sha256': None}
    """
    if encoder is None:
        return {"encoder": None, "encoder_sha256": None}
    return {"encoder": encoder.name, "encoder_sha256": encoder.recipe.get("weights_sha256")}


def arrays(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """Images as uint8 [y, x, 3].

    Example:
        >>> arrays([Image.new("L", (3, 2))])[0].shape
        (2, 3, 3)
    """
    return [np.asarray(each.convert("RGB")) for each in images]
