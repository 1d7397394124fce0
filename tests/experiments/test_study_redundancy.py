import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from regard.data.drawings import SUBJECTS
from regard.errors import ArgumentError
from regard.experiments.studies.agreement import area, kappa, rate, resampled
from regard.experiments.studies.planted import captions, class_of, planted, planted_prompts
from regard.experiments.studies.redundancy import redundancy
from regard.experiments.studies.removal import judged
from regard.experiments.studies.removal_plan import PromptBudget
from regard.trace import words_of

SMALL = PromptBudget(prompts=2, planted=1, seeds=(0,), steps=2)


def test_kappa_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    one = draw.random(50) < 0.4
    other = np.where(draw.random(50) < 0.8, one, ~one)
    assert kappa(one, other) == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    assert kappa(one, one) == 1.0
    assert np.isnan(kappa([True, True], [True, True]))


def test_the_area_is_that_of_scikit_learn_ties_included():
    draw = np.random.default_rng(1)
    scores, found = draw.integers(0, 5, 60), draw.random(60) < 0.5
    assert area(scores, found) == pytest.approx(roc_auc_score(found, scores), abs=1e-12)
    assert np.isnan(area(scores, np.ones(60, bool)))


def test_whole_clusters_are_resampled():
    """Of two equal rows in each cluster the interval is that of one row in each."""
    values = np.random.default_rng(2).normal(size=30)
    alone = resampled(lambda rows: values[rows].mean(), np.arange(30))
    twice = np.repeat(values, 2)
    doubled = resampled(lambda rows: twice[rows].mean(), np.repeat(np.arange(30), 2))
    assert (doubled.low, doubled.high) == pytest.approx((alone.low, alone.high), rel=1e-9)


def test_no_hit_in_sixty_clusters_still_has_an_upper_end():
    found = rate(np.zeros(120), np.repeat(np.arange(60), 2), bound=0.1)
    # By Wilson's formula z^2 / (n + z^2) with n = 60 clusters: 3.84 / 63.84 = 0.06.
    assert found.value == 0
    assert found.high == pytest.approx(0.0602, abs=0.01)
    assert found.p < 0.05


def test_words_are_classed_by_what_is_seen():
    prompt = "a lion and a blue car on the night sky"
    spelled = [word for word, _, _ in words_of(prompt)]
    classes = {
        word: class_of(word, place, prompt, "car, lion") for place, word in enumerate(spelled)
    }
    assert classes["lion"] == classes["car"] == "subject"
    assert classes["blue"] == "lost"  # the car has another colour
    assert classes["night"] == classes["sky"] == "background"
    assert classes["and"] == classes["a"] == "other"


def test_captions_are_of_scenes_that_no_training_has_seen_and_none_comes_twice():
    found = captions(30)
    assert len(set(found)) == len(found) == 30


def test_every_planted_prompt_has_words_of_a_known_label():
    prompts = planted_prompts(len(SUBJECTS))
    assert len(set(prompts)) == 2 * len(SUBJECTS)
    for prompt in prompts:
        labels = [planted(prompt, word) for word, _, _ in words_of(prompt)]
        assert 1.0 in labels
        assert (0.0 in labels) == ("," not in prompt)


def test_a_word_is_judged_against_the_controls_of_its_own_case():
    rows = pd.DataFrame(
        [("a cat", 0, "cat", "hidden", 0.3, 1.0), ("a cat", 0, "[pad]", "control", 0.01, np.nan),
         ("a dog", 0, "dog", "hidden", 0.3, 1.0), ("a dog", 0, "[pad]", "control", 0.9, np.nan)],
        columns=["prompt", "seed", "word", "way", "distance", "place"],
    ).assign(pixel_distance=0.0, seen="same", sees="cat")  # fmt: skip
    assert judged(rows)["needed"].tolist() == [True, False]


def test_the_study_goes_on_from_what_it_kept_and_tells_what_it_found(tmp_path):
    said, store = [], tmp_path / "kept"
    study = redundancy(budget=SMALL, store=store, progress=lambda *each: said.append(each))
    assert said[-1] == ("hiding planted words", 4, 4)
    cases = sorted(each for each in (store / "cases").iterdir() if each.is_dir())
    assert len(cases) == 4
    stamps = [(each / "rows.json").stat().st_mtime_ns for each in cases]
    again = redundancy(budget=SMALL, store=store)
    assert [(each / "rows.json").stat().st_mtime_ns for each in cases] == stamps
    pd.testing.assert_frame_equal(again.tables["words"], study.tables["words"])
    assert set(study.findings["name"]) >= {"agrees-with-deletion", "planted-words-are-found"}
    assert study.tables["agreement"]["n"].iloc[-1] == len(study.tables["words"]) / 2


def test_data_of_ones_own_is_refused_before_a_model_is_opened():
    with pytest.raises(ArgumentError, match="Leave --data out"):
        redundancy("no-such-model", data="folder")
