"""Nudge: Attend-and-Excite made cheaper, by short moves in every other step."""

import math
from collections.abc import Sequence

from regard.arguments import number_or_none, shown, whole
from regard.errors import ArgumentError
from regard.methods.attend_and_excite import (
    SCALE_RANGE,
    Excite,
    Places,
    first_half,
    lengths,
    rivals_of,
)
from regard.methods.guide import Guide
from regard.methods.method import Changes, Plan, Run, method
from regard.methods.where import Steps, Where, listed
from regard.methods.word_maps import Size, WordMaps, check_grid


@method
def nudge(
    words: str | Sequence[str],
    *,
    steps: Steps = None,
    every: int = 2,
    scale_factor: float = 10.0,
    carriers: bool = True,
    grid: Size = None,
) -> Plan:
    """Move the latents a little, in every other step, so that all of some words find a place.

    As Attend-and-Excite moves them: down the gradient of the loss max over words of 1 - peak. But
    the token after a word counts as the word's, moves are short, and nothing is refined.

    Args:
        words: Subjects of the prompt, ``cat#2`` for the second cat. A word of several tokens has
            the sum of their maps.
        steps: From which step to which: one, a range, or its two ends; None for the first half.
        every: How many steps lie between one move and the next, from the first step on.
        scale_factor: Length of a move, times its gradient; it falls to 0.7 of that until the last
            step.
        carriers: Whether the token after a word counts as the word's too: a causal text encoder
            may leave it there. See `regard.trace.Prompt.carriers`.
        grid: Rows and columns of the layers whose maps are read, or one number for both; None for
            the smallest grid with sides of 16 or more, or the finest that there is.

    Returns:
        A method. A move costs as much as one or one and a half steps.

    Raises:
        ArgumentError: no words, or a number that cannot be; in a run, steps that it has not, or no
            layer of that grid reads the text.
        UnknownName: in a run, a word that the prompt has not.

    Example:
        >>> nudge(["cat", "dog"], every=3).recipe()
        {'method': 'nudge', 'words': ['cat', 'dog'], 'every': 3}

    Source:
        Our own, after Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance
        for Text-to-Image Diffusion Models", arXiv 2301.13826, section 3.
    """
    asked, where = listed(words, "nudge"), Where("nudge", steps)
    for name, given, least in (("every", every, 1), ("scale_factor", scale_factor, 0)):
        value = number_or_none(given)
        if value is None or not least <= value < math.inf:
            raise ArgumentError(f"nudge: {name} is {shown(given)} and must be {least} or more.")
    every = whole(every, "every", "nudge")
    check_grid("nudge", grid)

    def plan(run: Run) -> Changes:
        where.check(run)
        span = (where.span or first_half(run.steps))[::every]
        own = run.prompt.carriers(asked) if carriers else [run.prompt.spelled([w]) for w in asked]
        places, factors = Places(own, rivals_of(run)), lengths(scale_factor, SCALE_RANGE, run.steps)
        excite = Excite(places, WordMaps(places.rivals, grid), span, {}, factors, most=0)
        return Changes(guide=Guide(latents=excite), first_step=span.start)

    return plan
