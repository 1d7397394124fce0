from pathlib import Path

import numpy as np
import pytest

from regard.experiments.studies.finding import Finding, Hypothesis, table_of, verdict
from regard.experiments.studies.hypotheses import ALL
from regard.stats.estimates import UNKNOWN, Estimate

PAGE = Path(__file__).parents[2] / "docs/explanation/what-the-fashion-vit-study-found.md"
RISES = Hypothesis("rises", "It rises.", "the slope", 0.5, unit="px")


def estimate(low, high, p=0.001):
    return Estimate((low + high) / 2, low, high, 9, p)


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.6, 0.8, 0.05, "holds"),
        (0.6, 0.8, 0.06, "undecided"),  # the interval says so, the adjusted p does not
        (0.4, 0.8, 0.01, "undecided"),  # the bound lies within
        (0.5, 0.8, 0.01, "undecided"),  # an end on the bound is not beyond it
        (0.1, 0.4, 0.01, "fails"),
        (0.1, 0.4, 0.50, "undecided"),
        (np.nan, 0.8, 0.01, "undecided"),
        (0.6, 0.8, np.nan, "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval_and_p(low, high, p, expected):
    assert verdict(RISES, estimate(low, high), p) == expected


def test_below_is_the_mirror_of_above():
    falls = Hypothesis("falls", "It falls.", "the slope", -0.5, "below")
    assert verdict(falls, estimate(-0.8, -0.6), 0.01) == "holds"
    assert verdict(falls, estimate(-0.4, -0.1), 0.01) == "fails"


def test_p_is_adjusted_for_the_number_of_hypotheses():
    # Holm: the least of three p is taken three times, the next twice, and none falls below it.
    found = [Finding(RISES, estimate(0.6, 0.8, p), "images", "") for p in (0.02, 0.04, 0.001)]
    table = table_of(found)
    np.testing.assert_allclose(table["p_holm"], [0.04, 0.04, 0.003])
    assert table["verdict"].tolist() == ["holds"] * 3


def test_what_could_not_be_measured_is_neither_counted_nor_judged():
    table = table_of(
        [
            Finding(RISES, UNKNOWN, "images", "No image was wrong."),
            Finding(RISES, estimate(0.6, 0.8, 0.05), "images", ""),
        ]
    )
    assert table["verdict"].tolist() == ["undecided", "holds"]
    assert table["p_holm"].isna().tolist() == [True, False]
    assert table["p_holm"][1] == 0.05
    said = "It cannot be decided: there are too few values. No image was wrong."
    assert table["answer"][0] == said


def test_a_failure_is_told_as_plainly_as_a_success():
    table = table_of([Finding(RISES, estimate(0.1, 0.2), "images", "It is 0.15.")])
    assert table["answer"][0].startswith("It fails: the number lies on the other side of the bound")
    assert table["predicted"][0] == "the slope, above 0.5 px"


def test_the_hypotheses_have_names_of_their_own():
    assert len({each.name for each in ALL}) == len(ALL) >= 8
    assert all(each.claim.endswith(".") and each.quantity for each in ALL)


def test_the_page_of_the_study_quotes_its_claims():
    page = PAGE.read_text()
    assert [each.claim for each in ALL if each.claim not in page] == []
    assert [each.predicted for each in ALL if each.predicted not in page] == []
