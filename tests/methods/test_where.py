"""Where a method acts: one value, made of parts that are checked when it is made."""

import pytest

from regard.errors import ArgumentError
from regard.methods import Where, drop, from_recipe, perturbed_attention_guidance, temperature


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Where(steps=[0, 10]), Where(steps=range(10))),
        (Where(layers=range(2)), Where(layers=[0, 1])),
        (Where(layers={"start": 0, "stop": 2, "step": None}), Where(layers=slice(0, 2))),
        (Where(condition="cond"), Where()),
    ],
)
def test_the_same_place_said_in_two_ways_is_one_value(one, other):
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, Where(stage="mid")}) == 2


def test_it_shows_only_what_is_not_the_default():
    assert repr(Where()) == "Where()"
    assert repr(Where(steps=3, condition="both")) == "Where(steps=3, condition='both')"


@pytest.mark.parametrize(
    "where",
    [
        Where(),
        Where(steps=2),
        Where(steps=range(1, 4), layers=["up", 0], stage="up", kind="cross", condition="uncond"),
        Where(layers=slice(None, 4)),
    ],
)
def test_a_recipe_says_where(where):
    method = temperature(0.5, where=where)
    assert Where(**where.recipe()) == where
    assert from_recipe(method.recipe()) == method == temperature(0.5, where=where.recipe())


def test_what_is_everywhere_is_not_written_down():
    assert drop("cat", where=Where()).recipe() == {"method": "drop", "words": "cat"}
    assert drop("cat", where={}).recipe() == {"method": "drop", "words": "cat"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Where(steps=[4, 4]), r"^Where: steps=\[4, 4\] is an empty range"),
        (lambda: Where(steps=-1), "^Where: steps=-1 begins before step 0"),
        (lambda: Where(steps=range(0, 9, 2)), r"^Where: steps=range\(0, 9, 2\) leaves steps out"),
        (lambda: Where(steps=[1]), r"^Where: steps are \[1\] and must be a step, or the first"),
        (lambda: Where(layers=[]), r"^Where: layers=\[\] chooses nothing"),
        (lambda: drop("cat", where={"stage": "top"}), "^drop: stage is 'top' and must be one of"),
        (lambda: drop("cat", where={"place": "up"}), "^drop: where has 'place', which is not one"),
        (
            lambda: drop("cat", where={"kind": "self"}),
            "^drop: where has kind, and drop takes steps",
        ),
        (lambda: drop("cat", where=[0, 1]), r"^drop: where is \[0, 1\] and must be a Where"),
        (lambda: drop("cat", steps=3), r"^drop: steps is a part of where. Write where=Where\(st"),
        (
            lambda: perturbed_attention_guidance(where=Where(condition="both")),
            "takes steps, layers and stage alone. Leave condition out",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_cure(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_recipes_of_before_are_read():
    """They had the parts side by side, and called a stage a place."""
    old = {"method": "temperature", "factor": 0.5, "steps": [0, 10], "place": "up", "kind": "self"}
    new = temperature(0.5, where=Where(steps=[0, 10], stage="up", kind="self"))
    assert from_recipe(old) == new
