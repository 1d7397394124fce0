"""What the study of consistency found: hypotheses, tables, curves and sheets of its report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.data.drawings import ANIMALS
from regard.experiments.store import Done
from regard.experiments.studies.agreement import resampled
from regard.experiments.studies.finding import Finding, Hypothesis, table_of
from regard.experiments.studies.study import STUDY, Study
from regard.stats.estimates import Estimate
from regard.stats.means import bootstrap, paired
from regard.views import Plate, Section, contact_sheet, curves

MEASURED = (
    "subject_likeness", "background_likeness", "layout_distance", "text_agreement", "lent",
    "lent_background",
)  # fmt: skip

COSINES = ("subject_likeness", "background_likeness", "text_agreement")

UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0, np.nan)

WORSE = 0.005
"""A loss of likeness, in cosine, that counts as none."""

LESS_LEAKS = Hypothesis(
    "small-values-leak",
    "Cutting small singular values lowers what leaks from the anchors' background.",
    "background likeness with 5 % of keys and values, less that with all",
    0.0,
    "below",
    "cosine",
)
SAME_LIKENESS = Hypothesis(
    "leading-values-carry-the-subject",
    "The leading singular values carry the subject: likeness is not lost with the others.",
    "subject likeness with 5 % of keys and values, less that with all",
    -WORSE,
    "above",
    "cosine",
)
KEYS_GROUND = Hypothesis(
    "keys-govern-the-background",
    "Keys govern the background: filtering keys lowers leakage more than filtering values does.",
    "background likeness with 5 % of keys, less that with 5 % of values",
    0.0,
    "below",
    "cosine",
)
VALUES_LIKE = Hypothesis(
    "values-govern-likeness",
    "Values govern likeness: filtering values lowers it more than filtering keys does.",
    "subject likeness with 5 % of values, less that with 5 % of keys",
    0.0,
    "below",
    "cosine",
)
DECAY_HURTS = Hypothesis(
    "steeper-decay-hurts",
    "A steeper decay of singular values lowers likeness.",
    "subject likeness with steep decay, less that with slow decay",
    0.0,
    "below",
    "cosine",
)
LOG_HELPS = Hypothesis(
    "logarithm-helps",
    "Smoothing singular values by a logarithm raises likeness.",
    "subject likeness with the logarithm, less that with plain sharing",
    0.0,
    "above",
    "cosine",
)
SHARING_HELPS = Hypothesis(
    "sharing-helps",
    "Images that attend to each other show a subject more alike than independent ones.",
    "subject likeness with plain sharing, less that of independent images",
    0.0,
    "above",
    "cosine",
)
CONSISTORY_HELPS = Hypothesis(
    "consistory-helps",
    "ConsiStory shows a subject more alike than independent images do.",
    "subject likeness with consistory, less that of independent images",
    0.0,
    "above",
    "cosine",
)
ANIMALS_GAIN = Hypothesis(
    "animals-gain-more",
    "Animals gain more likeness than things do.",
    "gain of animals with consistory, less that of things",
    0.0,
    "above",
    "cosine",
)

CONTRASTS = (
    (SHARING_HELPS, "share", "none", "subject_likeness"),
    (CONSISTORY_HELPS, "consistory", "none", "subject_likeness"),
    (SAME_LIKENESS, "svd 0.05", "share", "subject_likeness"),
    (LESS_LEAKS, "svd 0.05", "share", "background_likeness"),
    (KEYS_GROUND, "keys 0.05", "values 0.05", "background_likeness"),
    (VALUES_LIKE, "values 0.05", "keys 0.05", "subject_likeness"),
    (DECAY_HURTS, "steep decay", "slow decay", "subject_likeness"),
    (LOG_HELPS, "log", "share", "subject_likeness"),
)
"""Each hypothesis of one way against another: which, the ways, and the measure."""


def studied(rows: pd.DataFrame, recipe: dict[str, Any], cases: Mapping[Any, Done]) -> Study:
    """The study, of its one table.

    Args:
        rows: One for each subject, seed and way: the means over its scenes.
        recipe: With what they were made.
        cases: What each subject and seed gave.
    """
    findings = table_of([*_contrasts(rows), *_animals(rows)])
    sections = (_by_way(rows), _sweeps(rows), _by_subject(rows), _shown(rows, recipe, cases))
    title = f"One subject in many scenes with {recipe['model']}: what shared attention does"
    return Study(
        STUDY, findings, recipe, cases, _notes(rows, recipe), title=title, sections=sections
    )


def _wide(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One row for each subject and seed, one column for each way."""
    return rows.pivot(index=["subject", "seed"], columns="way", values=measure).reset_index()


