"""What decides an image, checked before any model runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regard.arguments import listed, number_or_none, pair, shown, whole_or_none
from regard.errors import ArgumentError, PromptError

Progress = Callable[[int, int], None]
"""Called after each step with the steps done and the steps there are."""


@dataclass(frozen=True)
class Settings:
    """What decides an image, beside the model.

    Args:
        prompt: What to draw.
        negative_prompt: What to keep away from; empty for nothing. FLUX is guided in two halves
            only where there is one; else its guidance is a number to draw by.
        seed: Of the generator that draws the first noise.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance; up to 1 is off.
        size: Rows and columns of the image in pixels; None for the model's own.
        caller: Who asks, for messages.

    Raises:
        PromptError: the prompt is empty, or no text.
        ArgumentError: a number lies outside what it may be.

    Example:
        >>> Settings("a cat", seed=0, steps=0)
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: look: steps is 0 and must be 1 or more; 30 is usual.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    steps: int = 30
    guidance: float = 4.0
    size: tuple[int, int] | int | None = None
    caller: str = "look"

    def __post_init__(self) -> None:
        who = self.caller
        _check_text(self.prompt, "prompt", who)
        _check_text(self.negative_prompt, "negative prompt", who)
        if not self.prompt.strip():
            raise PromptError(
                f"{who}: the prompt is empty and needs at least one word. "
                "Say what to draw, such as 'a cat on the beach'."
            )
        steps, seed = whole_or_none(self.steps), whole_or_none(self.seed)
        if steps is None or steps < 1:
            kind = "a whole number of " if steps is None else ""
            raise ArgumentError(
                f"{who}: steps is {shown(self.steps)} and must be {kind}1 or more; 30 is usual."
            )
        guidance = number_or_none(self.guidance)
        if guidance is None or not 0 <= guidance < math.inf:
            kind = "a number of " if guidance is None else ""
            raise ArgumentError(
                f"{who}: guidance is {shown(self.guidance)} and must be {kind}0 or more; "
                f"4 is usual, 1 and less switch it off."
            )
        if seed is None or not 0 <= seed < 2**63:
            kind = "be a whole number" if seed is None else "lie"
            raise ArgumentError(f"{who}: seed is {shown(self.seed)} and must {kind} in 0..2**63-1.")
        size = _checked_size(self.size, who)
        for name, value in (("steps", steps), ("seed", seed), ("guidance", guidance)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "size", size)


def _checked_size(size: Any, who: str) -> tuple[int, int] | None:
    sides = [whole_or_none(side) for side in (listed(size) or [])]
    if len(sides) == 2 and None not in sides and min(side or 0 for side in sides) < 1:
        raise ArgumentError(f"{who}: size is {size} and both sides must be 1 or more.")
    return pair(size, "size", who, both=True, cure="Leave it out for the model's own.")


def _check_text(text: Any, name: str, who: str) -> None:
    if not isinstance(text, str):
        several = " One prompt makes one image: call again for each." if listed(text) else ""
        raise PromptError(
            f"{who}: the {name} is {shown(text)} and must be a text, such as 'a cat on the beach'."
            f"{several}"
        )
    try:
        text.encode()
    except UnicodeEncodeError as failed:
        raise PromptError(
            f"{who}: the {name} has bytes that are no UTF-8 text, at character {failed.start}. "
            f"Type it again, or set the terminal to UTF-8."
        ) from failed
