"""What decides an image, checked before any model runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

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
    size: tuple[int, int] | None = None
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
        if self.steps < 1:
            raise ArgumentError(f"{who}: steps is {self.steps} and must be 1 or more; 30 is usual.")
        if not 0 <= self.guidance < math.inf:
            raise ArgumentError(
                f"{who}: guidance is {self.guidance} and must be 0 or more; "
                f"4 is usual, 1 and less switch it off."
            )
        if not 0 <= self.seed < 2**63:
            raise ArgumentError(f"{who}: seed is {self.seed} and must lie in 0..2**63-1.")
        if self.size is not None and min(self.size) < 1:
            raise ArgumentError(f"{who}: size is {self.size} and both sides must be 1 or more.")


def _check_text(text: str, name: str, who: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as failed:
        raise PromptError(
            f"{who}: the {name} has bytes that are no UTF-8 text, at character {failed.start}. "
            f"Type it again, or set the terminal to UTF-8."
        ) from failed
