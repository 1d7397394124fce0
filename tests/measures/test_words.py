from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regard.errors import ArgumentError, UnknownName
from regard.measures.words import Thresholds, judge, pixel_distance, word_table
from regard.trace import Trace, layer_maps, tokens_from_offsets, toy_trace

LEFT = np.array([[2.0, 0.0], [2.0, 0.0]])
EVEN = np.array([[1.0, 1.0], [1.0, 1.0]])
TOP = np.array([[2.0, 2.0], [0.0, 0.0]])


def trace_of(**maps):
    """A trace of one step, head and 2x2 layer, in which each word has the map that is given."""
    prompt = " ".join(maps)
    starts = np.cumsum([0, *(len(word) + 1 for word in maps)])
    tokens = tokens_from_offsets(
        prompt,
        list(maps),
        [(int(start), int(start) + len(word)) for start, word in zip(starts, maps, strict=False)],
        [False] * len(maps),
        end=None,
    )
    stacked = np.stack(list(maps.values()))[None, None]
    layer = layer_maps(stacked, steps=[0], timesteps=[0.0], tokens=range(len(maps)))
    return Trace({"mid": layer}, tokens, {"prompt": prompt})


def column(table, name):
    return dict(zip(table["word"], table[name], strict=True))


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
    maps = layer_maps(
        np.stack([LEFT, TOP])[None, None] / 8, steps=[0], timesteps=[0.0], tokens=[0, 1]
    )
    table = word_table(Trace({"mid": maps}, tokens, {}))
    assert table[["word", "mass"]].values.tolist() == [["turtle", 0.25]]


def test_verdicts_name_the_reason():
    weak = np.array([[0.0, 0.0], [0.0, 0.4]])
    table = word_table(trace_of(cat=LEFT, the=EVEN, faint=weak, kitty=LEFT * 0.9, dog=TOP))
    assert column(table, "verdict") == {
        "cat": "matters",
        "the": "looks redundant: near-uniform map",
        "faint": "looks redundant: little mass",
        "kitty": "looks redundant: duplicate of cat",
        "dog": "matters",
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
    assert word_table(trace_of(cat=LEFT * 1e-3))["verdict"].tolist() == ["matters"]


def test_thresholds_move_the_verdicts():
    trace = trace_of(cat=LEFT, kitty=LEFT * 0.9)
    strict = Thresholds(mass=0.99, correlation=1.1)
    assert column(word_table(trace, thresholds=strict), "verdict") == {
        "cat": "matters",
        "kitty": "looks redundant: little mass",
    }


def test_negative_thresholds_are_refused():
    with pytest.raises(
        ArgumentError, match=r"mass is -1.0 and must not be negative. The default is 0.25"
    ):
        Thresholds(mass=-1.0)


def test_the_reason_given_for_the_entropy_threshold_holds():
    # a quarter of 256 patches with a quarter more weight than the rest
    weights = np.repeat([1.25, 1.0], [64, 192])
    shares = weights / weights.sum()
    share = -(shares * np.log(shares)).sum() / np.log(256)
    assert share == pytest.approx(Thresholds().entropy, abs=0.0002)


def proof_of(**rows):
    """word=(pixel distance, what the segmenter saw change); a pad changes 0.01."""
    table = pd.DataFrame(rows, index=["pixel_distance", "segmenter"]).T.rename_axis("word")
    return table.reset_index().astype({"pixel_distance": float}).assign(pad_pixel_distance=0.01)


def test_a_proof_confirms_or_overturns_each_verdict():
    table = word_table(
        trace_of(cat=LEFT, kitty=LEFT * 0.9, the=EVEN, dog=TOP, rest=TOP.T * 0 + EVEN)
    )
    proof = proof_of(
        cat=(0.3, "no cat"), kitty=(0.02, "same"), the=(0.021, "same"), dog=(0.0, "same")
    )
    judged = judge(table, proof)
    assert column(judged, "verdict") == {
        "cat": "matters",
        "kitty": "redundant",
        "the": "looks redundant, but matters",
        "dog": "redundant, though it looks important",
        "rest": "looks redundant: near-uniform map",
    }
    assert judged["word"].tolist() == table["word"].tolist()
    assert column(judged, "segmenter")["rest"] == ""
    assert np.isnan(column(judged, "pixel_distance")["rest"])
    assert judged.attrs["units"]["pixel_distance"] == "share of full scale"
    assert column(table, "verdict")["cat"] == "matters"
    assert "segmenter" not in table


def test_what_the_segmenter_misses_matters_however_few_pixels_changed():
    table = word_table(trace_of(the=EVEN))
    judged = judge(table, proof_of(the=(0.001, "car: blue -> red")))
    assert judged["verdict"].tolist() == ["looks redundant, but matters"]


def test_a_change_that_nobody_sees_is_none_even_if_the_pad_changed_nothing():
    table = word_table(trace_of(the=EVEN))
    proof = proof_of(the=(0.003, "same")).assign(pad_pixel_distance=0.0)
    assert judge(table, proof)["verdict"].tolist() == ["redundant"]


def test_without_a_segmenter_the_pixels_decide():
    table = word_table(trace_of(the=EVEN, cat=LEFT))
    proof = proof_of(the=(0.01, ""), cat=(0.5, "")).drop(columns="segmenter")
    assert judge(table, proof)["verdict"].tolist() == ["redundant", "matters"]


def test_judging_twice_is_judging_once():
    table = word_table(trace_of(cat=LEFT, the=EVEN))
    proof = proof_of(cat=(0.0, "same"), the=(0.0, "same"))
    once = judge(table, proof)
    pd.testing.assert_frame_equal(judge(once, proof), once)


def test_a_proof_that_does_not_fit_is_refused():
    table = word_table(trace_of(cat=LEFT))
    good = proof_of(cat=(0.1, "same"))
    with pytest.raises(ArgumentError, match="no column 'pad_pixel_distance'; it has"):
        judge(table, good.drop(columns="pad_pixel_distance"))
    with pytest.raises(ArgumentError, match="pixel_distance has a value that is no number"):
        judge(table, good.assign(pixel_distance=np.nan))
    with pytest.raises(ArgumentError, match="the proof has 'cat' twice"):
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
