"""Naming a patch of an image, whatever its grid."""

import numpy as np
import pytest

from regard.errors import ArgumentError
from regard.trace.patches import cell_of, checked_patches, patch_or_none


@pytest.mark.parametrize(
    ("value", "patch"),
    [
        ((0, 3), (0, 3)),
        (np.array([1, -1]), (1, -1)),
        ((0, 1), (0, 1)),
        ((0.0, 1.0), (0.0, 1.0)),
        ([0, 0.5], (0.0, 0.5)),
        ((np.float32(0.5), np.float32(0.25)), (0.5, 0.25)),
    ],
)
def test_two_whole_numbers_are_a_row_and_column_and_others_a_point(value, patch):
    found = patch_or_none(value)
    assert found == patch
    assert [type(each) for each in found] == [type(each) for each in patch]


@pytest.mark.parametrize(
    "value",
    [None, 3, "ab", (1,), (1, 2, 3), (0.5, 1.1), (-0.1, 0.5), (2, 0.5), (True, 0), (0.5, np.nan)],
)
def test_what_is_no_patch_is_none(value):
    assert patch_or_none(value) is None


def test_a_point_lies_in_a_patch_of_every_grid():
    # 0.3 of 8 rows is 2.4, of 4 rows 1.2; 0.9 of 6 columns is 5.4
    assert cell_of((0.3, 0.9), (8, 6), caller="look") == (2, 5)
    assert cell_of((0.3, 0.9), (4, 2), caller="look") == (1, 1)
    assert cell_of((1.0, 1.0), (4, 2), caller="look") == (3, 1)
    assert cell_of((0.0, 0.0), (1, 1), caller="look") == (0, 0)


def test_rows_and_columns_outside_are_told_the_grid_and_the_layer():
    said = r"look: there is no patch \(4, 0\) in 'mid'; rows are 0..3 and columns 0..1. Choose"
    with pytest.raises(ArgumentError, match=said):
        cell_of((4, 0), (4, 2), caller="look", layer="mid")


def test_patches_are_a_list_in_which_each_comes_once():
    twice = [(0, 1), (0.5, 0.5), [0, 1]]
    assert checked_patches(twice, name="patches", caller="look") == ((0, 1), (0.5, 0.5))
    assert checked_patches([0.5, 0.5], name="patches", caller="look") == ((0.5, 0.5),)
    assert checked_patches(None, name="patches", caller="look") is None
    with pytest.raises(ArgumentError, match=r"look: patches has \(0, 'a'\) and must be a list"):
        checked_patches([(0, 1), (0, "a")], name="patches", caller="look")
