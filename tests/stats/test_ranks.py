import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from regard.stats.ranks import average_precision_of_rows, greatest_so_far, ranks_of_rows

tied = arrays(float, (2, 9), elements=st.integers(0, 4).map(float))


@given(tied)
def test_ranks_are_those_of_scipy_in_numpy_and_torch(values):
    expected = rankdata(values, axis=-1)
    np.testing.assert_array_equal(ranks_of_rows(values), expected)
    np.testing.assert_array_equal(ranks_of_rows(torch.from_numpy(values)).numpy(), expected)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9])
def test_the_greatest_so_far_is_that_of_numpy(length):
    values = np.random.default_rng(0).random((3, length))
    np.testing.assert_array_equal(greatest_so_far(values), np.maximum.accumulate(values, axis=-1))


def test_ties_are_one_threshold_whichever_comes_first():
    scores = np.array([[0.5, 0.5, 0.1]])
    one = average_precision_of_rows(scores, np.array([[True, False, False]]))
    other = average_precision_of_rows(scores, np.array([[False, True, False]]))
    assert one == other == 0.5


def test_a_row_with_a_value_that_is_no_number_has_no_curve():
    scores = np.array([[0.5, np.nan], [0.5, 0.1]])
    got = average_precision_of_rows(scores, np.array([[True, False], [True, False]]))
    assert np.isnan(got).tolist() == [True, False]
