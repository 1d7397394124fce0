"""Nudge: Attend-and-Excite made cheaper, by short updates in every other step."""

import math
from collections.abc import Sequence

from regard.arguments import flag, number_or_none, shown, whole
from regard.errors import ArgumentError
from regard.methods.excite import (
    SCALE_RANGE,
    Competition,
    Excite,
    first_half,
    lengths,
    rivals_of,
)
from regard.methods.guide import Guide
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where, listed_words
from regard.methods.word_maps import Size, WordMaps, check_grid


@method(where=("steps",))
def nudge(
    words: str | Sequence[str],
    *,
    where: Where = EVERYWHERE,
    every: int = 2,
    scale_factor: float = 10.0,
    carriers: bool = True,
    grid: Size = None,
) -> Plan:
    """Update the latents a little, in every other step, so that each word has an image region.

    As Attend-and-Excite updates them: down the gradient of the loss max over words of 1 - peak. But
    the token after a word counts as the word's, updates are short, and nothing is refined.

    Args:
        words: Subjects of the prompt, ``cat#2`` for the second cat. A word of several tokens has
            the sum of their maps.
        where: The steps between which there are updates, by default the first half; see `Where`.
        every: How many steps lie between one update and the next, from the first step on.
        scale_factor: Length of an update, times its gradient; it falls to 0.7 of that until the
            last step.
        carriers: Whether the token after a word counts as the word's too: a causal text encoder
            may leave it there. See `regard.trace.Prompt.carriers`.
        grid: Rows and columns of the layers whose maps are read, or one number for both; None for
            the smallest grid with sides of 16 or more, or the finest one.

    Returns:
        A method. An update costs as much as one or one and a half steps.

    Raises:
        ArgumentError: no words, or a number out of its range; in a run, steps that it lacks, or no
            layer of that grid attends to the text.
        UnknownName: in a run, a word that the prompt lacks.

    Example:
        >>> nudge(["cat", "dog"], every=3).recipe()
        {'method': 'nudge', 'words': ['cat', 'dog'], 'every': 3}

    Source:
        Our own, after Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance
        for Text-to-Image Diffusion Models", arXiv 2301.13826, section 3.
    """
    names = listed_words(words, "nudge")
    for name, given, least in (("every", every, 1), ("scale_factor", scale_factor, 0)):
        value = number_or_none(given)
        if value is None or not least <= value < math.inf:
            raise ArgumentError(f"nudge: {name} is {shown(given)} and must be {least} or more.")
    every = whole(every, "every", "nudge")
    flag(carriers, "carriers", "nudge")
    check_grid("nudge", grid)

    def plan(run: Run) -> Changes:
        where.check(run, "nudge")
        span = (where.span or first_half(run.steps))[::every]
        own = run.prompt.carriers(names) if carriers else [run.prompt.spelled([w]) for w in names]
        rivals, factors = rivals_of(run), lengths(scale_factor, SCALE_RANGE, run.steps)
        maps = WordMaps(rivals, grid)
        excite = Excite(Competition(own, rivals), maps, span, {}, factors, most=0)
        return Changes(guide=Guide(latents=excite), first_step=span.start)

    return plan
