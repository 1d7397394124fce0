import numpy as np
import torch

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.scenes import Mention, Placed, Scene
from regard.zoo.segmenter import IGNORED, labels, softened, split_channels, targets


def scene_of(*mentions):
    """A 2 x 2 scene whose columns are one subject each."""
    masks = [np.array([[True, False]] * 2), np.array([[False, True]] * 2)]
    placed = tuple(
        Placed(Mention(*each), mask, (0, 0, 1, 2))
        for each, mask in zip(mentions, masks, strict=False)
    )
    return Scene(np.zeros((2, 2, 3), np.uint8), placed, "grass", True)


def test_channels_are_background_subjects_and_colours():
    assert labels() == ["background", *SUBJECTS, *COLOURS]
    subjects, colours = split_channels(torch.arange(36.0).view(1, 36, 1, 1))
    assert subjects.flatten().tolist() == list(range(25))
    assert colours.flatten().tolist() == list(range(25, 36))


def test_targets_by_hand():
    subjects, colours = targets([scene_of(("car", "blue"), ("cat",)), scene_of(("car",))])
    car, cat = 1 + SUBJECTS.index("car"), 1 + SUBJECTS.index("cat")
    blue = list(COLOURS).index("blue")
    assert subjects.tolist() == [[[car, cat]] * 2, [[car, 0]] * 2]
    # The cat and the car in its own colours have no colour that could be right.
    assert colours.tolist() == [[[blue, IGNORED]] * 2, [[IGNORED, IGNORED]] * 2]


def test_half_of_the_pictures_are_softened_and_the_rest_left_alone():
    torch.manual_seed(0)
    pixels = torch.randn(4, 3, 8, 8)
    soft = softened(pixels)
    assert torch.equal(soft[2:], pixels[2:])
    assert not torch.equal(soft[:2], pixels[:2])
    assert soft.shape == pixels.shape
