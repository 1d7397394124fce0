"""Calls as users make them: without the checks of types that the tests run under."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping


@contextmanager
def no_type_checks() -> Iterator[None]:
    """For the length of a block, only what the package itself checks is checked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def unchecked(function: Any, *args: Any, **options: Any) -> Any:
    """Call a function as a user's program does."""
    with no_type_checks():
        return function(*args, **options)
