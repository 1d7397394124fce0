from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from looks import pipeline
from regard.errors import ArgumentError
from regard.experiments.compare import compare
from regard.experiments.compare_report import models_of
from regard.experiments.contenders import across, means_of
from regard.generation import generate
from regard.look import look
from regard.models import TextToImage

PROMPTS = ["a cat and a dog", "two birds"]
STEPS = {"num_inference_steps": 2}


@pytest.fixture(scope="module")
def models():
    """One model under two names: the second as if it were another."""
    first = TextToImage.of(pipeline())
    return [first, replace(first, name="other")]


@pytest.fixture(scope="module")
def found(models):
    return compare(models, PROMPTS, seeds=2, **STEPS)


def test_each_model_generates_each_prompt_and_seed(found, models):
    names = [each.name for each in models]
    columns = found.table[["model", "prompt", "seed"]].itertuples(index=False, name=None)
    assert list(columns) == [
        (name, prompt, seed) for name in names for prompt in PROMPTS for seed in (0, 1)
    ]
    alone = look(pipeline(), PROMPTS[1], seed=1, **STEPS).image
    kept = found.cases["other", PROMPTS[1], 1].images[0].astype(int)
    assert np.abs(kept - np.asarray(alone)).max() <= 1
    assert models_of(found) == names


def test_what_is_not_measured_is_said(found):
    assert "neglected" not in found.table
    assert any("segmenter" in note for note in found.notes)
    assert any("encoder" in note for note in found.notes)


def test_subjects_and_numbers_are_counted_for_bundled_models(monkeypatch):
    """As if the segmenter saw one bird in the images of both."""
    from regard.models.detector import Detection, Detections

    one = Detections({"bird": Detection(np.ones((1, 1), bool), "gray", 0.5)})
    monkeypatch.setattr("regard.models.detector.detect", lambda images, model: [one] * len(images))
    first = TextToImage.of("openmoji")
    monkeypatch.setattr("regard.scores.change.judge_of", lambda model: "openmoji-segmenter")
    found = compare({"a": first, "b": "openmoji"}, PROMPTS, num_inference_steps=1)
    assert models_of(found) == ["a", "b"]
    assert found.table["neglected"].tolist() == [1.0, 0.0] * 2
    assert found.table["miscounted_subjects"].tolist()[1::2] == [1.0, 1.0]
    assert np.isnan(found.table["miscounted_subjects"][0])


def test_a_further_model_prompt_or_seed_reuses_what_is_finished(models, tmp_path, monkeypatch):
    made, module = [], import_module("regard.experiments.compare")
    monkeypatch.setattr(
        module,
        "generate",
        lambda m, asked, **how: (made.extend(asked), generate(m, asked, **how))[1],
    )
    how = {"store": tmp_path / "s", **STEPS}
    compare(models, PROMPTS[:1], **how)
    assert len(made) == 2
    three = [*models, replace(models[0], name="third")]
    for more, images in (((three, PROMPTS[:1]), 1), ((three, PROMPTS), 3)):
        made.clear()
        found = compare(*more, **how)
        assert len(made) == images
    made.clear()
    assert len(compare(three, PROMPTS, seeds=2, **how).table) == 12
    assert {each.seed for each in made} == {1}
    assert len(found.table) == 6


def test_the_report_shows_images_side_by_side(found, tmp_path):
    found.save(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "compared" in page
    assert (tmp_path / "out" / "figures" / "sheet-00.png").exists()


def test_two_models_of_one_name_are_refused(models):
    with pytest.raises(ArgumentError, match="two models are called 'other'"):
        compare([models[1], models[1]], PROMPTS, **STEPS)


def test_means_and_differences_by_hand():
    # The second neglects one subject less in two of five prompts: 3/5 - 5/5.
    prompts = [f"p{number}" for number in range(5)]
    table = pd.DataFrame(
        {
            "model": ["a"] * 5 + ["b"] * 5,
            "prompt": prompts * 2,
            "neglected": [1.0] * 5 + [1.0, 1.0, 1.0, 0.0, 0.0],
        }
    )
    first, second = means_of(table, "model", ["neglected"], level=0.95, seed=0)
    assert first["mean"] == 1.0
    assert "difference" not in first
    assert (second["mean"], second["ratio"]) == pytest.approx((0.6, 0.6))
    assert second["difference"] == pytest.approx(-0.4)
    assert across(pd.DataFrame([first, second]), "model")["neglected"].tolist() == [1.0, 0.6]
