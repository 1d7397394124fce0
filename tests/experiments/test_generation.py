from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from regard.data.drawings import SUBJECTS
from regard.data.scenes import HELD_OUT_PAIRS, Mention, caption
from regard.experiments.generation import (
    Drawn,
    held_out_iou,
    pair_figures,
    single_figures,
    single_prompts,
    word_map,
)
from regard.zoo.judge import Seen, Sighting

EMPTY = xr.DataArray(np.zeros((1, 1, 1)), dims=("token", "y", "x"))


def drawn(prompt, **seen):
    """A picture of which the segmenter says ``subject=colour``."""
    subjects = {name: Sighting(np.ones((2, 2), bool), colour, 1.0) for name, colour in seen.items()}
    return Drawn(prompt, 0, None, Seen(subjects), EMPTY)


def test_single_figures_by_hand():
    found = single_figures(
        [
            drawn("a red car", car="red"),
            drawn("a red car", car="blue"),
            drawn("a red car", cat="red"),  # no car, so no car of the right colour either
            drawn("a cat on the lake", cat="gray"),
        ]
    )
    assert found == {"subject_shown": 3 / 4, "colour_right": pytest.approx(1 / 3)}


def test_pair_figures_by_hand():
    first, second = sorted(next(iter(sorted(map(sorted, HELD_OUT_PAIRS)))), key=SUBJECTS.index)
    held_out = caption([Mention(first), Mention(second)])
    found = pair_figures(
        [
            drawn("a cat and a red car", cat="gray", car="red"),
            drawn("a cat and a red car", cat="gray", car="blue"),
            drawn("a cat and a red car", car="red"),
            drawn("a cat and a red car"),
            drawn("a cat and a dog", cat="gray", dog="brown"),
            drawn(held_out, **{first: "red"}),
        ]
    )
    assert found["both_present"] == 3 / 6
    assert found["one_neglected"] == 2 / 6
    assert found["both_present_held_out_pairs"] == 0.0
    assert found["colours_bound_right"] == 1 / 2  # of two that show both, one coloured


def test_every_subject_is_asked_for_twice_at_every_seed():
    wanted = single_prompts(4)
    assert len(wanted) == len(set(wanted)) == 24 * 2 * 4
    assert sum(" on the " in prompt for prompt, _ in wanted) == 24 * 4


def test_the_threshold_is_chosen_on_one_set_and_told_of_the_other():
    # Chosen on: the mask is where the map is above the middle. Told of: at that threshold the hot
    # part is two of the four pixels, of which the mask has one and one beside: 1 / 3.
    chosen = xr.DataArray([[0.0, 0.1, 0.9, 1.0]], dims=("y", "x"))
    told = xr.DataArray([[0.0, 0.05, 0.95, 1.0]], dims=("y", "x"))
    mask = xr.DataArray([[False, True, False, True]], dims=("y", "x"))
    assert held_out_iou([(chosen, chosen > 0.5)], [(told, mask)]) == pytest.approx(1 / 3)


def tokenizer(prompt, **_):
    """One token per word between a start and an end token."""
    offsets, start = [(0, 0)], 0
    for word in prompt.split():
        start = prompt.index(word, start)
        offsets.append((start, start + len(word)))
        start += len(word)
    return SimpleNamespace(offset_mapping=[*offsets, (0, 0)])


@pytest.mark.parametrize(
    ("prompt", "word", "token"),
    [
        ("a cat and a car", "car", 5),
        ("a lion on the beach", "on", 3),  # not the end of 'lion'
        ("a bowl and a bow", "bow", 5),  # not the start of 'bowl'
        ("a blue balloon on the lake", "on", 4),
    ],
)
def test_the_map_of_a_word_is_that_of_the_word_not_of_its_letters(prompt, word, token):
    maps = xr.DataArray(np.arange(8.0).reshape(8, 1, 1), dims=("token", "y", "x"))
    pipeline = SimpleNamespace(tokenizer=tokenizer)
    assert word_map(pipeline, prompt, word, maps).item() == token
