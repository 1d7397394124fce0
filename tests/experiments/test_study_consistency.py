"""The study of consistency: its ways, its cases, and its answers on numbers that are known."""

import numpy as np
import pandas as pd
import pytest

from looks import pipeline
from regard.data.drawings import SUBJECTS
from regard.errors import ArgumentError
from regard.experiments.store import Done
from regard.experiments.studies.consistency import consistency
from regard.experiments.studies.consistency_plan import ConsistencyBudget, ways
from regard.experiments.studies.consistency_report import CONTRASTS, MEASURED, studied
from regard.methods.recipe import method_of

RECIPE = {
    "study": "consistency", "model": "toy", "encoder": "toy", "subjects": list(SUBJECTS),
    "scenes": ["grass", "beach"], "seeds": 2,
}  # fmt: skip


def rows(gains, sets=2, spread=0.001):
    """Made-up numbers: each way has so much more of a measure than independent images."""
    draw, found = np.random.default_rng(0), []
    for subject in SUBJECTS:
        for seed in range(sets):
            own = 0.8 + 0.05 * draw.normal()
            for way in ways():
                told = dict.fromkeys(MEASURED, 0.5)
                for measure in ("subject_likeness", "background_likeness"):
                    gain = gains.get((way, measure), 0.0)
                    told[measure] = own + gain + spread * draw.normal()
                found.append({"subject": subject, "seed": seed, "way": way, **told})
    return pd.DataFrame(found)


def study_of(table):
    labels = [f"{way}: {scene}" for way in ways() for scene in RECIPE["scenes"]]
    done = Done(labels=labels, images=np.zeros((len(labels), 8, 8, 3), np.uint8))
    cases = {(subject, seed): done for subject in SUBJECTS for seed in range(2)}
    return studied(table, RECIPE, cases)


def test_each_hypothesis_holds_where_the_numbers_are_as_it_says():
    gains = {
        ("share", "subject_likeness"): 0.03, ("consistory", "subject_likeness"): 0.05,
        ("svd 0.05", "subject_likeness"): 0.03, ("share", "background_likeness"): 0.04,
        ("svd 0.05", "background_likeness"): 0.01, ("keys 0.05", "background_likeness"): 0.01,
        ("values 0.05", "background_likeness"): 0.04, ("keys 0.05", "subject_likeness"): 0.03,
        ("steep decay", "subject_likeness"): -0.05, ("log", "subject_likeness"): 0.06,
    }  # fmt: skip
    findings = study_of(rows(gains)).findings.set_index("name")
    others = findings.drop("animals-gain-more")
    assert (others["verdict"] == "holds").all(), others["verdict"]
    assert findings.loc["animals-gain-more", "verdict"] != "holds"
    assert findings.loc["sharing-helps", "value"] == pytest.approx(0.03, abs=0.002)
    assert len(findings) == len(CONTRASTS) + 1


def test_where_nothing_differs_nothing_is_claimed():
    findings = study_of(rows({}, spread=0.01)).findings.set_index("name")
    # That no likeness is lost holds, as none is.
    assert (findings.drop("leading-values-carry-the-subject")["verdict"] == "undecided").all()


def test_animals_that_gain_more_are_found():
    table = rows({})
    own = (table["way"] == "consistory") & table["subject"].isin(SUBJECTS[:12])
    table.loc[own, "subject_likeness"] += 0.05
    found = study_of(table).findings.set_index("name").loc["animals-gain-more"]
    assert found["verdict"] == "holds"
    assert found["value"] == pytest.approx(0.05, abs=0.002)


def test_the_report_has_tables_curves_and_sheets(tmp_path):
    study = study_of(rows({("share", "subject_likeness"): 0.03}))
    table = study.tables["ways"].set_index("way")
    assert table.loc["share", "gain"] == pytest.approx(0.03, abs=0.002)
    assert table.loc["share", "gain_low"] > 0.02
    assert set(study.figures) >= {
        "kept-subject_likeness", "kept-background_likeness", "sheet-gained-most-0",
        "sheet-gained-least-1",
    }  # fmt: skip
    assert len(study.tables["subjects"]) == len(SUBJECTS)
    study.save(tmp_path / "s")


@pytest.mark.parametrize("label", [each for each in ways() if each != "none"])
def test_every_way_is_a_method(label):
    name, settings = ways()[label]
    own = {"subject": "cat"} if name == "consistory" else {}
    assert method_of(name, {"anchors": ["a cat"], **own, **settings}, "test").name == name


def test_a_subject_is_generated_in_every_way_and_scene():
    budget = ConsistencyBudget(
        subjects=1, scenes=2, seeds=1, steps=11, ways=("none", "share", "consistory", "svd 0.05")
    )
    study = consistency(budget=budget)
    first = study.cases[SUBJECTS[0], 0]
    assert len(first.images) == 4 * 2
    assert {row["way"] for row in first.rows} == set(budget.ways)
    by_way = {row["way"]: row for row in first.rows}
    assert by_way["none"]["lent"] == 0
    assert 0 < by_way["consistory"]["lent"] < by_way["share"]["lent"] < 1


def test_data_and_unknown_models_are_refused():
    with pytest.raises(ArgumentError, match="data is given"):
        consistency(data="folder")
    with pytest.raises(ArgumentError, match="no detector knows what"):
        consistency(pipeline())


def test_where_no_subject_is_seen_nothing_is_answered():
    table = rows({})
    table.loc[:, ["subject_likeness", "background_likeness"]] = np.nan
    findings = study_of(table).findings
    assert findings["value"].isna().all()
    assert (findings["verdict"] == "undecided").all()
    assert findings["answer"].str.startswith("It cannot be decided").all()
