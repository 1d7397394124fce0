"""Attend-and-Excite: update the latents until every word has an image region of its own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regard.arguments import flag, listed, number_or_none, shown, whole, whole_or_none
from regard.errors import ArgumentError
from regard.methods.excite import (
    SCALE_RANGE,
    SMOOTHING,
    Competition,
    Excite,
    first_half,
    lengths,
    rivals_of,
    scaled_step,
)
from regard.methods.guide import Guide
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where, listed_words
from regard.methods.word_maps import Size, WordMaps, check_grid

THRESHOLDS = {0: 0.05, 10: 0.5, 20: 0.8}
"""Of the paper, from steps of its 50 to peaks."""


@method(where=("steps",))
def attend_and_excite(
    words: str | Sequence[str],
    *,
    where: Where = EVERYWHERE,
    thresholds: Mapping[int, float] | Mapping[str, float] | None = None,
    scale_factor: float = 20.0,
    scale_range: Sequence[float] = SCALE_RANGE,
    max_refinements: int = 20,
    smoothing: float = SMOOTHING,
    padding: bool | None = None,
    carriers: bool = False,
    grid: Size = None,
) -> Plan:
    """Update the latents before a step so that each of some words has a strong peak in its map.

    Before each step there is a forward pass of the conditional branch on the latents, up to the
    last layer of the grid; the latents then go down the gradient of the loss max over words of
    1 - peak. At the steps of ``thresholds`` that is repeated until all peaks reach the threshold.

    Args:
        words: Subjects of the prompt, ``cat#2`` for the second cat. A word of several tokens has
            the sum of their maps.
        where: The steps with an update, by default the first half; see `Where`.
        thresholds: From a step to the peak, 0..1, that its refinement must reach; None for 0.05,
            0.5 and 0.8 at the beginning and after one and two fifths of the run; {} for none.
        scale_factor: Length of an update, times its gradient.
        scale_range: What it is multiplied by at the first step and at the last: the square root of
            a number that goes from one to the other.
        max_refinements: Updates of a refinement at most.
        smoothing: Sigma of the 3 x 3 kernel that smooths maps before the peak is taken; 0 for none.
        padding: Whether the end of the text and the tokens after it compete for image regions, too;
            None: for a UNet whose text encoder pads with its end token, as Stable Diffusion 1.
        carriers: Whether the token after a word counts as the word's too: a causal text encoder
            may leave it there. See `regard.trace.Prompt.carriers`.
        grid: Rows and columns of the layers whose maps are read, or one number for both; None for
            the smallest grid with sides of 16 or more, or the finest one.

    Returns:
        A method.

    Raises:
        ArgumentError: no words, or a number out of its range; in a run, steps that it lacks, or no
            layer of that grid attends to the text.
        UnknownName: in a run, a word that the prompt lacks.

    Example:
        >>> attend_and_excite(["cat", "dog"], thresholds={0: 0.5}).recipe()
        {'method': 'attend-and-excite', 'words': ['cat', 'dog'], 'thresholds': {'0': 0.5}}

    Source:
        Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance for
        Text-to-Image Diffusion Models", arXiv 2301.13826, section 3 and algorithm 1.

    Differs from the paper:
        Any scheduler, as gradients go through its scaling of the inputs; batches, in which each
        image stops refining on its own; the forward pass ends at the last layer that is read, which
        changes no result. As in the published code, the step size follows a square root.
    """
    names = listed_words(words, "attend_and_excite")
    targets = _targets(thresholds)
    _check(scale_factor, scale_range, max_refinements, smoothing)
    flag(carriers, "carriers", "attend_and_excite")
    check_grid("attend_and_excite", grid)

    def plan(run: Run) -> Changes:
        where.check(run, "attend_and_excite")
        span = where.span or first_half(run.steps)
        aims = _aims(targets, run.steps)
        spelled = [run.prompt.spelled([word]) for word in names]
        own = run.prompt.carriers(names) if carriers else spelled
        rivals = rivals_of(run, padding)
        factors = lengths(scale_factor, scale_range, run.steps)
        excite = Excite(
            Competition(own, rivals),
            WordMaps(rivals, grid),
            span,
            aims,
            factors,
            max_refinements,
            smoothing,
        )
        return Changes(guide=Guide(latents=excite), first_step=min([span.start, *aims]))

    return plan


# Inside


def _aims(targets: dict[int, float] | None, steps: int) -> dict[int, float]:
    """The thresholds of a run of as many steps.

    Raises:
        ArgumentError: one is for a step that the run does not have.
    """
    if targets is None:
        return _usual(steps)
    late = [step for step in targets if step >= steps]
    if late:
        raise ArgumentError(
            f"attend_and_excite: a threshold is for step {late[0]}, and the run has "
            f"{steps}: 0..{steps - 1}."
        )
    return targets


def _usual(steps: int) -> dict[int, float]:
    """The thresholds of the paper in a run of any length."""
    scaled = {scaled_step(step, steps): aim for step, aim in THRESHOLDS.items()}
    return {step: aim for step, aim in scaled.items() if step < steps}


def _targets(
    thresholds: Mapping[int, float] | Mapping[str, float] | None,
) -> dict[int, float] | None:
    if thresholds is None:
        return None
    if not isinstance(thresholds, Mapping):
        raise ArgumentError(
            f"attend_and_excite: thresholds is {shown(thresholds)} and must give steps their "
            f"thresholds, such as {{0: 0.05}}."
        )
    targets: dict[int, float] = {}
    for step, aim in thresholds.items():
        as_text = isinstance(step, str) and step.isascii() and step.isdigit()
        number = int(step) if as_text else whole_or_none(step)
        value = number_or_none(aim)
        if number is None or number < 0 or value is None or not 0 <= value <= 1:
            raise ArgumentError(
                f"attend_and_excite: the threshold of step {step} is {shown(aim)}. Steps count "
                f"from 0, and thresholds lie in 0..1."
            )
        targets[number] = value
    return targets


def _at_least_0(value: Any) -> bool:
    number = number_or_none(value)
    return number is not None and 0 <= number < math.inf


def _check(factor: float, scale_range: Sequence[float], refinements: int, smoothing: float) -> None:
    ends = None if isinstance(scale_range, str) else listed(scale_range)
    wanted = {
        "scale_factor": (factor, _at_least_0(factor)),
        "scale_range": (scale_range, len(ends or ()) == 2 and all(map(_at_least_0, ends or ()))),
        "max_refinements": (refinements, (whole_or_none(refinements) or 0) >= 0),
        "smoothing": (smoothing, _at_least_0(smoothing)),
    }
    whole(refinements, "max_refinements", "attend_and_excite")
    for name, (given, right) in wanted.items():
        if not right:
            raise ArgumentError(
                f"attend_and_excite: {name} is {shown(given)} and must be 0 or more"
                f"{', two numbers' if name == 'scale_range' else ''}."
            )
