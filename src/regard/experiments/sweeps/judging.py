"""How far pictures lie from the bare one, and what they show no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from regard.data.scenes import mentions_in
from regard.measures.words import SAME, pixel_distance
from regard.scores import clip, pairs, perceptual
from regard.scores.judges import bundled_judges
from regard.scores.presence import neglected_subjects

BUNDLED = "openmoji-clip"

UNITS = {
    "distance": "share of full scale",
    "perceptual_distance": "1",
    "clip_score": "cosine",
    "clip_change": "cosine",
    "neglected": "share of subjects",
    "neglected_change": "share of subjects",
    "still_shown": "share of subjects",
}
"""The numbers of a table of a sweep, and their units."""


@dataclass(frozen=True)
class Judges:
    """Who compares pictures.

    Attributes:
        encoder: Of pictures, and perhaps of texts; None for nobody.
        segmenter: Whether that of the bundled scenes says what is shown.
    """

    encoder: Any = None
    segmenter: bool = False

    def notes(self, prompts: Sequence[str]) -> list[str]:
        """What is not measured, and why."""
        if self.encoder is None:
            return [
                "Only pixels are compared: no encoder is known to understand the pictures of this "
                "model. Name one with encoder= (--encoder)."
            ]
        notes = []
        if self.encoder.texts is None:
            notes.append(f"'{self.encoder.name}' reads no texts, so there is no clip_score.")
        if self.encoder.layers is None:
            notes.append(
                f"'{self.encoder.name}' shows no layers, so there is no perceptual_distance."
            )
        strange = [prompt for prompt in prompts if not mentions_in(prompt)]
        if not self.segmenter:
            notes.append("The segmenter knows the bundled scenes alone, so it was not asked.")
        elif strange:
            told = "; ".join(f"'{prompt}'" for prompt in strange[:3])
            notes.append(f"The segmenter knows no subject of {told}: nothing is told of subjects.")
        return notes

    def measured(self, prompt: str, pictures: Sequence[Image.Image]) -> dict[str, list[Any]]:
        """Columns with one value for each picture after the first, which is the bare one."""
        bare, *others = pictures
        pixels = [np.asarray(each.convert("RGB")) for each in pictures]
        found: dict[str, list[Any]] = {
            "distance": [pixel_distance(pixels[0], each) for each in pixels[1:]]
        }
        if self.encoder is not None and self.encoder.layers is not None:
            apart = perceptual.perceptual_distance([bare] * len(others), others, model=self.encoder)
            found["perceptual_distance"] = apart.values.tolist()
        if self.encoder is not None and self.encoder.texts is not None:
            fits = clip.clip_score(pictures, [prompt] * len(pictures), model=self.encoder)
            found["clip_score"] = fits.values[1:].tolist()
            found["clip_change"] = (fits.values[1:] - fits.values[0]).tolist()
        if self.segmenter and mentions_in(prompt):
            found |= _verdicts(prompt, pictures)
        return found


def judges_of(model: Any, encoder: Any) -> Judges:
    """The bundled judges for bundled models; for others those whom the user names.

    Raises:
        RegardError: the encoder cannot be opened.
    """
    if encoder is None and bundled_judges(model) is None:
        return Judges()
    which = BUNDLED if encoder is None else encoder
    opened = pairs.open_encoder(which)
    # Whoever takes the encoder of the scenes says that the pictures are scenes.
    return Judges(opened, segmenter=opened.name == BUNDLED)


def _verdicts(prompt: str, pictures: Sequence[Image.Image]) -> dict[str, list[Any]]:
    from regard.models.detector import detect

    seen = detect(list(pictures))
    neglected = neglected_subjects([prompt] * len(seen), seen).values
    named = {mention.subject for mention in mentions_in(prompt)}
    before = named & set(seen[0].subjects)
    kept = [len(before & set(each.subjects)) / len(before) if before else np.nan for each in seen]
    told = [
        SAME
        if set(each.subjects) == set(seen[0].subjects)
        else f"{_told(seen[0])} -> {_told(each)}"
        for each in seen
    ]
    return {
        "neglected": neglected[1:].tolist(),
        "neglected_change": (neglected[1:] - neglected[0]).tolist(),
        "still_shown": kept[1:],
        "segmenter": told[1:],
    }


def _told(seen: Any) -> str:
    return ", ".join(seen.subjects) or "nothing"
