import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regard.errors import ArgumentError, UnknownName
from regard.measures.verdicts import judge, pixel_distance, verdicts
from regard.measures.words import Thresholds, word_table
from regard.stats.ends import wilson
from words_of_maps import EVEN, LEFT, TOP, column, trace_of

PADS = [("[pad]", "control", 0.01 * place, "same") for place in range(11)]


def rows(*found, seed=0):
    """What hiding things changed: (word, kind, distance, what is seen)."""
    return pd.DataFrame(
        [
            {"word": word, "seed": seed, "kind": kind, "distance": distance,
             "pixel_distance": 0.0 if np.isnan(distance) else distance / 10, "seen": seen}
            for word, kind, distance, seen in found
        ]
    )  # fmt: skip


def test_a_verification_says_what_was_needed_whatever_the_maps_made_one_suspect():
    table = word_table(trace_of(cat=LEFT, kitty=LEFT * 0.9, the=EVEN, dog=TOP, rest=EVEN))
    verification = rows(
        ("cat", "word", 0.3, "cat -> nothing"),
        ("kitty", "word", 0.02, "same"),
        ("the", "word", 0.5, "same"),
        ("dog", "word", 0.0, "same"),
        *PADS,
    )
    judged = judge(table, verification)
    assert column(judged, "verdict") == {
        "cat": "needed at this seed",
        "kitty": "redundant at this seed",
        "the": "needed at this seed",
        "dog": "redundant at this seed",
        "rest": "looks redundant: near-uniform map",
    }
    assert column(judged, "suspicion") == {
        "cat": "",
        "kitty": "looks redundant: duplicate of cat",
        "the": "looks redundant: near-uniform map",
        "dog": "",
        "rest": "looks redundant: near-uniform map",
    }
    assert judged["word"].tolist() == table["word"].tolist()
    assert column(judged, "seen")["rest"] == ""
    assert np.isnan(column(judged, "distance")["rest"])
    assert judged.attrs["units"]["pixel_distance"] == "share of full scale"
    assert column(table, "verdict")["cat"] == ""
    assert "seen" not in table


def needed(*found, **limits):
    told = verdicts(rows(*found, *PADS), thresholds=Thresholds(**limits))
    return dict(zip(told["word"], told["needed"], strict=True))


def test_what_is_seen_to_change_was_needed_however_little_else_did():
    assert needed(("the", "word", 0.021, "blue car -> red car")) == {"the": True}
    assert needed(("the", "word", np.nan, "blue car -> red car")) == {"the": True}


def test_what_flickers_in_an_image_that_looks_the_same_is_no_evidence():
    assert needed(("the", "word", 0.019, "blue car -> red car")) == {"the": False}


def test_what_hiding_padding_makes_seen_too_is_no_evidence():
    flicker = "cat, bow -> cat"
    verification = rows(("the", "word", 0.03, flicker), ("[pad]", "control", 0.03, flicker))
    assert verdicts(verification)["needed"].tolist() == [False]
    other = rows(("the", "word", 0.03, "cat, bow -> bow"), ("[pad]", "control", 0.03, flicker))
    assert verdicts(other)["needed"].tolist() == [True]


def test_a_distance_is_held_against_the_quantile_of_the_controls_of_its_seed():
    # The distances of eleven pads are 0.00 to 0.10, and their 0.9 quantile is 0.09 by counting.
    found = [("a", "word", 0.089, "same"), ("b", "word", 0.091, "same")]
    assert needed(*found, distance=0.0) == {"a": False, "b": True}
    assert needed(*found, distance=0.0, quantile=1.0) == {"a": False, "b": False}
    assert needed(*found, distance=0.0, quantile=0.5) == {"a": True, "b": True}
    # One seed's controls say nothing of another's.
    quiet = pd.concat([rows(*found, *PADS), rows(found[0], ("[pad]", "control", 0.0, ""), seed=1)])
    told = verdicts(quiet, thresholds=Thresholds(distance=0.0))
    assert told["needed"].tolist() == [False, True, True]
    assert told["threshold"].tolist() == pytest.approx([0.09, 0.09, 0.0])


def test_a_change_that_nobody_sees_is_none_even_if_padding_changed_nothing():
    verification = rows(("the", "word", 0.099, "same"), ("[pad]", "control", 0.0, "same"))
    assert verdicts(verification)["needed"].tolist() == [False]


def test_pixels_come_last():
    far = rows(("the", "word", np.nan, "")).assign(pixel_distance=0.3)
    assert verdicts(far)[["needed", "because"]].values.tolist() == [[True, "pixels"]]
    assert verdicts(far.assign(pixel_distance=0.059))["needed"].tolist() == [False]
    # A background that goes, which the encoder hardly minds, is a change all the same.
    assert verdicts(far.assign(distance=0.05))["because"].tolist() == ["pixels"]
    assert verdicts(far.assign(distance=0.2))["because"].tolist() == ["distance"]
    assert verdicts(far.assign(distance=0.2, seen="cat -> dog"))["because"].tolist() == ["seen"]


