"""The outcome of a pipeline's run: an image, an image that shows nothing, or one clear line."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from regard.arguments import caller
from regard.data.files import reason
from regard.errors import ArgumentError, DataError, RegardError

BLACKENED = "its safety checker took the image away"
NO_NUMBERS = "the decoder gave NaN or infinite values"
ONE_COLOUR = "all of it is one colour"

CURES = {
    BLACKENED: "Use another prompt or seed, or a pipeline without its safety checker",
    NO_NUMBERS: "Use float32, or an autoencoder that is sound in this dtype",
    ONE_COLOUR: "Use another prompt or seed, or see what makes it so",
}

WATCH = ("regard.tap.mode", "jaxtyping", "beartype", "<")
"""Beginnings of the names of modules that only hand calls on: the tap's watch, checks of types."""

LIBRARIES = ("accelerate", "diffusers", "numpy", "torch", "transformers")

RAISED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the model libraries raise where parts, settings or sizes do not fit."""


@contextmanager
def running(pipeline: Any, casts: list[str]) -> Iterator[None]:
    """The run of a pipeline: what its libraries raise becomes one line.

    Args:
        pipeline: The pipeline that runs.
        casts: Gets an entry where NaN or infinite values were made into pixels.

    Raises:
        DataError: a model library raised; what is raised elsewhere, such as in a callback, passes.
    """
    try:
        # Of this thread alone; a filter of warnings would be everyone's.
        with np.errstate(invalid="call", call=lambda kind, flag: casts.append(kind)):
            yield
    except RegardError:
        raise
    except RAISED as failed:
        if _raised_in(failed).split(".")[0] not in LIBRARIES:
            raise
        raise DataError(
            f"{caller()}: {type(pipeline).__name__} could not generate an image: "
            f"{reason(failed)}. Do its parts and their settings fit together?"
        ) from failed


def voids(images: Sequence[Image.Image], output: Any, casts: Sequence[str]) -> tuple[str, ...]:
    """Why each image shows nothing; empty for one that shows something.

    Args:
        images: What a pipeline made.
        output: The pipeline's whole output, which may say what its safety checker found.
        casts: As `running` filled it.

    Example:
        >>> voids([Image.new("RGB", (2, 2))], None, [])
        ('all of it is one colour',)
    """
    flags = getattr(output, "nsfw_content_detected", None)
    flagged = [bool(flag) for flag in flags] if isinstance(flags, list | tuple) else []
    flagged += [False] * (len(images) - len(flagged))
    even = [_one_colour(each) for each in images]
    # Where no image of the batch is even, it is not known whose values were NaN.
    broken = [bool(casts) and (each or not any(even)) for each in even]
    return tuple(
        BLACKENED if flag else NO_NUMBERS if lost else ONE_COLOUR if flat else ""
        for flag, lost, flat in zip(flagged, broken, even, strict=True)
    )


def refuse_void(reasons: Sequence[str], *, even: bool = True) -> None:
    """Refuse to compare images of which one shows nothing.

    Args:
        reasons: As `voids` gives them, or ``recipe["void"]`` of a look.
        even: Whether an image of one colour is refused too. It may be what a change led to.

    Raises:
        ArgumentError: one of them shows nothing.

    Example:
        >>> refuse_void(["", ONE_COLOUR], even=False)
    """
    found = next((each for each in reasons if each and (even or each != ONE_COLOUR)), "")
    if found:
        raise ArgumentError(
            f"{caller()}: an image shows nothing: {found}. Nothing can be compared with it. "
            f"{CURES.get(found, 'Look at it first')}."
        )


def _one_colour(image: Image.Image) -> bool:
    bands = image.convert("RGB").getextrema()
    return all(low == high for low, high in bands)


def _raised_in(failed: BaseException) -> str:
    """The name of the module that raised; the watch of the tap only hands calls on."""
    frames = traceback.walk_tb(failed.__traceback__)
    names = [str(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    return next((name for name in reversed(names) if not name.startswith(WATCH)), "")
