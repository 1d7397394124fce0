import numpy as np
import pytest
import xarray as xr

from looks import PROMPT, generated, pipeline, seen
from regard.errors import ArgumentError, UnknownName
from regard.explain import Head, Region, Word, knock_out
from regard.explain.blame import unread
from regard.generation import Request
from regard.tap import Select, Tap, hide

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
LEFT = xr.DataArray(np.tile(np.arange(8) < 4, (8, 1)), dims=["y", "x"])
RUN = {"num_inference_steps": 2, "controls": 3}


def change(edit, where):
    """Inside and outside, by drawing one image at a time."""
    with Tap(pipeline(), edit=[edit]):
        (made,) = generated(pipeline(), Request(PROMPT, num_inference_steps=2))
    other = np.asarray(made.image)
    distance = np.abs(seen().trace.image.astype(float) - other).mean(-1) / 255
    return distance[where].mean(), distance[~where].mean()


def test_a_word_is_hidden_and_its_controls_are_padding():
    found = knock_out(pipeline(), PROMPT, Word("cat"), **RUN)
    # Three were asked for, and there are two paddings.
    assert found["control"].tolist() == [False, True, True]
    assert set(found["knocked_out"]) == {"cat", "padding 14", "padding 15"}
    where = found.attrs["region"].values
    assert where.shape == (16, 16)
    assert where.mean() == pytest.approx(0.2, abs=0.02)
    inside, outside = change(hide([2]), where)
    assert found["inside"][0] == pytest.approx(inside, abs=1e-3)
    assert found["outside"][0] == pytest.approx(outside, abs=1e-3)
    assert found["ratio"][0] == pytest.approx(found["inside"][0] / found["outside"][0])


def test_a_word_of_many_tokens_has_other_words_as_controls():
    found = knock_out(pipeline(), PROMPT, Word("turtle"), num_inference_steps=1, controls=1)
    assert found["knocked_out"][1].startswith("words ")
    assert len(found["knocked_out"][1].removeprefix("words ").split(", ")) == 6


def test_a_head_is_silenced_and_its_control_is_its_neighbour():
    found = knock_out(pipeline(), PROMPT, Head("cat", LAYER, 1), **RUN)
    # two heads a layer: there is only one other
    assert found["knocked_out"].tolist() == [f"{LAYER}, head 1", f"{LAYER}, head 0"]

    def edit(call):
        if call.layer == LAYER:
            call.scale_heads({1: 0.0})

    inside, outside = change((Select(condition="cond"), edit), found.attrs["region"].values)
    assert found["inside"][0] == pytest.approx(inside, abs=1e-3)
    assert found["outside"][0] == pytest.approx(outside, abs=1e-3)


def test_in_a_region_a_word_is_not_read_and_controls_lie_elsewhere():
    found = knock_out(pipeline(), PROMPT, Region("cat", LEFT), **RUN)
    assert found["knocked_out"].tolist() == [
        "cat in the region",
        *(f"cat elsewhere, {n}" for n in (1, 2, 3)),
    ]
    np.testing.assert_array_equal(found.attrs["region"], np.tile(np.arange(16) < 8, (16, 1)))
    assert (found["inside"] > 0).all()


def test_the_word_is_masked_for_the_queries_of_the_region_alone():
    maps = {}

    def keep(call):
        if call.layer == LAYER:
            maps.setdefault(call.step, call.probs(batch=call.rows_of("cond"))[0].mean(0))

    request = Request(PROMPT, num_inference_steps=1, methods=[unread([2], LEFT.values)])
    generated(pipeline(), request, observe=[keep])
    cat = maps[0][:, 2].reshape(8, 8)
    assert (cat[:, :4] == 0).all()
    assert (cat[:, 4:] > 0).all()
    np.testing.assert_allclose(maps[0].sum(-1), 1.0, atol=1e-5)


def test_the_region_can_be_given():
    found = knock_out(
        pipeline(), PROMPT, Word("cat"), region=LEFT, num_inference_steps=1, controls=1
    )
    assert found.attrs["region"].values.mean() == 0.5


def test_a_seed_fixes_the_table():
    first, second = (knock_out(pipeline(), PROMPT, Word("cat"), **RUN) for _ in range(2))
    assert first.equals(second)


def test_wrong_arguments_are_told():
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        knock_out(pipeline(), PROMPT, Word("dog"), **RUN)
    with pytest.raises(
        ArgumentError, match="knock_out: 'attn2' is a part of 7 layers: .* Name one"
    ):
        knock_out(pipeline(), PROMPT, Head("cat", "attn2", 0), **RUN)
    with pytest.raises(UnknownName, match="no layer is named 'attn'"):
        knock_out(pipeline(), PROMPT, Head("cat", "attn", 0), **RUN)
    with pytest.raises(ArgumentError, match=r"has heads 0\.\.1, not 2"):
        knock_out(pipeline(), PROMPT, Head("cat", LAYER, 2), **RUN)
    with pytest.raises(ArgumentError, match="the region is empty"):
        knock_out(pipeline(), PROMPT, Region("cat", LEFT & False), **RUN)
    with pytest.raises(ArgumentError, match="the region is the whole image"):
        knock_out(pipeline(), PROMPT, Region("cat", LEFT | True), **RUN)
    with pytest.raises(ArgumentError, match="must be boolean over 'y' and 'x'"):
        knock_out(pipeline(), PROMPT, Word("cat"), region=LEFT.astype(int), **RUN)
    with pytest.raises(ArgumentError, match="controls is 0"):
        knock_out(pipeline(), PROMPT, Word("cat"), controls=0)
