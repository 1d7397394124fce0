import sys

import pytest

from regard.data.drawings import SUBJECTS
from regard.errors import UnknownName
from regard.experiments import evaluate
from regard.experiments.evaluate import zero_shot_texts
from regard.zoo import recipe, recipes

MODULE = sys.modules["regard.experiments.evaluate"]


def test_every_bundled_model_has_its_evaluation():
    assert set(MODULE._EVALUATIONS) == set(recipes())


def test_an_unknown_model_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'openmoji'"):
        evaluate("openmojo")


def test_no_recipe_trains_on_the_scenes_of_the_evaluation():
    assert MODULE.SEED not in {recipe(name).train["seed"] for name in recipes()}


def test_figures_are_rounded_and_the_quick_flag_is_handed_on(monkeypatch):
    asked = []

    def measured(*, quick, report):
        report("working")
        asked.append(quick)
        return {"psnr_db": 1 / 3, "images": 2}

    monkeypatch.setattr(MODULE, "autoencoder", measured)
    lines = []
    found = evaluate("openmoji-autoencoder", quick=True, progress=lines.append)
    assert found == {"psnr_db": 0.3333, "images": 2.0}
    assert (asked, lines) == ([True], ["working"])


def test_a_subject_is_named_plainly_and_on_each_background():
    texts = zero_shot_texts("elephant")
    assert texts[0] == "an elephant"
    assert "an elephant on the night sky" in texts
    assert len({*texts}) == 7


def test_each_subject_has_texts_of_its_own():
    every = [text for subject in SUBJECTS for text in zero_shot_texts(subject)]
    assert len(set(every)) == 24 * 7
