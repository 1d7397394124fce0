from fractions import Fraction

import numpy as np
import pytest
import torch

from regard.arguments import flag, indices, number, pair, whole
from regard.errors import ArgumentError

NO_NUMBERS = [
    "3",
    b"3",
    None,
    True,
    False,
    np.True_,
    [3],
    (3,),
    {3},
    {},
    3j,
    object(),
    np.array([3]),
]
NO_NUMBERS += [torch.tensor([3]), torch.tensor(True), np.array(True), np.array("3"), "", float]


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_every_kind(value):
    found = whole(value, "steps", "look", least=3, most=3)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 3.0, np.float32(3), np.array(3.0), Fraction(3)])
def test_what_is_no_whole_number(value):
    with pytest.raises(ArgumentError, match="^look: steps is .* must be a whole number of 1"):
        whole(value, "steps", "look", least=1)


@pytest.mark.parametrize("value", [0.5, Fraction(1, 2), np.float16(0.5), torch.tensor(0.5)])
def test_numbers_of_every_kind(value):
    assert number(value, "guidance", "look") == 0.5


@pytest.mark.parametrize("value", [*NO_NUMBERS, float("nan"), float("inf"), -1, 10**400])
def test_what_is_no_finite_number(value):
    with pytest.raises(ArgumentError, match="^look: guidance is .* must be a finite number of 0"):
        number(value, "guidance", "look", least=0)


@pytest.mark.parametrize(
    "value",
    [
        "20",
        "x",
        True,
        1.5,
        [1, None],
        [[1]],
        {1: 2},
        b"1",
        [True],
        slice("a"),
        slice(0, 1, 0),
        np.ones((2, 2), int),
        ["1"],
    ],
)
def test_what_are_no_indices(value):
    with pytest.raises(ArgumentError, match="must be a whole number, several, or a slice"):
        indices(value, "steps", "heatmap")


def test_indices_of_every_kind():
    for value in ([0, 2], (0, 2), range(0, 3, 2), np.array([0, 2]), torch.tensor([0, 2]), {0, 2}):
        assert indices(value, "steps", "heatmap") == [0, 2]
    assert indices(np.int64(2), "steps", "heatmap") == [2]
    assert indices(slice(np.int64(2), None), "steps", "heatmap") == slice(2, None)


@pytest.mark.parametrize("value", [(64, 64, 64), "64", 0, 1.5, (64,), (64, 0), [64, "64"], True])
def test_what_is_no_size(value):
    with pytest.raises(ArgumentError, match="look: size is .* one whole number or two"):
        pair(value, "size", "look", both=True)


@pytest.mark.parametrize("value", [1, 0, "yes", None, [True]])
def test_what_is_no_flag(value):
    with pytest.raises(ArgumentError, match="must be True or False"):
        flag(value, "verify", "look")
