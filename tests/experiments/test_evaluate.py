import json
from importlib import import_module

import numpy as np
import pytest

from regard.data.drawings import SUBJECTS
from regard.data.scenes import Placed, Scene, mentions_in
from regard.errors import UnknownName
from regard.experiments import evaluate
from regard.experiments.evaluate_report import EVALUATION
from regard.experiments.evaluations.scenes import caption_figures, zero_shot_texts
from regard.experiments.evaluations.task import SEED, CardTask, chunks
from regard.experiments.store import Done
from regard.zoo import recipe, recipes

MODULE = import_module("regard.experiments.evaluate")


def test_every_bundled_model_has_its_evaluation():
    for name in recipes():
        module, attribute = MODULE._TASKS[recipe(name).task].split(":")
        assert isinstance(getattr(import_module(module), attribute)(recipe(name)), CardTask)


def test_an_unknown_model_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'openmoji'"):
        evaluate("openmojo")


def test_no_recipe_trains_on_the_scenes_of_the_evaluation():
    assert SEED not in {recipe(name).train["seed"] for name in recipes()}


@pytest.fixture
def measured(monkeypatch):
    """The chunks that were measured of a task of seven images, or of three if quick."""
    made = []

    def measure(chunk):
        made.append(chunk.name)
        return Done(size=len(chunk), values=len(chunk) / 3)

    task = CardTask(
        "reading",
        lambda quick: chunks("scenes", 3 if quick else 7, 3),
        measure,
        lambda found: {"psnr_db": sum(each.values for each in found.values()), "images": 7},
    )
    module = import_module("regard.experiments.evaluations.scenes")
    monkeypatch.setattr(module, "autoencoder", lambda plan: task)
    return made


def test_figures_are_rounded_and_progress_counts_images(measured):
    told = []
    found = evaluate("openmoji-autoencoder", progress=lambda *now: told.append(now))
    assert found.figures == {"psnr_db": 2.3333, "images": 7.0}
    assert told == [("reading 7 images", done, 7) for done in (3, 6, 7)]
    assert evaluate("openmoji-autoencoder", quick=True).figures["psnr_db"] == 1.0


def test_stopped_it_goes_on_and_is_saved_with_its_goal(measured, tmp_path):
    def stop(doing, done, total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("openmoji-autoencoder", store=tmp_path / "s", progress=stop)
    measured.clear()
    found = evaluate("openmoji-autoencoder", store=tmp_path / "s")
    assert measured == [("scenes", 3, 6), ("scenes", 6, 7)]
    found.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["model"] == (
        "openmoji-autoencoder"
    )
    assert "28" in (tmp_path / "out" / "report.html").read_text()  # decibels that are wanted
    EVALUATION.folder.check(tmp_path / "out", overwrite=True)
    assert found.to_json() == found.figures


def test_a_subject_is_named_plainly_and_on_each_background():
    texts = zero_shot_texts("elephant")
    assert texts[0] == "an elephant"
    assert "an elephant on the night sky" in texts
    assert len({*texts}) == 7


def test_each_subject_has_texts_of_its_own():
    every = [text for subject in SUBJECTS for text in zero_shot_texts(subject)]
    assert len(set(every)) == 24 * 7


def scene_of(text):
    """A scene that shows what a text names, on grass."""
    mask = np.ones((1, 1), bool)
    placed = tuple(Placed(each, mask, (0, 0, 1, 1)) for each in mentions_in(text))
    return Scene(np.zeros((1, 1, 3), np.uint8), placed, "grass", False)


@pytest.mark.parametrize(
    ("said", "exact", "f1"),
    [
        ("a cat and a red car", 1.0, 1.0),
        ("a red car and a cat on the lake", 1.0, 1.0),  # neither order nor ground counts
        ("a cat and a blue car", 0.0, 1.0),
        ("a red cat and a car", 0.0, 1.0),
        ("a cat", 0.0, 2 / 3),  # one found of two, none too many: 2 / (2 + 1)
        ("a cat and a red car and a dog", 0.0, 4 / 5),
        ("a cat and a cat and a red car", 0.0, 1.0),
        ("", 0.0, 0.0),
    ],
)
def test_captions_are_judged_by_what_they_name(said, exact, f1):
    found = caption_figures([scene_of("a cat and a red car")], [said])
    assert found == {"caption_exact": exact, "caption_subjects_f1": pytest.approx(f1)}


def test_of_many_captions_the_share_is_taken():
    shown = [scene_of("a cat"), scene_of("a red car")]
    # Of 2 subjects 1 is found, and 1 is named that is not there.
    assert caption_figures(shown, ["a cat", "a dog"]) == {
        "caption_exact": 0.5,
        "caption_subjects_f1": 0.5,
    }
