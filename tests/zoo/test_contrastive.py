from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch

from regard.data.scenes import Mention, Placed, Scene, scene
from regard.zoo.contrastive import Said, some_of, symmetric_loss, task
from regard.zoo.job import Job
from small_recipes import small as small_recipe

EYE = torch.eye(2, dtype=torch.bool)


def test_the_symmetric_loss_by_hand():
    # Rows are images. Image 0 gives its text 3 of 4 parts (e^ln3 : 1), image 1 its text 1 of 2;
    # text 0 gives its image 3 of 4 parts, text 1 its image 1 of 2.
    logits = torch.tensor([[log(3), 0.0], [0.0, 0.0]])
    half = -(log(3 / 4) + log(1 / 2)) / 2
    assert symmetric_loss(logits, EYE, 0.5).item() == pytest.approx(half)


def test_lambda_weighs_the_two_directions():
    # Image 0 sees (3, 7): 3/10, image 1 (1, 1): 1/2. Text 0 sees (3, 1): 3/4, text 1 (7, 1): 1/8.
    logits = torch.tensor([[log(3), log(7)], [0.0, 0.0]])
    to_text, to_image = -(log(3 / 10) + log(1 / 2)) / 2, -(log(3 / 4) + log(1 / 8)) / 2
    for weight in (0.0, 0.25, 1.0):
        expected = weight * to_text + (1 - weight) * to_image
        assert symmetric_loss(logits, EYE, weight).item() == pytest.approx(expected, rel=1e-5)


def test_two_pictures_with_one_caption_have_two_right_answers():
    same = torch.ones(2, 2, dtype=torch.bool)
    assert symmetric_loss(torch.zeros(2, 2), same, 0.5).item() == pytest.approx(log(2))
    # Were each told to choose one of two equal texts, confident logits would be punished.
    sure = torch.tensor([[9.0, 9.0, 0.0], [9.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    blocks = torch.block_diag(same, torch.ones(1, 1)).bool()
    assert symmetric_loss(sure, blocks, 0.5).item() == pytest.approx(
        (2 * log(2 + exp(-9.0)) + log(1 + 2 * exp(-9.0))) / 3, abs=1e-4
    )


def test_a_colder_temperature_starts_with_steeper_logits():
    plan = small_recipe("openmoji-clip")
    network = task(plan, torch.device("cpu")).network
    assert network.logit_scale.exp().item() == pytest.approx(1 / plan.train["temperature"])


def test_each_text_of_a_batch_is_true_of_its_own_picture():
    same = task(small_recipe("openmoji-clip"), torch.device("cpu")).batch(0)["same"]
    assert same.diagonal().all()


def beach(*mentions, relation="and"):
    mask = np.ones((1, 1), bool)
    placed = tuple(Placed(each, mask, (0, 0, 1, 1)) for each in mentions)
    return Scene(np.zeros((1, 1, 3), np.uint8), placed, "beach", True, relation)


CAR, RED, CAT = Mention("car", "blue"), Mention("car", "red"), Mention("cat")


@pytest.mark.parametrize(
    ("mentions", "background", "true"),
    [
        ((CAR,), None, True),
        ((Mention("car"),), None, True),  # says less than there is
        ((CAR,), "beach", True),
        ((CAR,), "road", False),
        ((RED,), None, False),
        ((CAT,), None, False),
        ((CAR, CAT), None, False),  # says more than there is
    ],
)
def test_a_text_is_true_of_a_picture_that_shows_just_that(mentions, background, true):
    assert Said(mentions, background).is_true_of(beach(CAR)) == true


def test_a_picture_of_two_is_not_told_by_one():
    assert not Said((CAT,), None).is_true_of(beach(CAT, CAR))
    assert Said((CAR, CAT), None).is_true_of(beach(CAT, CAR))


def test_one_cat_is_not_two():
    assert not Said((CAT,), None).is_true_of(beach(Mention("cat", count=2)))
    assert Said((Mention("cat", count=2),), None).is_true_of(beach(Mention("cat", count=2)))


@pytest.mark.parametrize(
    ("said", "mentions", "shown", "true"),
    [
        ("and", (CAT, CAR), "in front of", True),  # says nothing of how they stand
        ("in front of", (CAT, CAR), "in front of", True),
        ("in front of", (CAR, CAT), "in front of", False),  # the other way round
        ("next to", (CAR, CAT), "next to", True),
        ("next to", (CAT, CAR), "and", False),
    ],
)
def test_how_two_things_stand_is_part_of_what_is_said(said, mentions, shown, true):
    assert Said(mentions, None, said).is_true_of(beach(CAT, CAR, relation=shown)) == true


def test_what_may_be_said_of_a_scene_is_true_of_it():
    rng = np.random.default_rng(0)
    scenes = [scene(index, version=2, split="test") for index in range(80)]
    assert all(some_of(each, rng).is_true_of(each) for each in scenes)
    texts = {some_of(each, rng).caption("english") for each in scenes}
    assert not any("plain" in text for text in texts)  # a background without a name


def test_the_text_tower_rests_from_a_step_on_and_the_image_tower_learns_on():
    plan = small_recipe("openmoji-2-clip")
    plan = replace(plan, train={**plan.train, "text_until": 1})
    job = Job(task(plan, torch.device("cpu")), plan, 3)
    steps, network = job.run(), job.task.network
    parts = (network.text_model, network.vision_model)

    def seen():
        return [torch.cat([w.detach().flatten() for w in part.parameters()]) for part in parts]

    next(steps)
    text, image = seen()
    next(steps)
    text_after, image_after = seen()
    assert torch.equal(text, text_after)
    assert not torch.equal(image, image_after)