def _contrasts(rows: pd.DataFrame) -> Iterator[Finding]:
    for hypothesis, way, other, measure in CONTRASTS:
        table = _wide(rows, measure)
        if not {way, other} <= set(table):
            continue
        known = table[[way, other]].notna().all(axis=1)
        if not known.any():
            told = f"No set of scenes shows its subject with {way} and with {_named(other)}."
            yield Finding(hypothesis, UNKNOWN, "subjects", told)
            continue
        apart = (table[way] - table[other])[known].to_numpy()
        means = table.loc[known, [way, other]].mean()
        yield Finding(
            hypothesis,
            resampled(
                lambda some, apart=apart: float(apart[some].mean()),
                table["subject"][known],
                bound=hypothesis.bound,
            ),
            "subjects",
            f"{measure.replace('_', ' ').capitalize()} is {means[way]:.3f} with {way} and "
            f"{means[other]:.3f} with {_named(other)}, over {int(known.sum())} sets of scenes.",
        )


def _animals(rows: pd.DataFrame) -> Iterable[Finding]:
    table = _wide(rows, "subject_likeness")
    if not {"consistory", "none"} <= set(table):
        return []
    table = table[table[["consistory", "none"]].notna().all(axis=1)]
    if not len(table):
        told = "No set of scenes shows its subject both with consistory and independently."
        return [Finding(ANIMALS_GAIN, UNKNOWN, "subjects", told)]
    gain = (table["consistory"] - table["none"]).to_numpy()
    animal = table["subject"].isin(list(ANIMALS)).to_numpy()

    def contrast(some: Any) -> float:
        own, kinds = gain[some], animal[some]
        return (
            float(own[kinds].mean() - own[~kinds].mean()) if 0 < kinds.sum() < len(kinds) else 0.0
        )

    told = f"Animals gain {gain[animal].mean():+.3f}, things {gain[~animal].mean():+.3f}."
    return [Finding(ANIMALS_GAIN, resampled(contrast, table["subject"]), "subjects", told)]


def _by_way(rows: pd.DataFrame) -> Section:
    """All measures of all ways, with paired differences to independent images."""
    found = []
    for way in dict.fromkeys(rows["way"]):
        told: dict[str, Any] = {"way": _named(way)}
        for measure in MEASURED:
            table = _wide(rows, measure)
            if not table[way].notna().any():
                continue
            clusters = table["subject"].tolist()
            bounds = (-1.0, 1.0) if measure in COSINES else (0.0, 1.0)
            mean = bootstrap(table[way], clusters=clusters, bounds=bounds)
            told |= {measure: mean.mean, f"{measure}_low": mean.low, f"{measure}_high": mean.high}
            if measure == "subject_likeness" and way != "none" and _both(table, way):
                gain = paired(table["none"], table[way], clusters=clusters).interval
                told |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
        found.append(told)
    text = (
        "Means over subjects and sets of scenes. 'gain' is subject likeness less that of "
        "independent images, paired. The same image repeated would have a likeness of 1 and a "
        "layout distance of 0.",
    )
    return Section("Methods and filters side by side", text, {"ways": pd.DataFrame(found)})


def _both(table: pd.DataFrame, way: str) -> bool:
    """Whether any set of scenes has a number for a way and for independent images."""
    return "none" in table and bool(table[["none", way]].notna().all(axis=1).any())


