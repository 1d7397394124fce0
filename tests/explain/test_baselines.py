import numpy as np
import torch

from explained import classifier, pictures
from regard.explain.baselines import edges, edges_of, random


def test_an_image_gets_the_same_chance_in_any_batch_and_each_its_own():
    pixels = pictures(2)
    both = random(classifier(), pixels)
    np.testing.assert_array_equal(random(classifier(), pixels[1:])[0], both[1])
    assert not (both[0] == both[1]).all()
    assert not (random(classifier(), pixels, seed=1) == both).any()


def test_an_even_image_has_no_edges_and_a_step_has_one():
    step = torch.zeros(1, 3, 24, 24)
    step[..., 8:] = 1.0
    found = edges(classifier(), step)
    np.testing.assert_allclose(found[0], [[8.0, 0.0, 0.0]] * 3)  # eight rows of pixels a patch
    assert float(edges_of(torch.ones(1, 3, 24, 24), (3, 3)).abs().max()) == 0
