"""What a benchmark measures of each picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from regard.errors import ArgumentError
from regard.scores.evidence import bundled_judges
from regard.scores.pairs import open_encoder
from regard.scores.presence import misbound_colours, neglected_subjects
from regard.scores.templates import caption_similarity, prompt_similarity, weaker_half


@dataclass(frozen=True)
class Judges:
    """Who judges pictures.

    Attributes:
        encoder: Of pictures and texts.
        captioner: A name or folder; None for nobody.
        segmenter: Whether that of the bundled scenes says what is shown.
        notes: What is not measured, and why.
    """

    encoder: Any
    captioner: Any
    segmenter: bool
    notes: list[str] = field(default_factory=list)

    @property
    def recipe(self) -> dict[str, Any]:
        """Their names, as plain JSON values."""
        captioner = None if self.captioner is None else str(self.captioner)
        return {
            "encoder": self.encoder.name,
            "encoder_sha256": self.encoder.recipe.get("weights_sha256"),
            "captioner": captioner,
        }


def judges_of(model: Any, encoder: Any, captioner: Any) -> Judges:
    """Open the judges; the segmenter is asked of pictures of the bundled models alone.

    Raises:
        DataError: the encoder or the captioner cannot be opened.
        UnknownName: there is no such captioner.
        ArgumentError: it reads no texts.
    """
    from regard.models.captioner import captions

    notes = []
    opened = open_encoder(encoder)
    if opened.texts is None:
        raise ArgumentError(
            f"benchmark: the encoder '{opened.name}' reads no texts, so it cannot tell how well a "
            f"picture fits its prompt. Take one of pictures and texts, such as 'openmoji-clip'."
        )
    segmenter = bundled_judges(model) is not None
    if not segmenter:
        notes.append(
            "The segmenter knows the pictures of bundled models alone, so nobody says which "
            "subjects are neglected, nor in which colours they are."
        )
    if captioner is None:
        notes.append("No captioner was asked for, so there is no caption_similarity.")
    else:
        captions([np.zeros((8, 8, 3), np.uint8)], model=captioner)  # says now if it cannot
    return Judges(opened, captioner, segmenter, notes)


def judged(prompts: Sequence[str], pictures: Sequence[np.ndarray], judges: Judges) -> pd.DataFrame:
    """Columns of numbers, one row for each picture.

    Args:
        prompts: What each picture should show.
        pictures: uint8 [y, x, 3].
        judges: Who says so.
    """
    found: dict[str, Any] = {}
    texts = list(prompts)
    if judges.segmenter:
        from regard.models.detector import detect

        seen = detect(list(pictures))
        missing = neglected_subjects(texts, seen).values
        found["neglected"] = np.where(np.isnan(missing), np.nan, missing > 0)
        found["neglected_subjects"] = missing
        found["misbound_colours"] = misbound_colours(texts, seen).values
    found["full_prompt"] = prompt_similarity(pictures, texts, model=judges.encoder).values
    found["weaker_half"] = weaker_half(pictures, texts, model=judges.encoder).values
    if judges.captioner is not None:
        from regard.models.captioner import captions

        told = captions(list(pictures), model=judges.captioner)
        similar = caption_similarity(told, texts, model=judges.encoder)
        found |= {"caption": told, "caption_similarity": similar.values}
    return pd.DataFrame(found)