def _sweeps(rows: pd.DataFrame) -> Section:
    """Curves over the share that is kept of keys or of values, and over the energy."""
    plates = {}
    for measure in ("subject_likeness", "background_likeness"):
        lines = {what: _line(rows, measure, what) for what in ("keys", "values", "energy")}
        known = {what: line for what, line in lines.items() if line}
        if not known:
            continue
        at = sorted({x for line in known.values() for x in line})
        values = np.array([[line.get(x, (np.nan,) * 3) for x in at] for line in known.values()])
        dims, coords = ("filter", "kept"), {"filter": list(known), "kept": at}
        data = {
            name: xr.DataArray(values[..., place], dims=dims, coords=coords)
            for place, name in enumerate(("mean", "low", "high"))
        }
        name = measure.replace("_", " ")
        plates[f"kept-{measure}"] = Plate(
            curves(xr.Dataset(data), "kept", title=name, across="kept", up="cosine",
                   from_zero=False),
            f"{name.capitalize()} over the share of keys or values, or the energy, that is kept.",
        )  # fmt: skip
    return Section("How much is kept", plates=plates)


def _line(rows: pd.DataFrame, measure: str, what: str) -> dict[float, tuple[float, float, float]]:
    table, line = _wide(rows, measure), {}
    for way in table:
        kind, _, number = str(way).partition(" ")
        if kind == what and table[way].notna().any():
            clusters = table["subject"].tolist()
            found = bootstrap(table[way], clusters=clusters, bounds=(-1.0, 1.0))
            line[float(number)] = (found.mean, found.low, found.high)
    return line


def _by_subject(rows: pd.DataFrame) -> Section:
    """How alike independent images of each subject are, and what it gains."""
    table = rows.groupby(["subject", "way"], sort=False)["subject_likeness"].mean().unstack()
    found = pd.DataFrame({"subject": table.index, "independent": table["none"].to_numpy()})
    for way in ("share", "svd 0.05", "consistory"):
        if way in table:
            found[f"gain with {way}"] = (table[way] - table["none"]).to_numpy()
    text = ("How much independent images of a subject differ bounds what can be gained.",)
    return Section("Each subject", text, {"subjects": found.sort_values("independent")})


def _shown(rows: pd.DataFrame, recipe: Mapping[str, Any], cases: Mapping[Any, Done]) -> Section:
    """The sets that gained most and least with consistory, chosen by their score."""
    table = _wide(rows, "subject_likeness")
    way = next((w for w in ("consistory", "share") if w in table), None)
    if way is None or "none" not in table:
        return Section("What it looks like")
    gain = (table[way] - table["none"]).to_numpy()
    order = [at for at in np.argsort(-np.nan_to_num(gain, nan=-9.0)) if np.isfinite(gain[at])]
    chosen = {"gained most": order[:2], "gained least": order[::-1][:2]}
    plates = {}
    for what, places in chosen.items():
        for number, at in enumerate(places):
            name = table["subject"][at], int(table["seed"][at])
            plates[f"sheet-{what.replace(' ', '-')}-{number}"] = Plate(
                _sheet(cases[name], ("none", "share", "svd 0.05", way), len(recipe["scenes"])),
                f"{name[0]}, set {name[1]}: {what}, {gain[at]:+.3f} with {way}.",
            )
    return Section("What it looks like", plates=plates)


def _sheet(done: Done, wanted: Sequence[str], columns: int) -> Any:
    kept = dict.fromkeys(wanted)
    places = [at for at, each in enumerate(done.labels) if each.split(": ")[0] in kept]
    captions = [_named(done.labels[at]) for at in places]
    return contact_sheet([done.images[at] for at in places], captions, columns=columns, scale=1)


def _named(way: str) -> str:
    return way.replace("none", "independent images", 1) if way.startswith("none") else way


def _notes(rows: pd.DataFrame, recipe: Mapping[str, Any]) -> tuple[str, ...]:
    alike = rows[rows["way"] == "none"]["subject_likeness"].mean()
    return (
        f"{len(recipe['subjects'])} subjects in {len(recipe['scenes'])} scenes, "
        f"{recipe['seeds']} sets of initial noise; the first two scenes are the anchors. "
        f"Likeness by {recipe['encoder']}, of subjects that the segmenter cuts out. Intervals are "
        f"of 95 %, over subjects.",
        f"Independent images of one subject have a likeness of {alike:.3f} already: 1 less that is "
        f"all that sharing could gain.",
    )
