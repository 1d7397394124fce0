"""No test may ask for more digits than the numbers hold: processors add up in different orders."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

LEAST = {"float16": 4.8e-4, "bfloat16": 3.9e-3, "float32": 1e-6}
"""The least tolerance of a comparison, as a share of the largest value that is compared.

In float32 it is eight times the distance between two numbers; below it fails on some processor.
"""


def check(dtypes: set[str], largest: float, rtol: float, atol: float) -> None:
    """Fail where the tolerance is below what the coarsest of these dtypes holds.

    Example:
        >>> check({"float32", "float64"}, 2.0, rtol=0.0, atol=2e-6)
        >>> check({"float32"}, 2.0, rtol=1e-7, atol=1e-7)
        Traceback (most recent call last):
        AssertionError: float32 values up to 2 are compared to within 3e-07; ask for 2e-06...
    """
    least = max((LEAST.get(each, 0.0) for each in dtypes), default=0.0) * largest
    allowed = atol + rtol * largest
    assert allowed >= least * (1 - 1e-9), (
        f"{'/'.join(sorted(dtypes))} values up to {largest:g} are compared to within "
        f"{allowed:.2g}; ask for {least:.2g} at least."
    )


def watch(monkeypatch: Any) -> None:
    """Check the tolerance of every comparison with NumPy or torch that is not an equality."""
    monkeypatch.setattr(np.testing, "assert_allclose", _of_numpy(np.testing.assert_allclose))
    monkeypatch.setattr(torch.testing, "assert_close", _of_torch(torch.testing.assert_close))


def _of_numpy(compare: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(compare)
    def checked(
        actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **options: Any
    ) -> None:
        compare(actual, desired, rtol=rtol, atol=atol, **options)
        both = [np.asarray(actual), np.asarray(desired)]
        if not np.array_equal(*np.broadcast_arrays(*both), equal_nan=True):
            found = {str(each.dtype) for each in both if each.dtype.kind == "f"}
            check(found, _largest(both[1]), rtol, atol)

    return checked


def _of_torch(compare: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(compare)
    def checked(actual: Any, expected: Any, **options: Any) -> None:
        compare(actual, expected, **options)
        asked = torch.is_tensor(actual) and options.get("atol") is not None
        if asked and not torch.equal(actual, expected.to(actual.dtype)):
            found = {str(each.dtype).removeprefix("torch.") for each in (actual, expected)}
            largest = float(expected.detach().abs().max())
            check(found, largest, options["rtol"], options["atol"])

    return checked


def _largest(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)].astype(float))
    return float(finite.max()) if finite.size else 0.0
