"""What must hold for every judge in the table, on three images of one prompt."""

import json
from numbers import Number

import numpy as np
import pytest
from PIL import Image

from regard.generation import Request
from regard.models.detector import Detection, Detections
from regard.models.encoder import Encoder
from regard.scores import judges

ENCODER = Encoder(
    "means",
    lambda images: np.stack([np.asarray(each, float).mean((0, 1)) + 1 for each in images]),
    texts=lambda texts: np.stack([[len(each), 1.0, 1.0] for each in texts]),
    layers=lambda images: [
        np.stack([np.asarray(each, float).reshape(-1, 3) + 1 for each in images])
    ],
)

SETTINGS = {
    "captions": {"captioner": "none", "encoder": ENCODER},
    "counts": {},
    "fit": {"encoder": ENCODER},
    "likeness": {"cosine": lambda image, others: [0.5] * len(others), "space": "a space"},
    "losses": {},
    "pixels": {},
    "presence": {},
    "seen": {},
    "shift": {"encoder": ENCODER},
}
"""With what each is made here; a judge that is new needs a line."""

BASELINE, *IMAGES = (Image.new("RGB", (2, 2), (level, 9, 90)) for level in (0, 0, 51, 102))
REQUESTS = [Request("a cat and a blue car")] * 3


@pytest.fixture(autouse=True)
def scorers(monkeypatch):
    """A segmenter that sees a cat in dark images alone, and a captioner of few words."""

    def detect(images, **_):
        cat = Detections({"cat": Detection(np.ones((1, 1), bool), "gray", 0.5)})
        return [cat if np.asarray(each)[0, 0, 0] < 60 else Detections({}) for each in images]

    monkeypatch.setattr("regard.models.detector.detect", detect)
    monkeypatch.setattr(
        "regard.models.captioner.captions", lambda images, model: ["a cat"] * len(images)
    )


def made(name):
    return judges[name](**SETTINGS[name])


def test_every_judge_of_the_table_is_made_here():
    assert tuple(SETTINGS) == judges.names()


@pytest.mark.parametrize("name", judges)
def test_every_column_has_a_value_for_each_image_and_every_number_a_unit(name):
    judge = made(name)
    columns = judge(IMAGES, REQUESTS, BASELINE)
    assert columns
    for column, values in columns.items():
        assert len(values) == len(IMAGES), column
        kinds = {isinstance(each, Number) and not isinstance(each, str) for each in values}
        assert kinds == {column in judge.units}, column
    assert set(judge.units) <= set(columns)
    assert all(isinstance(unit, str) and unit for unit in judge.units.values())


@pytest.mark.parametrize("name", judges)
def test_a_judge_is_told_apart_by_a_recipe_of_plain_values(name):
    recipe = made(name).recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    assert recipe["judge"] == name


@pytest.mark.parametrize("name", judges)
def test_what_a_judge_says_of_an_image_depends_on_no_other(name):
    together = made(name)(IMAGES, REQUESTS, BASELINE)
    for place, image in enumerate(IMAGES):
        alone = made(name)([image], REQUESTS[:1], BASELINE)
        for column, values in alone.items():
            expected = together[column][place]
            same = pytest.approx(expected, nan_ok=True) if isinstance(expected, float) else expected
            assert values == [same]
