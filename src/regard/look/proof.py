"""Proof by leaving out: make the image again without each word, at the same seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.errors import ArgumentError, DataError
from regard.look.result import Look
from regard.look.settings import Progress, Settings
from regard.measures.words import SAME, pixel_distance
from regard.trace import Trace

Sight = tuple[str, ...]


@dataclass(frozen=True)
class Judges:
    """Who says what changed from one image to another.

    Args:
        likeness: Of one image to several others: 1 the same, less the less alike.
        sight: What each image shows, a name for each thing.
    """

    likeness: Callable[[Image.Image, Sequence[Image.Image]], Sequence[float]]
    sight: Callable[[Sequence[Image.Image]], Sequence[Sight]]


def prove(
    model: Any, look: Look, *, judges: Judges | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """What each word did for the image, by making it again without: 0 nothing, 1 black to white.

    In each image the keys of one word are masked in all cross-attention of the conditional half.
    Beside them one padding token is masked, drawn by the seed: any nudge changes a picture a
    little, and this says how little.

    Args:
        model: The model that made the look, or its name or folder.
        look: What `look` returned.
        judges: Who compares images; None takes the bundled ones for bundled models, and nobody
            for others.
        progress: Called after each step with the steps done and the steps there are.

    Returns:
        One row per word with the columns word; pixel_distance and pad_pixel_distance (mean
        absolute difference, share of full scale); clip_similarity and pad_clip_similarity (cosine
        to the image; NaN without judges); segmenter (``same``, or what was seen before and after,
        as in ``blue car, cat -> cat``; empty without judges). ``attrs["note"]`` says which token
        stood for no word.

    Raises:
        ArgumentError: the model is not the one that made the look.

    Example:
        >>> from regard import load
        >>> from regard.look import look
        >>> model = load("openmoji")
        >>> prove(model, look(model, "a cat", steps=2))["word"].tolist()
        ['a', 'cat']

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models", arXiv 1806.07421; here the input is masked a word at a time.
    """
    from regard.look.generate import generate_each, hiding, opened

    pipeline = opened(model)
    _check_same(pipeline, look.trace)
    words = look.trace.word_names
    pad, note = control(look.trace)
    dropped = [look.trace.tokens_of(word) for word in words]
    edits = [hiding(tokens) for tokens in [*dropped, [pad]]]
    images = generate_each(pipeline, settings_of(look.trace), edits, progress=progress)
    proof = _compared(look.image, images, judges or bundled_judges(pipeline))
    proof.insert(0, "word", list(words))
    proof.attrs["note"] = note
    return proof


def settings_of(trace: Trace) -> Settings:
    """The settings that a trace was made with, read from its recipe."""
    recipe = trace.recipe
    return Settings(
        prompt=recipe["prompt"],
        negative_prompt=recipe["negative_prompt"],
        seed=recipe["seed"],
        steps=recipe["steps"],
        guidance=recipe["guidance_scale"],
        size=(recipe["size"][0], recipe["size"][1]),
    )


def control(trace: Trace) -> tuple[int, str]:
    """A token that is no word, to compare words with, and a line that says which it is.

    Args:
        trace: What was seen of the prompt.

    Returns:
        A padding token drawn by the seed; where the prompt leaves no room for any, the special
        token with the least attention, or the last one if their attention was not kept.
    """
    import torch

    pads = [token.index for token in trace.tokens if token.role == "pad"]
    if pads:
        draw = torch.Generator().manual_seed(trace.recipe["seed"])
        pad = pads[int(torch.randint(len(pads), (1,), generator=draw))]
        return pad, f"Compared with dropping padding token {pad}."
    special = [token for token in trace.tokens if token.role in ("start", "end")]
    if not special:
        raise ArgumentError(
            "prove: the prompt has neither padding nor a start or end token to compare words "
            "with. Shorten the prompt."
        )
    table = trace.words().set_index("word")["mass"]
    least = min(reversed(special), key=lambda token: table.get(token.name, np.inf))
    return least.index, (
        f"The prompt leaves no room for padding: compared with dropping the {least.role} token."
    )


def bundled_judges(pipeline: Any) -> Judges | None:
    """The bundled judges, if this is a bundled model and their weights are there."""
    import regard.zoo as zoo

    try:
        if zoo.name_of(pipeline) in zoo.recipes():
            zoo.weights_folder("openmoji-clip")
            zoo.weights_folder("openmoji-segmenter")
            return Judges(_likeness, _sight)
    except DataError:
        pass  # without the judges' weights the pixels still speak
    return None


def _likeness(image: Image.Image, others: Sequence[Image.Image]) -> list[float]:
    from regard.zoo import judge

    return [float(each) for each in judge.similarity([image], list(others))[0]]


def _sight(images: Sequence[Image.Image]) -> list[Sight]:
    from regard.data.drawings import OBJECTS
    from regard.zoo import judge

    return [
        tuple(
            # An animal has the colours it was drawn in; only objects are named with one.
            f"{sighting.colour} {name}" if name in OBJECTS else name
            for name, sighting in seen.subjects.items()
        )
        for seen in judge.see(list(images))
    ]


def _compared(
    image: Image.Image, images: Sequence[Image.Image], judges: Judges | None
) -> pd.DataFrame:
    """One row for each image but the last, which is the one without a padding token."""
    pixels = np.asarray(image.convert("RGB"))
    distances = [pixel_distance(pixels, np.asarray(each.convert("RGB"))) for each in images]
    likeness = judges.likeness(image, images) if judges else [np.nan] * len(images)
    return pd.DataFrame(
        {
            "pixel_distance": distances[:-1],
            "pad_pixel_distance": distances[-1],
            "clip_similarity": list(likeness[:-1]),
            "pad_clip_similarity": likeness[-1],
            "segmenter": _changes(image, images[:-1], judges),
        }
    )


def _changes(image: Image.Image, images: Sequence[Image.Image], judges: Judges | None) -> list[str]:
    if judges is None:
        return [""] * len(images)
    before, *after = judges.sight([image, *images])
    return [
        SAME if set(sight) == set(before) else f"{_listed(before)} -> {_listed(sight)}"
        for sight in after
    ]


def _listed(sight: Sight) -> str:
    return ", ".join(sight) or "nothing"


def _check_same(pipeline: Any, trace: Trace) -> None:
    import regard.zoo as zoo

    if not trace.layers:
        raise ArgumentError(
            "prove: this look is at a picture and has no words. Give a look at a prompt."
        )

    for key, found in (
        ("scheduler", type(pipeline.scheduler).__name__),
        ("weights_sha256", zoo.fingerprint(pipeline)),
    ):
        made_with = trace.recipe[key]
        if found != made_with:
            raise ArgumentError(
                f"prove: the model has {key} {found[:12]}, and the look was made with "
                f"{made_with[:12]}. Give the model that made it."
            )
