import numpy as np
import pytest
import torch
import transformers

from encoders import noise_pictures, save_clip
from regard.models import load
from regard.scores.pairs import cosine_of_rows
from regard.scores.perceptual import distance_of_layers, perceptual_distance


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def test_the_distance_by_hand():
    # At the first place the directions are orthogonal (2), at the second the same (0).
    one = np.array([[[1.0, 0.0], [0.0, 5.0]]])
    other = np.array([[[0.0, 3.0], [0.0, 1.0]]])
    assert distance_of_layers([one], [other]).tolist() == [1.0]
    # A second layer of opposites counts 4; the mean over layers is 2.5.
    assert distance_of_layers([one, one], [other, -one]).tolist() == [2.5]


def test_feature_maps_are_read_place_by_place():
    places = np.random.default_rng(0).normal(size=(2, 6, 3))
    others = np.random.default_rng(1).normal(size=(2, 6, 3))
    maps = [each.transpose(0, 2, 1).reshape(2, 3, 2, 3) for each in (places, others)]
    np.testing.assert_allclose(
        distance_of_layers([maps[0]], [maps[1]]), distance_of_layers([places], [others])
    )


def test_a_place_without_any_activation_has_distance_one_to_what_has():
    silent, loud = np.zeros((1, 1, 2)), np.ones((1, 1, 2))
    assert distance_of_layers([silent], [silent]).item() == 0.0
    assert distance_of_layers([silent], [loud]).item() == pytest.approx(1.0)


def test_the_kernels_are_the_same_in_torch_and_differentiable():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 3, 4, 5))
    pair = [torch.from_numpy(each) for each in (one, other)]
    np.testing.assert_allclose(
        distance_of_layers(pair[:1], pair[1:]), distance_of_layers([one], [other])
    )
    np.testing.assert_allclose(cosine_of_rows(*pair), cosine_of_rows(one, other))
    free = pair[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance_of_layers([x], pair[1:]), free)
    assert torch.autograd.gradcheck(lambda x: cosine_of_rows(x, pair[1]), free)


def test_pictures_are_as_far_apart_as_the_layers_of_the_model(folder):
    images, others = noise_pictures(2), noise_pictures(2, seed=1)
    found = perceptual_distance(images, others, model=folder, layers=[-1])
    network = load(folder).vision_model
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    last = [
        network(pixel_values=processor(images=each, return_tensors="pt").pixel_values)[0]
        for each in (images, others)
    ]
    unit = [torch.nn.functional.normalize(each, dim=-1) for each in last]
    expected = ((unit[0] - unit[1]) ** 2).sum(-1).mean(-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.attrs["layers"], found.attrs["units"]) == ([-1], "1")


def test_the_distance_grows_with_the_change_and_is_symmetric(folder):
    (image,) = noise_pictures(1)
    changed = [image.point(lambda v, by=by: max(0, v - by)) for by in (5, 60)]
    found = perceptual_distance([image] * 3, [image, *changed], model=folder)
    assert found[0] == 0.0
    assert found[0] < found[1] < found[2] <= 4.0
    back = perceptual_distance([image, *changed], [image] * 3, model=folder, batch=1)
    np.testing.assert_allclose(back, found, atol=1e-6)
