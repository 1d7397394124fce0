"""One tiny study, made once, for all tests that ask something of it."""

import pytest

import fashion
from regard.experiments.studies import Study, vit


@pytest.fixture(scope="session")
def told() -> list[tuple[str, int, int]]:
    """What the study told of its progress."""
    return []


@pytest.fixture(scope="session")
def study(told: list[tuple[str, int, int]]) -> Study:
    return vit(
        fashion.knowing(),
        fashion.clothes(),
        budget=fashion.TINY,
        progress=lambda what, done, total: told.append((what, done, total)),
    )
