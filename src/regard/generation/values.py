"""The values of a request, checked one by one before any model runs."""

import math
from typing import Any

from regard.arguments import caller, listed, number_or_none, shown, whole_or_none
from regard.errors import ArgumentError, PromptError


def check_prompt(prompt: Any) -> None:
    """Refuse a prompt that is no text, or empty.

    Raises:
        PromptError: it has no word, is of another type, or no UTF-8.

    Example:
        >>> check_prompt("a cat")
    """
    check_text(prompt, "prompt")
    if not prompt.strip():
        raise PromptError(
            f"{caller()}: the prompt is empty and needs at least one word. "
            "Say what to generate, such as 'a cat on the beach'."
        )


def check_text(text: Any, name: str) -> None:
    """Refuse what is no text that a model could read.

    Raises:
        PromptError: it is of another type, or no UTF-8.

    Example:
        >>> check_text("a cat", "prompt")
    """
    if not isinstance(text, str):
        raise PromptError(
            f"{caller()}: the {name} is {shown(text)} and must be a text, such as 'a cat on the "
            f"beach'."
        )
    try:
        text.encode()
    except UnicodeEncodeError as failed:
        raise PromptError(
            f"{caller()}: the {name} has bytes that are no UTF-8 text, at character "
            f"{failed.start}. Type it again, or set the terminal to UTF-8."
        ) from failed


def checked_methods(methods: Any) -> tuple[Any, ...]:
    """A list of methods.

    Raises:
        ArgumentError: it is a method alone, or holds something else.

    Example:
        >>> checked_methods([])
        ()
    """
    several = None if isinstance(methods, str | bytes) else listed(methods)
    if several is None:
        alone = type(methods).__name__ == "Method"
        what = f"the method {methods.name} alone" if alone else shown(methods)
        raise ArgumentError(
            f"{caller()}: methods is {what} and must be a list of methods, such as [drop('cat')]."
        )
    for each in several:
        if not callable(getattr(each, "plan", None)):
            raise ArgumentError(
                f"{caller()}: methods hold {shown(each)}, which is none. Give what a function of "
                f"regard.methods returns, such as drop('cat')."
            )
    return tuple(several)


def checked_count(value: Any, name: str, cure: str) -> int | None:
    """A whole number from 1 on, or None; ``cure`` ends the message.

    Raises:
        ArgumentError: it is less, or no whole number.

    Example:
        >>> checked_count(30, "num_inference_steps", "; 30 is usual.")
        30
    """
    count = whole_or_none(value)
    if value is not None and (count is None or count < 1):
        kind = "a whole number of " if count is None else ""
        raise ArgumentError(
            f"{caller()}: {name} is {shown(value)} and must be {kind}1 or more{cure}"
        )
    return count


def checked_guidance(value: Any) -> float | None:
    """A finite guidance scale from 0 on, or None.

    Raises:
        ArgumentError: it is less, infinite, or no number.

    Example:
        >>> checked_guidance(7)
        7.0
    """
    guidance = number_or_none(value)
    if value is not None and (guidance is None or not 0 <= guidance < math.inf):
        kind = "a number of " if guidance is None else ""
        raise ArgumentError(
            f"{caller()}: guidance_scale is {shown(value)} and must be {kind}0 or more; 1 and less "
            f"switch it off."
        )
    return guidance


def checked_seed(value: Any) -> int:
    """A seed that torch takes: a whole number in 0..2**63-1.

    Raises:
        ArgumentError: it lies outside, or is no whole number.

    Example:
        >>> checked_seed(3)
        3
    """
    seed = whole_or_none(value)
    if seed is None or not 0 <= seed < 2**63:
        kind = "be a whole number" if seed is None else "lie"
        cure = (
            " Give a seed in place of a generator." if "Generator" in type(value).__name__ else ""
        )
        raise ArgumentError(
            f"{caller()}: seed is {shown(value)} and must {kind} in 0..2**63-1.{cure}"
        )
    return seed
