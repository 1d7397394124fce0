from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from regard.data.drawings import ANIMALS, OBJECTS
from regard.data.scenes import Mention, scene
from regard.data.scenes.second import COVERED, EXTENTS, LATTICE


@pytest.fixture(scope="module")
def scenes():
    """A stretch of test scenes, with all that may happen in one."""
    return [scene(index, seed=21, split="test", version=2) for index in range(600)]


def test_256_pixels_show_the_scene_that_128_show():
    for index in range(20):
        small, large = scene(index, version=2), scene(index, version=2, size=256)
        assert small.caption() == large.caption()
        halved = large.image.reshape(128, 2, 128, 2, 3).mean((1, 3))
        assert np.abs(halved - small.image).mean() < 6  # of 255
        for one, other in zip(small.placed, large.placed, strict=True):
            share = other.mask.reshape(128, 2, 128, 2).mean((1, 3))
            assert ((share > 0.5) & one.mask).sum() > 0.85 * one.mask.sum()


def test_as_many_things_are_there_as_the_caption_counts(scenes):
    counts = Counter()
    for each in scenes:
        there = Counter(placed.mention.subject for placed in each.placed)
        assert there == {mention.subject: mention.count for mention in each.mentions}
        counts.update(there.values())
    assert set(counts) == {1, 2, 3}


def test_things_of_one_kind_are_apart_so_that_they_can_be_counted(scenes):
    counted = [each for each in scenes if each.relation == "and"]
    apart = [
        ndimage.label(sum(placed.mask for placed in each.placed), np.ones((3, 3)))
        for each in counted
        if len(each.placed) == 3
    ]
    # A drawing of several strokes may be more components than one, never fewer.
    assert np.mean([found >= 3 for _, found in apart]) > 0.9
    assert len(apart) > 20


def test_what_stands_in_front_hides_a_part_of_the_other():
    hidden = []
    for index in range(300):
        each = scene(index, seed=22, split="test", count=2, version=2)
        if each.relation != "in front of":
            continue
        front, back = each.placed
        touching = ndimage.binary_dilation(front.mask, iterations=2) & back.mask
        hidden.append(bool(touching.any()))
    assert len(hidden) > 40
    assert np.mean(hidden) == 1
    assert 0 < COVERED[0] < COVERED[1] < 0.5


def test_things_next_to_each_other_stand_side_by_side(scenes):
    beside = [each for each in scenes if each.relation == "next to"]
    assert len(beside) > 20
    for each in beside:
        (x, _, wide, _), (u, _, other, _) = (placed.box for placed in each.placed)
        assert x + wide <= u or u + other <= x
        feet = [placed.box[1] + placed.box[3] for placed in each.placed]
        assert abs(feet[0] - feet[1]) <= LATTICE


def test_every_drawing_of_a_subject_is_shown():
    assert all(2 <= len(each) <= 4 for each in (ANIMALS | OBJECTS).values())
    frogs = [scene(i, seed=23, split="test", count=1, version=2) for i in range(900)]
    frogs = [each for each in frogs if each.mentions == (Mention("frog"),)]
    greens = {each.image[each.mask(Mention("frog"))][:, 1].mean() > 140 for each in frogs}
    assert greens == {True, False}  # the bright and the dark one


def test_sizes_lie_within_what_is_offered(scenes):
    sides = [max(p.box[2:]) for each in scenes if len(each.placed) == 1 for p in each.placed]
    least, most = EXTENTS[1]
    assert min(sides) >= least - 2
    assert max(sides) <= most
    assert len(set(sides)) > 10


def test_no_two_backgrounds_are_alike(scenes):
    corners = {each.image[:4, :4].tobytes() for each in scenes if each.background == "grass"}
    assert len(corners) > 60
    rows = [np.ptp(each.image[-1].astype(int), axis=0).max() for each in scenes]
    assert np.median(rows) > 10  # a flat ramp has one colour in each row
