import re

import pytest

from regard.data.prompts import prompts
from regard.scores.wordings import TEMPLATES, filled


def test_there_are_eighty_templates_each_with_one_place():
    assert len(set(TEMPLATES)) == len(TEMPLATES) == 80
    assert all(each.count("{}") == 1 for each in TEMPLATES)
    assert all(each == each.strip() and each.endswith(".") for each in TEMPLATES)
    assert (TEMPLATES[0], TEMPLATES[39]) == ("a bad photo of a {}.", "a photo of a {}.")
    assert TEMPLATES[-1] == "a tattoo of the {}."


def test_for_the_prompts_of_the_benchmark_both_ways_of_cleaning_agree():
    for prompt in prompts():
        for text in (prompt, *re.split(" and | with ", prompt)):
            assert filled(text) == filled(text, legacy=True), text


@pytest.mark.parametrize(
    ("prompt", "first", "eighth"),
    [
        ("a cat", "a bad photo of a cat.", "a bad photo of a cat."),
        ("an elephant", "a bad photo of an elephant.", "a bad photo of an elephant."),
        ("A cat", "a bad photo of A cat.", "a bad photo of A cat."),
        ("cat", "a bad photo of a cat.", "a bad photo of the cat."),
        ("apple", "a bad photo of a apple.", "a bad photo of the apple."),
        ("panda and a sofa above", "a bad photo of a panda and a sofa above.", None),
    ],
)
def test_only_articles_that_meet_are_made_one(prompt, first, eighth):
    found = filled(prompt)
    assert found[0] == first
    assert eighth in (None, found[7])


def test_the_legacy_cleaning_eats_into_words():
    assert filled("panda and apple", legacy=True)[0] == "a bad photo of a pandand apple."
    assert filled("apple", legacy=True)[7] == "a bad photo of apple."
