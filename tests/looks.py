"""A tiny model and one look at it, shared by tests: made once, never changed."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tiny
from regard.generation import Request, generate
from regard.generation.rows import Planner
from regard.look import Look, look
from regard.methods import Run
from regard.models import TextToImage
from regard.trace import Prompt

PROMPT = "a cat and a turtle on grass"
"""start, a, cat, and, a, six letters of turtle, on, grass, end: 14 of 16 tokens, 2 pads."""


@functools.cache
def pipeline() -> Any:
    """The tiny pipeline."""
    return tiny.tiny_pipeline()


@functools.cache
def seen() -> Look:
    """Two steps of `PROMPT`, seed 0."""
    return look(pipeline(), PROMPT, num_inference_steps=2)


def generated(
    model: Any, request: Request, changes: Sequence[Mapping[str, Any]] = ({},), **options: Any
) -> list[Any]:
    """What becomes of one request, changed for each image in its own way."""
    requests = [replace(request, **each) for each in changes]
    return generate(TextToImage.of(model), requests, **options)


def told(model: Any, request: Request) -> Run:
    """What methods are told of a request."""
    opened = TextToImage.of(model)
    return Planner(opened).run(opened.decide(request))


def tokenized(model: Any, prompt: str) -> Prompt:
    """A prompt as a model reads it."""
    return TextToImage.of(model).tokenize(prompt)
