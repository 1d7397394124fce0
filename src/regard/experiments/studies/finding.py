"""A claim that is written down before anything is measured, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from regard.stats.estimates import Estimate
from regard.stats.means import holm

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"

ALPHA = 0.05
"""The chance of even one false verdict among all hypotheses of a study."""

COLUMNS = [
    "name", "verdict", "claim", "predicted", "value", "low", "high", "unit", "n", "of", "p",
    "p_holm", "answer",
]  # fmt: skip


@dataclass(frozen=True)
class Hypothesis:
    """A claim, and which number on which side of which bound would bear it out.

    Attributes:
        name: Short, for tables.
        claim: What is said to be so, in one sentence.
        quantity: What is measured for it, in words.
        bound: The number that it is compared with.
        side: On which side of the bound the claim expects it.
        unit: Of the quantity and the bound.

    Example:
        >>> Hypothesis("rises", "It rises.", "the slope", 0.0).predicted
        'the slope, above 0'
    """

    name: str
    claim: str
    quantity: str
    bound: float
    side: Literal["above", "below"] = "above"
    unit: str = "1"

    @property
    def predicted(self) -> str:
        """What was expected, in words."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.quantity}, {self.side} {self.bound:g}{unit}"


@dataclass(frozen=True)
class Finding:
    """What was measured for a hypothesis.

    Attributes:
        hypothesis: What was claimed.
        measured: The quantity, with its interval and p against the bound.
        of: What was resampled for the interval: images or heads.
        facts: The numbers behind it, in plain sentences that fit every verdict.
    """

    hypothesis: Hypothesis
    measured: Estimate
    of: str
    facts: str


def table_of(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per hypothesis, with a Holm-adjusted p and a verdict.

    Args:
        findings: All of a study; p is adjusted for as many as have one.

    Returns:
        name, verdict, claim, predicted, value, low, high, unit, n, of, p, p_holm and answer.

    Example:
        >>> rises = Hypothesis("rises", "It rises.", "the slope", 0.0)
        >>> found = Finding(rises, Estimate(2.0, 1.0, 3.0, 9, 0.01), "images", "By 2.")
        >>> table_of([found])[["verdict", "answer"]].values.tolist()
        [['holds', 'It holds. By 2.']]
    """
    adjusted = holm([each.measured.p for each in findings])
    rows = []
    for found, p_holm in zip(findings, adjusted, strict=True):
        said, of = found.hypothesis, found.measured
        judged = verdict(said, of, float(p_holm))
        answer = ANSWERS[judged] if np.isfinite(of.value) else UNANSWERED
        rows.append(
            {
                "name": said.name, "verdict": judged, "claim": said.claim,
                "predicted": said.predicted, "value": of.value, "low": of.low, "high": of.high,
                "unit": said.unit, "n": of.n, "of": found.of, "p": of.p, "p_holm": p_holm,
                "answer": f"{answer} {found.facts}",
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


ANSWERS = {
    HOLDS: "It holds.",
    FAILS: "It fails: the number lies on the other side of the bound.",
    UNDECIDED: "It is not decided: the bound lies within reach of chance.",
}

UNANSWERED = "It cannot be decided: there are too few values."


def verdict(hypothesis: Hypothesis, measured: Estimate, p_holm: float) -> str:
    """Holds or fails where the whole interval and the adjusted p say so; else undecided.

    Example:
        >>> falls = Hypothesis("falls", "It falls.", "the slope", 0.0, "below")
        >>> [verdict(falls, Estimate(-1.0, low, 3.0 + low, 9, 0.0), 0.001) for low in (-5.0, 1.0)]
        ['holds', 'fails']
        >>> verdict(falls, Estimate(-1.0, -3.0, 1.0, 9, 0.5), 0.5)
        'undecided'
    """
    sign = 1 if hypothesis.side == "above" else -1
    ends = sign * (np.array([measured.low, measured.high]) - hypothesis.bound)
    if not (np.isfinite(ends).all() and p_holm <= ALPHA):
        return UNDECIDED
    if ends.min() > 0:
        return HOLDS
    return FAILS if ends.max() < 0 else UNDECIDED
