"""Images that `openmoji` generates: verdicts of the segmenter, and maps of the words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regard.data.drawings import SUBJECTS
from regard.data.scenes import HELD_OUT_PAIRS, mentions_in
from regard.experiments.evaluations.subject_maps import (
    arrays_of,
    model,
    subjects_in,
    subjects_of,
)
from regard.experiments.evaluations.task import Measured, share_of
from regard.experiments.evaluations.word_maps import WordWatch, readings_of
from regard.experiments.store import Done, small
from regard.generation import Request, generate
from regard.models.detector import detect
from regard.scores.presence import misbound_colours, miscounted_subjects, neglected_subjects
from regard.zoo import Recipe
from regard.zoo.cards import subject_key

GENERATED = 16
"""Images that are generated and measured together."""

VERDICTS = {
    "neglected": neglected_subjects,
    "misbound": misbound_colours,
    "miscounted": miscounted_subjects,
}
"""Shares of subjects and colours that a row holds, by the segmenter."""

Wanted = list[tuple[str, int]]
"""Prompts with seeds."""


def generated(plan: Recipe, wanted: Wanted) -> Done:
    """Images of prompts with seeds, in as many steps and with the guidance of the recipe.

    Returns:
        A row for each image; the maps of the subjects that are in it, and their masks.
    """
    bundled, (judge,) = model(plan.name), plan.judges
    texts = [bundled.tokenize(prompt) for prompt, _ in wanted]
    watch = WordWatch(bundled, texts)
    requests = [Request(prompt, seed=seed, **plan.sampling) for prompt, seed in wanted]
    made = [each.image for each in generate(bundled, requests, observe=watch.observers)]
    seen, asked = detect(made, model=judge), [prompt for prompt, _ in wanted]
    verdicts = {name: score(asked, seen).values for name, score in VERDICTS.items()}
    rows = [
        {"prompt": prompt, "seed": seed}
        | {name: float(values[place]) for name, values in verdicts.items()}
        for place, (prompt, seed) in enumerate(wanted)
    ]
    found = [
        (text.text, text, word, maps, detections.subjects[subject].mask)
        for text, maps, detections in zip(texts, watch.maps(), seen, strict=True)
        for word, subject in subjects_of(text.text).items()
        if subject in detections.subjects
    ]
    return Done(
        rows,
        [f"{prompt} [{each}]" for prompt, each in zip(asked, seen, strict=True)],
        np.stack([small(each) for each in made]),
        len(wanted),
        [prompt for prompt, *_ in found],
        arrays_of([each[1:] for each in found]),
    )


def single_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of images that show their subject, and of coloured objects in the right colour.

    Args:
        rows: As `generated` gives them.
    """
    neglected, misbound, asked = _columns(rows)
    coloured = np.array([_names_a_colour(prompt) for prompt in asked], bool)
    # A subject that is not there has no colour, so not the right one either: NaN is not 0.
    return {
        **share_of("subject_shown", neglected == 0, asked),
        **share_of("colour_right", misbound[coloured] == 0, asked[coloured]),
    }


def each_subject(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of images that show their subject, for each subject.

    Args:
        rows: Of prompts with one subject, as `generated` gives them.
    """
    neglected, _, asked = _columns(rows)
    of = np.array([mentions_in(prompt)[0].subject for prompt in asked])
    return {
        key: value
        for name in SUBJECTS
        if name in of
        for key, value in share_of(
            subject_key(name), neglected[of == name] == 0, asked[of == name]
        ).items()
    }


def count_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of images that show as many as 'two' or 'three' of a subject.

    Args:
        rows: Of prompts that count one subject, as `generated` gives them.
    """
    wrong = np.array([each["miscounted"] for each in rows], float)
    return share_of("count_right", wrong == 0, [each["prompt"] for each in rows])


def pair_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Shares of two-subject images: both there, one neglected, colours bound right.

    ``colours_bound_right`` is taken over images that show both subjects, one of them coloured.

    Args:
        rows: As `generated` gives them.
    """
    neglected, misbound, asked = _columns(rows)
    never = np.array([_held_out(prompt) for prompt in asked], bool)
    bound = np.array([_names_a_colour(prompt) for prompt in asked], bool) & (neglected == 0)
    return {
        **share_of("both_present", neglected == 0, asked),
        **share_of("one_neglected", neglected == 1 / 2, asked),
        **share_of("both_present_held_out_pairs", neglected[never] == 0, asked[never]),
        **share_of("colours_bound_right", misbound[bound] == 0, asked[bound]),
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of neglected subjects and of misbound colours, and the prompts, [image] each."""
    neglected, misbound = (
        np.array([each[name] for each in rows], float) for name in ("neglected", "misbound")
    )
    return neglected, misbound, np.array([each["prompt"] for each in rows])


def _names_a_colour(prompt: str) -> bool:
    return any(mention.colour for mention in mentions_in(prompt))


def _held_out(prompt: str) -> bool:
    return frozenset(subjects_of(prompt)) in HELD_OUT_PAIRS


def generated_maps(found: Measured) -> dict[str, float]:
    """Mean IoU of subject words' maps with the segmenter's masks on generated images.

    The threshold is chosen on every other prompt and the figure taken on the rest, for each of the
    readings separately. Intervals are over prompts.
    """
    rows = [row["prompt"] for done in found.values() for row in done.rows]
    order = {prompt: number for number, prompt in enumerate(dict.fromkeys(rows))}
    subjects = [
        each
        for done in found.values()
        for each in subjects_in(done, [order[prompt] for prompt in done.values])
    ]
    if {each.group % 2 for each in subjects} != {0, 1}:
        return {"map_miou": np.nan}
    return readings_of("map_miou", subjects)
