"""The study of redundant words: does hiding a word tell what deleting it from the prompt tells?"""

import os
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import pandas as pd

from regard.errors import ArgumentError
from regard.experiments.store import Store
from regard.experiments.studies.agreement import area, kappa, rate, resampled
from regard.experiments.studies.finding import Finding, Hypothesis, table_of
from regard.experiments.studies.planted import CLASSES, captions, planted_prompts
from regard.experiments.studies.study import Report, Study
from regard.experiments.studies.taken import (
    DELETED,
    FULL,
    GUIDANCE,
    HIDDEN,
    OWN_KEY,
    QUICK,
    Plan,
    Reader,
)
from regard.views.report import Section

MODEL = "openmoji"

AGREES = Hypothesis(
    "agrees-with-deletion",
    "Hiding a word gives the verdict that deleting it from the prompt gives.",
    "Cohen's kappa of the two verdicts, over all words",
    0.6,
)
SUBJECTS_STAY = Hypothesis(
    "subjects-are-needed",
    "No subject that is seen in the image is called redundant.",
    "share of such subjects that are called redundant",
    0.1,
    "below",
)
COLOURS_STAY = Hypothesis(
    "colours-are-needed",
    "Hardly any colour of an object is called redundant.",
    "share of such colours that are called redundant",
    0.2,
    "below",
)
PLANTED_FOUND = Hypothesis(
    "planted-words-are-found",
    "Words that were planted so that they cannot matter change less than words that must.",
    "area under the ROC curve of the distance without the word",
    0.8,
)
MAPS_POORER = Hypothesis(
    "check-beats-suspicion",
    "The leave-one-word-out check finds planted words better than the mass of their maps does.",
    "area of the check less that of the mass",
    0.0,
)


def redundancy(
    model: Any = MODEL,
    data: Any = None,
    *,
    quick: bool = False,
    plan: Plan | None = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
) -> Study:
    """Test on held-out prompts whether the leave-one-word-out check says what deletion says.

    Each word of each prompt is hidden as `regard.look.verify` hides it, and deleted from the
    prompt. Both images are judged by the same rule against the same controls. Then words are hidden
    that were planted so that they cannot matter, beside such as must.

    Args:
        model: `openmoji`, or another text-to-image model of the same world; its name, folder or
            pipeline.
        data: None; the prompts are captions of scenes.
        quick: A tenth of the work; not to be quoted.
        plan: Numbers of one's own.
        store: A folder to which each finished prompt is written at once; a call with the same
            settings and folder goes on from there. None keeps nothing until the end.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: Called with what is being done, the prompts done and the prompts there are.

    Returns:
        A `Study`.

    Raises:
        ArgumentError: data is given, or nobody says what the images of the model show.
        OutputError: the store holds something else, or cannot be written, or another process
            writes there.
    """
    if data is not None:
        raise ArgumentError(
            "study redundancy: data is given, and its prompts are captions of scenes. Leave --data "
            "out."
        )
    started = time.perf_counter()
    chosen = plan or (QUICK if quick else FULL)
    from regard.models.text_to_image import TextToImage

    model = TextToImage.of(model)
    recipe = _recipe(model, chosen, quick=quick)
    with Store(store, recipe, who="study", overwrite=overwrite) as kept:
        read = Reader(model, chosen, kept, progress or (lambda what, done, total: None))
        words = read.agreement(captions(chosen.prompts))
        apart = read.planted(planted_prompts(chosen.planted))
    findings = table_of([*_agreement(words), *_found(apart)])
    recipe["seconds"] = round(time.perf_counter() - started, 1)
    return Study(
        "redundancy",
        f"Which words {recipe['model']} needs, by hiding and by deleting them",
        findings,
        (_agreement_part(words), _planted_part(apart)),
        recipe,
        _notes(chosen),
    )


