"""What the study of redundant words found: tables, findings and the parts of its report."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from regard.experiments.store import Done
from regard.experiments.studies.agreement import area, kappa, rate, resampled
from regard.experiments.studies.finding import Finding, Hypothesis, table_of
from regard.experiments.studies.planted import CLASSES
from regard.experiments.studies.removal import DELETED, HIDDEN
from regard.experiments.studies.study import STUDY, Study
from regard.measures.verdicts import OWN_KEY
from regard.views.report import Section

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


def studied(
    words: pd.DataFrame, marked: pd.DataFrame, recipe: dict[str, Any], cases: Mapping[Any, Done]
) -> Study:
    """The study, of its two tables.

    Args:
        words: One row for each word of each caption at each seed, hidden and deleted.
        marked: One row for each word of each prompt with planted words, with whether it can matter.
        recipe: With what they were made.
        cases: What each prompt and seed gave.
    """
    findings = table_of([*_agreement(words), *_found(marked)])
    title = f"Which words {recipe['model']} needs, by hiding and by deleting them"
    sections = (_agreement_part(words), _planted_part(marked))
    notes = _notes(recipe)
    return Study(STUDY, findings, recipe, cases, notes, title=title, sections=sections)


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
        "Each word of each prompt was removed in two ways: hidden in the text encoder and in "
        "the denoiser, as the leave-one-word-out check does; and deleted from the prompt. Both are "
        "scored by one rule and compared with the same padding tokens.",
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


def _notes(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{recipe['prompts']} captions of test scenes at {len(recipe['seeds'])} seeds, and "
        f"{2 * recipe['planted_subjects']} prompts with planted words at one. Intervals are of "
        f"95 %, from resampled prompts.",
    )


def _of(hits: Any) -> str:
    return f"{int(hits.sum())} of {len(hits)}"
