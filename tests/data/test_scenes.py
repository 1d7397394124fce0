import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.drawings import COLOURS, OBJECTS, SUBJECTS
from regard.data.prompts import prompts
from regard.data.scenes import (
    BACKGROUNDS,
    HELD_OUT_PAIRS,
    HELD_OUT_SINGLES,
    Mention,
    caption,
    mentions_in,
    scene,
)
from regard.errors import ArgumentError

SOME = range(60)
MANY = range(1500)


@pytest.fixture(scope="module")
def training():
    """A stretch of the training scenes that no other test looks at."""
    return [scene(index, seed=5) for index in MANY]


def test_a_scene_is_decided_by_seed_and_index_alone():
    once = scene(3, seed=1)
    scene(9, seed=4)
    again = scene(3, seed=1)
    assert np.array_equal(once.image, again.image)
    assert once.caption() == again.caption()


@pytest.mark.parametrize("other", [{"index": 4}, {"seed": 2}, {"split": "test"}])
def test_another_index_seed_or_split_is_another_scene(other):
    wanted = {"index": 3, "seed": 1, **other}
    assert not np.array_equal(scene(3, seed=1).image, scene(**wanted).image)


@pytest.mark.parametrize("size", [64, 128])
def test_boxes_are_tight_around_masks_that_fit_the_image(size):
    for index in SOME:
        each = scene(index, size=size)
        assert each.image.shape == (size, size, 3)
        assert each.image.dtype == np.uint8
        for placed in each.placed:
            assert placed.mask.shape == (size, size)
            assert placed.mask.dtype == bool
            rows, columns = np.nonzero(placed.mask)
            x, y, width, height = placed.box
            assert (columns.min(), rows.min()) == (x, y)
            assert (columns.max() + 1, rows.max() + 1) == (x + width, y + height)


def test_no_pixel_belongs_to_two_subjects():
    for index in SOME:
        assert sum(p.mask.astype(int) for p in scene(index, count=2).placed).max() == 1


def test_outside_the_subjects_there_is_nothing_but_the_background():
    for index in SOME:
        each = scene(index, count=1)
        ys, xs = np.nonzero(each.placed[0].mask)
        # Soft edges reach one or two pixels beyond the mask; a row is one colour where no ink is.
        far = np.ones(64, bool)
        far[max(0, xs.min() - 3) : xs.max() + 4] = False
        assert (each.image[:, far] == each.image[:, far][:, :1]).all()


def test_128_pixels_show_the_scene_that_64_show():
    # Indices 85, 131 and 308 lie at the right or lower edge, where rounding could push them out.
    for index in (*range(20), 85, 131, 308):
        small, large = scene(index), scene(index, size=128)
        assert small.caption() == large.caption()
        assert small.background == large.background
        halved = large.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(halved - small.image).mean() < 6  # of 255; another scene is 60 and more off
        for one, other in zip(small.placed, large.placed, strict=True):
            share = other.mask.reshape(64, 2, 64, 2).mean((1, 3))
            assert ((share > 0.5) & one.mask).sum() > 0.85 * one.mask.sum()


def test_training_never_shows_what_is_held_out(training):
    kept = {*prompts(), *(text for pair in HELD_OUT_SINGLES.values() for text in pair)}
    for each in training:
        assert each.caption() not in kept
        assert each.caption("literal") not in kept
        assert frozenset(m.subject for m in each.mentions) not in HELD_OUT_PAIRS


def test_two_prompts_of_each_subject_and_28_pairs_are_held_out():
    assert set(HELD_OUT_SINGLES) == set(SUBJECTS)
    texts = [text for pair in HELD_OUT_SINGLES.values() for text in pair]
    assert len(set(texts)) == 48
    assert len(HELD_OUT_PAIRS) == 28
    assert all(len(pair) == 2 and pair <= set(SUBJECTS) for pair in HELD_OUT_PAIRS)


def test_training_shows_every_subject_background_and_colour(training):
    mentions = [m for each in training for m in each.mentions]
    assert {m.subject for m in mentions} == set(SUBJECTS)
    assert {m.colour for m in mentions} == {None, *COLOURS}
    assert {m.subject for m in mentions if m.colour} == set(OBJECTS)
    assert {each.background for each in training} == set(BACKGROUNDS)


def test_scenes_of_two_subjects_are_a_minority(training):
    # 35 % of what is drawn, a little less after held-out scenes are drawn again.
    assert 0.29 < np.mean([len(each.placed) == 2 for each in training]) < 0.40


def test_no_subject_is_smaller_than_what_the_judge_counts_as_shown():
    shares = [p.mask.mean() for i in range(300) for p in scene(i, split="test").placed]
    assert min(shares) > 0.008


@pytest.mark.parametrize(
    ("mentions", "background", "english", "literal"),
    [
        ([("cat", None)], None, "a cat", "a cat"),
        ([("elephant", None)], None, "an elephant", "an elephant"),
        ([("apple", None)], "lake", "an apple on the lake", "a apple on the lake"),
        ([("car", "orange")], None, "an orange car", "a orange car"),
        ([("apple", "red")], None, "a red apple", "a red apple"),
        ([("cat", None), ("bow", None)], None, "a cat with a bow", "a cat with a bow"),
        ([("cat", None), ("bow", "red")], None, "a cat and a red bow", "a cat and a red bow"),
        ([("bow", None), ("crown", None)], None, "a bow and a crown", "a bow and a crown"),
        ([("cat", None), ("dog", None)], "night sky", "a cat and a dog on the night sky", None),
    ],
)
def test_a_caption_follows_the_grammar_of_the_benchmark(mentions, background, english, literal):
    named = [Mention(*each) for each in mentions]
    assert caption(named, background) == english
    assert caption(named, background, "literal") == (literal or english)


def test_every_prompt_of_the_benchmark_is_a_literal_caption():
    for prompt in prompts():
        assert caption(mentions_in(prompt), articles="literal") == prompt


mention = st.builds(Mention, st.sampled_from(SUBJECTS), st.sampled_from([None, *COLOURS]))
ground = st.sampled_from([None, *BACKGROUNDS])


@given(st.lists(mention, min_size=1, max_size=2), ground)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_a_caption_says_can_be_read_out_of_it(mentions, background):
    assert mentions_in(caption(mentions, background)) == tuple(mentions)


def test_mentions_are_read_through_capitals_and_commas():
    assert mentions_in("A red car, a Cat.") == (Mention("car", "red"), Mention("cat"))
    assert mentions_in("blue sky") == ()


@pytest.mark.parametrize(
    "wrong",
    [{"index": -1}, {"size": 96}, {"count": 3}, {"count": 0}, {"seed": -1}],
    ids=str,
)
def test_what_is_not_offered_is_refused_with_what_is(wrong):
    with pytest.raises(ArgumentError, match="a size of 64 or 128, and a count of 1, 2 or None"):
        scene(**{"index": 0, **wrong})


def test_the_number_of_subjects_can_be_asked_for():
    assert {len(scene(i, count=2).placed) for i in range(10)} == {2}
    assert {len(scene(i, count=1).placed) for i in range(10)} == {1}
