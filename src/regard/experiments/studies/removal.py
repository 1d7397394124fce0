"""Words removed from prompts: hidden as `verify` hides them, deleted, or at their own key."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from regard.errors import ArgumentError
from regard.experiments.studies.planted import class_of
from regard.measures.verdicts import CONTROL, OWN_KEY, WORD, verdicts
from regard.measures.words import LOOKS

GUIDANCE = 4.0

HIDDEN, DELETED = "hidden", "deleted"
WAYS = (HIDDEN, DELETED, OWN_KEY)
"""How a word is removed: as `verify` does it, the reference, and its own key alone."""


def removed(model: Any, prompt: str, seed: int, ways: Sequence[str], *, steps: int) -> pd.DataFrame:
    """Each word of a prompt removed in some ways, and controls, compared with the whole prompt.

    Args:
        model: A `TextToImage`.
        prompt: The prompt.
        seed: Of its images.
        ways: Some of `WAYS`.
        steps: Denoising steps.

    Returns:
        One row for each word and way, and for each control, as `judged` takes them.

    Raises:
        ArgumentError: no judge reports what the images of the model show.
    """
    from regard.generation.batches import generate_to_compare
    from regard.generation.hidden import hide_words, masking
    from regard.look import look
    from regard.look.left_out import controls
    from regard.look.recipe import request_from
    from regard.scores.change import bundled_objects, compared, judges_for, makes_scenes

    judges = judges_for(model)
    if not makes_scenes(model):
        raise ArgumentError(
            "study redundancy: no detector knows the images of this model. Give a "
            "model of the world of scenes, such as 'openmoji'."
        )
    trace = look(
        model,
        prompt,
        keep=(),
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        progress=False,  # the study has its own
    ).trace
    names, request = list(trace.word_names), request_from(trace.recipe)
    groups = [trace.tokens_of(name) for name in names]
    pads = [[pad] for pad in controls(trace)[0]]
    baseline, *images = hide_words(model, request, [[], *groups, *pads]).images
    made = {HIDDEN: images[: len(names)]}
    if DELETED in ways:
        made[DELETED] = hide_words(model, request, groups, delete=True).images
    if OWN_KEY in ways:
        own = [replace(request, methods=(masking(each),)) for each in groups]
        made[OWN_KEY] = generate_to_compare(model, own)

    def against(others: list[Any]) -> pd.DataFrame:
        return compared(baseline, others, [request] * len(others), judges)

    rows = [against(images[len(names) :]).assign(word="[pad]", way=CONTROL)]
    table = trace.words().set_index("word").loc[names]
    for way, without in made.items():
        own = against(without).assign(word=names, way=way)
        own["place"], own["mass"] = range(len(names)), table["mass"].to_numpy()
        own["looks"] = table["verdict"].str.startswith(LOOKS).to_numpy()
        rows.append(own)
    whole = ", ".join(bundled_objects([baseline])[0])
    found = pd.concat(rows, ignore_index=True)
    return found.assign(prompt=prompt, seed=seed, sees=whole)


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of words with a threshold, whether each was needed, and its class."""
    tables = []
    for _, case in rows.groupby(["prompt", "seed"], sort=False):
        control = case[case["way"] == CONTROL].assign(kind=CONTROL)
        for way in [each for each in WAYS if each in set(case["way"])]:
            own = case[case["way"] == way].assign(kind=WORD)
            tables.append(verdicts(pd.concat([own, control], ignore_index=True)))
    words = pd.concat(tables, ignore_index=True).astype({"place": int, "needed": bool})
    each = zip(words["word"], words["place"], words["prompt"], words["sees"], strict=True)
    words["class"] = [class_of(*one) for one in each]
    return words
