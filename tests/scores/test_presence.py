import numpy as np
import pytest

from regard.errors import ArgumentError
from regard.models.detector import Detection, Detections
from regard.scores.presence import misbound_colours, miscounted_subjects, neglected_subjects


def seen(**subjects):
    """What the segmenter says: ``subject=colour``."""
    mask = np.ones((2, 2), bool)
    return Detections({name: Detection(mask, colour, 1.0) for name, colour in subjects.items()})


@pytest.mark.parametrize(
    ("prompt", "there", "neglected", "misbound"),
    [
        ("a cat and a red car", seen(cat="gray", car="red"), 0.0, 0.0),
        ("a cat and a red car", seen(cat="gray", car="blue"), 0.0, 1.0),
        ("a cat and a red car", seen(car="blue"), 1 / 2, 1.0),
        ("a cat and a red car", seen(cat="red"), 1 / 2, np.nan),  # no car, so no wrong one
        ("a cat and a red car", seen(dog="brown"), 1.0, np.nan),
        ("a cat and a dog", seen(cat="gray", dog="blue"), 0.0, np.nan),  # no colour was named
        ("a red car and a blue bow", seen(car="blue", bow="blue"), 0.0, 1 / 2),
        ("a red car and a blue bow", seen(car="blue", bow="red"), 0.0, 1.0),
        ("a red car and a blue bow", seen(bow="blue", cat="gray"), 1 / 2, 0.0),
        ("a house on the lake", seen(cat="gray"), np.nan, np.nan),
    ],
)
def test_verdicts_by_hand(prompt, there, neglected, misbound):
    np.testing.assert_equal(neglected_subjects([prompt], [there]).values, [neglected])
    np.testing.assert_equal(misbound_colours([prompt], [there]).values, [misbound])


@pytest.mark.parametrize(
    ("prompt", "cats", "dogs", "wrong"),
    [
        ("two cats", 2, 0, 0.0),
        ("two cats", 3, 0, 1.0),
        ("three cats", 0, 0, 1.0),  # none at all is another number
        ("two cats and three dogs", 2, 2, 1 / 2),
        ("two cats and a dog", 2, 2, 0.0),  # 'a dog' counts nothing
        ("a cat", 2, 0, np.nan),
    ],
)
def test_counts_by_hand(prompt, cats, dogs, wrong):
    mask = np.ones((1, 1), bool)
    there = {
        name: Detection(mask, "gray", 0.5, count=number)
        for name, number in (("cat", cats), ("dog", dogs))
        if number
    }
    np.testing.assert_equal(miscounted_subjects([prompt], [Detections(there)]).values, [wrong])


def test_what_is_undefined_is_counted():
    said, found = ["a cat", "a house", "a red car"], [seen(cat="gray"), seen(), seen(car="red")]
    neglected, misbound = neglected_subjects(said, found), misbound_colours(said, found)
    assert (neglected.attrs["undefined"], misbound.attrs["undefined"]) == (1, 2)
    assert (neglected.name, neglected.attrs["units"]) == ("neglected_subjects", "share of subjects")
    assert (misbound.dims, misbound.attrs["units"]) == (("sample",), "share of colours")


@pytest.mark.parametrize("measure", [neglected_subjects, misbound_colours, miscounted_subjects])
def test_prompts_and_verdicts_go_in_pairs(measure):
    with pytest.raises(ArgumentError, match=f"{measure.__name__}: got 2 and 1; give one for each"):
        measure(["a cat", "a dog"], [seen()])
    with pytest.raises(ArgumentError, match=f"{measure.__name__}: got 0 and 0"):
        measure([], [])
