import numpy as np
import torch
from PIL import Image

from regard.zoo.pixels import to_images, to_tensor, training_scenes


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
    first, second = (training_scenes(step, 5, seed=9, size=64) for step in (0, 1))
    images = {each.image.tobytes() for each in [*first, *second]}
    assert len(images) == 10
