from dataclasses import replace

import numpy as np
import pytest

from layer_of_maps import layer_of_maps
from regard.errors import ArgumentError
from regard.measures.words import Thresholds, unclaimed, word_table
from regard.trace import Trace, tokens_from_offsets, toy_trace
from words_of_maps import EVEN, LEFT, TOP, column, trace_of


def test_the_masses_of_the_toy_are_those_it_was_made_of():
    table = word_table(toy_trace())
    # in 32nds: an animal has 6 on half of the patches and 1 on the others
    expected = [16, 1, 3.5, 1, 1, 3.5, 4, 2]
    np.testing.assert_allclose(table["mass"] * 32, expected, rtol=1e-12)
    assert table["mass"].sum() == 1
    assert table["word"].tolist() == [
        "[start]",
        *["a", "cat", "and", "a#2", "dog"],
        "[end]",
        "[pad]",
    ]
    assert table["role"].tolist() == ["start", *["word"] * 5, "end", "pad"]
    assert table.attrs["units"] == {"mass": "share of attention", "entropy": "1"}


def test_the_entropy_of_the_toy_by_hand():
    entropy = column(word_table(toy_trace()), "entropy")
    assert entropy["and"] == pytest.approx(1)
    # the coarse map is enlarged to 4 columns: 6, 4.75, 2.25, 1; its mean with 6, 6, 1, 1:
    columns = np.array([6, 5.375, 1.625, 1]) / 14
    shares = np.repeat(columns / 4, 4)
    assert entropy["cat"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(16))


def test_layers_weigh_the_same_whatever_their_size():
    toy = toy_trace()
    fine, coarse = toy.layers.values()
    mixed = replace(toy, layers={"fine": fine, "coarse": coarse * 0.5})
    np.testing.assert_allclose(word_table(mixed)["mass"], word_table(toy)["mass"] * 0.75)


def test_a_word_of_several_tokens_has_the_mass_of_all():
    tokens = tokens_from_offsets("turtle", ["tur", "tle"], [(0, 3), (3, 6)], [False] * 2, end=None)
    maps = layer_of_maps(
        np.stack([LEFT, TOP])[None, None] / 8, steps=[0], timesteps=[0.0], tokens=[0, 1]
    )
    table = word_table(Trace({"mid": maps}, tokens, {}))
    assert table[["word", "mass"]].values.tolist() == [["turtle", 0.25]]


def test_verdicts_name_the_reason():
    weak = np.array([[0.0, 0.0], [0.0, 0.4]])
    table = word_table(trace_of(cat=LEFT, the=EVEN, faint=weak, kitty=LEFT * 0.9, dog=TOP))
    assert column(table, "verdict") == {
        "cat": "",
        "the": "looks redundant: near-uniform map",
        "faint": "looks redundant: little mass",
        "kitty": "looks redundant: duplicate of cat",
        "dog": "",
    }
    assert column(table, "duplicate_of") == dict.fromkeys(["cat", "the", "faint", "dog"], "") | {
        "kitty": "cat"
    }


def test_of_equal_twins_the_later_word_is_the_duplicate():
    assert column(word_table(trace_of(cat=LEFT, kitty=LEFT)), "duplicate_of") == {
        "cat": "",
        "kitty": "cat",
    }


def test_of_many_twins_the_heaviest_is_named():
    maps = {"kitty": LEFT * 0.8, "cat": LEFT, "tom": LEFT * 0.9}
    assert column(word_table(trace_of(**maps)), "duplicate_of") == {
        "kitty": "cat",
        "cat": "",
        "tom": "cat",
    }


def test_an_even_map_is_a_duplicate_of_nothing():
    assert set(word_table(trace_of(a=EVEN, the=EVEN))["duplicate_of"]) == {""}


def test_a_word_without_any_mass_looks_redundant_and_has_no_entropy():
    table = word_table(trace_of(cat=LEFT, nothing=LEFT * 0))
    assert np.isnan(column(table, "entropy")["nothing"])
    assert column(table, "verdict")["nothing"] == "looks redundant: little mass"


def test_a_single_word_is_never_of_little_mass():
    assert word_table(trace_of(cat=LEFT * 1e-3))["verdict"].tolist() == [""]


def test_thresholds_move_the_verdicts():
    trace = trace_of(cat=LEFT, kitty=LEFT * 0.9)
    strict = Thresholds(mass=0.99, correlation=1.1)
    assert column(word_table(trace, thresholds=strict), "verdict") == {
        "cat": "",
        "kitty": "looks redundant: little mass",
    }


def test_negative_thresholds_are_refused():
    with pytest.raises(
        ArgumentError, match=r"mass is -1.0 and must not be negative. The default is 0.25"
    ):
        Thresholds(mass=-1.0)
    with pytest.raises(ArgumentError, match="quantile is 90.0 and must lie in 0..1"):
        Thresholds(quantile=90.0)
    with pytest.raises(ArgumentError, match=r"agree is 0.5 and must be above 0.5"):
        Thresholds(agree=0.5)


def test_the_reason_given_for_the_entropy_threshold_holds():
    # a quarter of 256 patches with a quarter more weight than the rest
    weights = np.repeat([1.25, 1.0], [64, 192])
    shares = weights / weights.sum()
    share = -(shares * np.log(shares)).sum() / np.log(256)
    assert share == pytest.approx(Thresholds().entropy, abs=0.0002)


def test_without_a_verification_nothing_causal_is_said_of_a_word():
    for trace in (toy_trace(), trace_of(cat=LEFT, kitty=LEFT * 0.9, the=EVEN, dog=TOP)):
        said = set(word_table(trace)["verdict"])
        assert all(each == "" or each.startswith("looks redundant: ") for each in said)


def test_an_older_table_claims_nothing_without_a_verification_either():
    old = word_table(toy_trace()).assign(verdict=["", "matters", *["looks redundant: x"] * 6])
    assert unclaimed(old)["verdict"].tolist() == ["", "", *["looks redundant: x"] * 6]
    assert unclaimed(old).attrs == old.attrs
    verified = old.assign(pixel_distance=0.1, pad_pixel_distance=0.01)
    assert unclaimed(verified)["verdict"].tolist() == old["verdict"].tolist()
