import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.scenes import scene
from regard.zoo.pixels import mixed, to_images, to_tensor, training_scenes


def test_black_is_minus_one_and_white_is_one():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 255
    tensor = to_tensor([image])
    assert tensor.shape == (1, 3, 1, 2)
    assert tensor[0, :, 0, 0].tolist() == [-1.0] * 3
    assert tensor[0, :, 0, 1].tolist() == [1.0] * 3


def test_every_byte_comes_back():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.stack([every, every.T, 255 - every], -1)
    (back,) = to_images(to_tensor([Image.fromarray(image)]))
    assert np.array_equal(np.asarray(back), image)


def test_values_outside_the_range_are_clipped():
    pixels = torch.tensor([-9.0, 9.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert np.asarray(to_images(pixels)[0])[0, :, 0].tolist() == [0, 255]


def test_no_scene_is_used_in_two_steps():
    first, second = (training_scenes(step, 5, {"seed": 9, "size": 64}) for step in (0, 1))
    images = {each.image.tobytes() for each in [*first, *second]}
    assert len(images) == 10


def test_a_recipe_says_which_version_of_the_scenes_it_learns():
    settings = {"seed": 9, "size": 128, "scenes_version": 2}
    (shown,) = training_scenes(3, 1, settings)
    assert np.array_equal(shown.image, scene(3, seed=9, version=2).image)


@pytest.mark.parametrize(
    ("settings", "kind"), [({}, torch.float32), ({"bfloat16": True}, torch.bfloat16)]
)
def test_precision_is_mixed_where_a_recipe_says_so(settings, kind):
    with mixed(settings, torch.device("cpu")):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == kind