def test_words_that_stand_in_for_one_another_are_needed_together():
    table = word_table(trace_of(big=LEFT, large=TOP, dog=TOP.T))
    verification = rows(
        ("big", "word", 0.0, "same"),
        ("large", "word", 0.0, "same"),
        ("dog", "word", 0.0, "same"),
        ("big + large + dog", "together", 0.5, "same"),
        ("big + large", "together", 0.4, "same"),
        ("large + dog", "together", 0.0, "same"),
    )
    judged = judge(table, verification)
    assert column(judged, "verdict") == {
        "big": "redundant beside large at this seed; together needed",
        "large": "redundant beside big at this seed; together needed",
        "dog": "redundant at this seed",
        "big + large + dog": "needed together at this seed",
        "big + large": "needed together at this seed",
        "large + dog": "redundant together at this seed",
    }
    assert column(judged, "role")["big + large"] == "together"
    assert np.isnan(column(judged, "mass")["big + large"])


def test_words_may_be_needed_together_at_some_seeds_alone():
    table = word_table(trace_of(big=LEFT, large=TOP))
    verification = pd.concat(
        [
            rows(
                ("big", "word", 0.0, "same"),
                ("large", "word", 0.0, "same"),
                ("big + large", "together", 0.4 * seed, "same"),
                seed=seed,
            )
            for seed in range(2)
        ]
    )
    assert column(judge(table, verification), "verdict") == {
        "big": "redundant beside large; together depends on the seed: redundant at 1 of 2",
        "large": "redundant beside big; together depends on the seed: redundant at 1 of 2",
        "big + large": "depends on the seed: redundant at 1 of 2",
    }


def test_a_word_is_redundant_only_where_the_seeds_agree():
    table = word_table(trace_of(cat=LEFT, the=TOP, red=TOP.T))
    verification = pd.concat(
        [
            rows(
                ("cat", "word", 0.5, "cat -> nothing"),
                ("the", "word", 0.01, "same"),
                ("red", "word", 0.01 if seed else 0.2, "same"),
                seed=seed,
            )
            for seed in range(4)
        ]
    )
    judged = judge(table, verification).set_index("word")
    assert judged["verdict"].to_dict() == {
        "cat": "needed",
        "the": "redundant",
        "red": "depends on the seed: redundant at 3 of 4",
    }
    assert judged["seeds"].tolist() == [4, 4, 4]
    assert judged["redundant_share"].tolist() == [0.0, 1.0, 0.75]
    # Newcombe (1998) and the definition, for 3 of 4: (3 + z*z/2 ± z*sqrt(3/4 + z*z/4)) / (4 + z*z)
    z = 1.959963984540054
    centre, half = 3 + z * z / 2, z * np.sqrt(3 / 4 + z * z / 4)
    low, high = (centre - half) / (4 + z * z), (centre + half) / (4 + z * z)
    assert judged.loc["red", ["share_low", "share_high"]].tolist() == pytest.approx([low, high])
    loose = judge(table, verification, thresholds=Thresholds(agree=0.75)).set_index("word")
    assert loose.loc["red", "verdict"] == "redundant"


@pytest.mark.parametrize("trials", [1, 2, 5, 40])
def test_an_interval_of_a_share_is_the_one_of_scipy(trials):
    for successes in range(trials + 1):
        reference = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        found = wilson(np.array(successes / trials), np.array(float(trials)), 0.95)
        assert tuple(found) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_the_own_key_explains_and_decides_nothing():
    table = word_table(trace_of(cat=LEFT))
    verification = rows(("cat", "word", 0.0, "same"), ("cat", "own key", 0.9, "cat -> nothing"))
    judged = judge(table, verification)
    assert judged["verdict"].tolist() == ["redundant at this seed"]
    assert judged["own_key_distance"].tolist() == [0.9]


def test_judging_twice_is_judging_once():
    table = word_table(trace_of(cat=LEFT, the=EVEN))
    verification = rows(
        ("cat", "word", 0.0, "same"),
        ("the", "word", 0.0, "same"),
        ("cat + the", "together", 0.0, "same"),
    )
    once = judge(table, verification)
    pd.testing.assert_frame_equal(judge(once, verification), once)


def test_a_verification_that_does_not_fit_is_refused():
    table = word_table(trace_of(cat=LEFT))
    good = rows(("cat", "word", 0.1, "same"))
    with pytest.raises(ArgumentError, match="no column 'seen'; it has"):
        judge(table, good.drop(columns="seen"))
    with pytest.raises(ArgumentError, match="pixel_distance has a value that is no number"):
        judge(table, good.assign(pixel_distance=np.nan))
    with pytest.raises(
        ArgumentError, match="kind is 'pad' and must be one of word, together, control"
    ):
        judge(table, good.assign(kind="pad"))
    with pytest.raises(ArgumentError, match="the verification has no word"):
        judge(table, good.assign(kind="control"))
    with pytest.raises(ArgumentError, match="the verification has 'cat' twice at one seed"):
        judge(table, pd.concat([good, good]))
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        judge(table, good.assign(word="dog"))


def test_black_is_one_away_from_white_and_the_order_does_not_matter():
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8)
    assert pixel_distance(black, white) == pixel_distance(white, black) == 1
    assert pixel_distance(white, white) == 0


def test_images_of_different_sizes_are_refused():
    with pytest.raises(ArgumentError, match=r"shapes are \(2, 2, 3\) and \(4, 4, 3\)"):
        pixel_distance(np.zeros((2, 2, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))