def _by_way(words: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row for each word at each seed, one column for each way of taking it away."""
    index = ["prompt", "seed", "place", "word", "class"]
    return words.pivot(index=index, columns="way", values=column).reset_index()


def _agreement(words: pd.DataFrame) -> Iterable[Finding]:
    needed = _by_way(words, "needed")
    pairs = needed[[HIDDEN, DELETED]].to_numpy(bool)
    yield Finding(
        AGREES,
        resampled(lambda rows: kappa(*pairs[rows].T), needed["prompt"], bound=AGREES.bound),
        "prompts",
        f"Of {len(needed)} verdicts {_of(pairs[:, 0] == pairs[:, 1])} agree.",
    )
    for hypothesis, name in ((SUBJECTS_STAY, "subject"), (COLOURS_STAY, "colour")):
        those = needed[needed["class"] == name]
        spared = [f"{way}: {_of(~those[way].dropna().astype(bool))}" for way in (HIDDEN, DELETED)]
        yield Finding(
            hypothesis,
            rate(~those[HIDDEN].astype(bool), those["prompt"], bound=hypothesis.bound),
            "prompts",
            f"Called redundant when {'; '.join(spared)}.",
        )


def scores_of(words: pd.DataFrame) -> pd.DataFrame:
    """For each labelled word, numbers that grow with how little it seems to matter."""
    labelled = words[words["planted"].notna() & (words["way"] != DELETED)]
    far = _by_way(labelled, "distance").merge(
        labelled[labelled["way"] == HIDDEN][
            ["prompt", "seed", "place", "mass", "looks", "needed", "threshold", "planted"]
        ],
        on=["prompt", "seed", "place"],
    )
    # Where something else is seen, that comes before any distance.
    return far.assign(
        **{
            "distance without the word": -far[HIDDEN] - far["needed"].astype(float),
            "verdict of the check": -far["needed"].astype(float),
            "distance without its own key": -far[OWN_KEY],
            "little mass": -far["mass"],
            "suspicion (looks redundant)": far["looks"].astype(float),
        }
    )


SCORES = (
    "distance without the word",
    "verdict of the check",
    "distance without its own key",
    "little mass",
    "suspicion (looks redundant)",
)


def _found(words: pd.DataFrame) -> Iterable[Finding]:
    table = scores_of(words)
    labels = table["planted"].to_numpy() == 1
    check, mass = (table[name].to_numpy() for name in (SCORES[0], "little mass"))
    yield Finding(
        PLANTED_FOUND,
        resampled(lambda rows: area(check[rows], labels[rows]), table["prompt"], bound=0.8),
        "prompts",
        f"{labels.sum()} words cannot matter and {(~labels).sum()} must.",
    )
    yield Finding(
        MAPS_POORER,
        resampled(
            lambda rows: area(check[rows], labels[rows]) - area(mass[rows], labels[rows]),
            table["prompt"],
        ),
        "prompts",
        f"The area of the mass is {area(mass, labels):.2f}.",
    )


def _agreement_part(words: pd.DataFrame) -> Section:
    needed = _by_way(words, "needed")
    groups = {what: needed[needed["class"] == name] for name, what in CLASSES.items()}
    rows = [_agreement_row(what, those) for what, those in groups.items() if len(those)]
    rows.append(_agreement_row("all words", needed))
    text = (
        "Each word of each prompt was taken away in two ways: hidden in the text encoder and in "
        "the denoiser, as the leave-one-word-out check does; and deleted from the prompt. Both are "
        "judged by one rule and held against the same padding tokens.",
    )
    columns = ["prompt", "seed", "word", "class", "way", "seen", "distance", "threshold", "needed"]
    tables = {"agreement": pd.DataFrame(rows), "words": words[columns]}
    return Section("Hidden and deleted", text, tables)


def _agreement_row(what: str, those: pd.DataFrame) -> dict[str, Any]:
    hidden, deleted = those[[HIDDEN, DELETED]].to_numpy(bool).T
    return {
        "words": what,
        "n": len(those),
        "redundant when hidden (%)": 100 * float((~hidden).mean()),
        "redundant when deleted (%)": 100 * float((~deleted).mean()),
        "same verdict (%)": 100 * float((hidden == deleted).mean()),
        "kappa": kappa(hidden, deleted),
    }


def _planted_part(words: pd.DataFrame) -> Section:
    table = scores_of(words)
    labels = table["planted"].to_numpy() == 1
    rows = []
    for name in SCORES:
        score = table[name].to_numpy()
        found = resampled(
            lambda rows, score=score: area(score[rows], labels[rows]), table["prompt"], bound=0.5
        )
        rows.append(
            {"found by": name, "ROC area": found.value, "low": found.low, "high": found.high}
        )
    text = (
        "Words were planted that cannot matter: 'a picture of' in front of a subject, and a "
        "subject named twice, of which either may go. The one subject of the former must not go.",
    )
    return Section("Planted words", text, {"planted": pd.DataFrame(rows)})


def _recipe(pipeline: Any, plan: Plan, *, quick: bool) -> dict[str, Any]:
    from regard.models import fingerprint, name_of

    return {
        "model": name_of(pipeline),
        "weights_sha256": fingerprint(pipeline),
        "prompts": plan.prompts,
        "planted_subjects": plan.planted,
        "seeds": list(plan.seeds),
        "steps": plan.steps,
        "guidance_scale": GUIDANCE,
        "quick": quick,
        "versions": {name: version(name) for name in ("regard", "torch", "diffusers")},
    }


def _notes(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.prompts} captions of test scenes at {len(plan.seeds)} seeds, and "
        f"{2 * plan.planted} prompts with planted words at one. Intervals are of 95 %, from "
        f"resampled prompts.",
    )


def _of(hits: Any) -> str:
    return f"{int(hits.sum())} of {len(hits)}"
