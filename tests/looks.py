"""One look at a tiny model, shared by tests: made once, never changed."""

import functools
from typing import Any

import tiny
from regard.look import Look, look

PROMPT = "a cat and a turtle on grass"
"""start, a, cat, and, a, six letters of turtle, on, grass, end: 14 of 16 tokens, 2 pads."""


@functools.cache
def pipeline() -> Any:
    """The tiny pipeline."""
    return tiny.tiny_pipeline()


@functools.cache
def seen() -> Look:
    """Two steps of `PROMPT`, seed 0."""
    return look(pipeline(), PROMPT, steps=2)
