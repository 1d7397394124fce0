"""What must hold for every measure in the table."""

import inspect

import numpy as np
import pytest
import torch
import xarray as xr

from regard.measures import measures
from regard.measures.place import iou_of_maps
from regard.measures.spread import (
    entropy_of_rows,
    normalised_entropy_of_rows,
    perplexity_of_rows,
)
from regard.trace import toy_trace

WEIGHTS = np.array([[0.7, 0.1, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0], [0.25] * 4])
ROWS = xr.DataArray(WEIGHTS, dims=["query", "key"])
HEAT = np.array([[0.0, 0.4], [0.8, 1.0]])
MASK = np.array([[False, True], [False, True]])
PLANE = [xr.DataArray(values, dims=["y", "x"]) for values in (HEAT, MASK)]

# Each measure on an input that one can check by hand: its arguments, and what must come out.
BY_HAND = {
    "entropy": ([ROWS], {}, [1.356780, 0.0, 2.0]),
    "normalised_entropy": ([ROWS], {}, [0.678390, 0.0, 1.0]),
    "perplexity": ([ROWS], {}, [2.561129, 1.0, 4.0]),
    "iou": (PLANE, {"threshold": 0.5}, 1 / 3),
    "word_table": ([toy_trace()], {}, None),  # checked by hand in tests/measures/test_words.py
}

# The kernels, and what they are called with; word_table has none, it puts other measures together.
KERNELS = {
    "entropy": (entropy_of_rows, [WEIGHTS]),
    "normalised_entropy": (normalised_entropy_of_rows, [WEIGHTS]),
    "perplexity": (perplexity_of_rows, [WEIGHTS]),
    "iou": (iou_of_maps, [HEAT, MASK, 0.5]),
}


def test_every_measure_is_put_to_the_laws():
    assert set(BY_HAND) == set(measures)
    assert set(KERNELS) == set(measures) - {"word_table"}


@pytest.mark.parametrize("name", measures)
def test_a_measure_gives_the_number_found_by_hand(name):
    arguments, options, expected = BY_HAND[name]
    got = measures.get(name)(*arguments, **options)
    if expected is not None:
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("name", measures)
def test_a_measure_has_a_unit_and_its_own_name(name):
    arguments, options, _ = BY_HAND[name]
    got = measures.get(name)(*arguments, **options)
    assert got.attrs["units"]
    assert measures.get(name).__name__ == name
    if isinstance(got, xr.DataArray):
        assert got.name == name


@pytest.mark.parametrize("name", measures)
def test_a_measure_says_what_it_takes_returns_and_where_it_comes_from(name):
    text = inspect.getdoc(measures.get(name))
    for section in ("Args:", "Returns:", "Example:", "Source:", ">>>"):
        assert section in text, section
    assert text.splitlines()[0].endswith("."), "the first line is one sentence"


@pytest.mark.parametrize("name", measures)
def test_a_measure_leaves_its_input_as_it_was(name):
    arguments, options, _ = BY_HAND[name]
    before = [value.copy(deep=True) for value in arguments if isinstance(value, xr.DataArray)]
    measures.get(name)(*arguments, **options)
    after = [value for value in arguments if isinstance(value, xr.DataArray)]
    for one, other in zip(before, after, strict=True):
        xr.testing.assert_identical(one, other)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_is_the_same_in_numpy_and_torch(name, dtype):
    kernel, arguments = KERNELS[name]
    arrays = [
        value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype == float else value
        for value in arguments
    ]
    tensors = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in arrays]
    expected, got = kernel(*arrays), kernel(*tensors)
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_takes_leading_axes_as_they_come(name):
    kernel, arguments = KERNELS[name]
    batch = [np.stack([v, v]) if isinstance(v, np.ndarray) else v for v in arguments]
    one = np.asarray(kernel(*arguments))
    np.testing.assert_array_equal(kernel(*batch), np.stack([one, one]))


@pytest.mark.parametrize("name", ["entropy", "normalised_entropy", "perplexity"])
def test_the_spread_can_be_a_loss(name):
    kernel, _ = KERNELS[name]
    scores = torch.tensor([[0.3, -0.2, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: kernel(s.softmax(-1)), scores)
