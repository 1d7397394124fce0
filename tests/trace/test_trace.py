from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from layer_of_maps import layer_of_maps
from regard.errors import ArgumentError, AxisError, TraceError, UnknownName
from regard.trace import Token, Trace, resize, tokens_from_offsets, toy_trace

STEPS, HEADS, SIDE = 3, 2, 4


@pytest.fixture(scope="module")
def maps():
    """Weights of four tokens, [step, head, token, y, x]; each patch's weights sum to 1."""
    scores = np.random.default_rng(0).random((STEPS, HEADS, 4, SIDE, SIDE)).astype(np.float32)
    return scores / scores.sum(2, keepdims=True)


@pytest.fixture(scope="module")
def trace(maps):
    """ "turtle cat" where turtle is two tokens; a fine layer, and a coarse one of its 2x2 means."""
    tokens = tokens_from_offsets(
        "turtle cat", ["<s>", "tur", "tle", "cat"], [(0, 0), (0, 3), (3, 6), (7, 10)],
        [True, False, False, False], end=None,
    )  # fmt: skip
    coarse = maps.reshape(STEPS, HEADS, 4, 2, 2, 2, 2).mean((4, 6))
    labels = {"steps": range(STEPS), "timesteps": [900.0, 600.0, 300.0], "tokens": range(4)}
    layers = {
        "down.0": layer_of_maps(maps, **labels, stage="down"),
        "mid.0": layer_of_maps(coarse, **labels, stage="mid"),
        "up.0": layer_of_maps(maps * 0.5, **labels, stage="up"),
    }
    return Trace(layers, tokens, {"prompt": "turtle cat"})


def test_a_map_is_the_sum_of_tokens_and_the_mean_of_steps_and_heads(trace, maps):
    by_hand = np.zeros((SIDE, SIDE))
    for step in range(STEPS):
        for head in range(HEADS):
            by_hand += (maps[step, head, 1] + maps[step, head, 2]) / (STEPS * HEADS)
    got = trace.heatmap("turtle", layers="down.0")
    np.testing.assert_allclose(got, by_hand, rtol=1e-6)
    assert got.dims == ("y", "x")
    assert got.attrs == {
        "units": "attention weight", "word": "turtle", "grid": [4, 4], "layers": ["down.0"],
    }  # fmt: skip


def test_layers_count_alike_whatever_their_grid(trace, maps):
    fine = maps[:, :, 3].mean((0, 1))
    coarse = fine.reshape(2, 2, 2, 2).mean((1, 3)).astype(np.float32)
    enlarged = np.asarray(Image.fromarray(coarse).resize((4, 4), Image.Resampling.BILINEAR))
    expected = (fine + enlarged + fine / 2) / 3
    np.testing.assert_allclose(trace.heatmap("cat"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [(1, [1]), (-1, [2]), ([0, 2], [0, 2]), (slice(1, None), [1, 2]), (range(2), [0, 1])],
)
def test_steps_are_chosen_by_number_list_and_slice(trace, maps, wanted, rows):
    got = trace.heatmap("cat", steps=wanted, layers="down.0")
    np.testing.assert_allclose(got, maps[rows][:, :, 3].mean((0, 1)), rtol=1e-6)


def test_a_head_is_chosen_by_its_number(trace, maps):
    got = trace.heatmap("cat", heads=1, layers=["down.0"])
    np.testing.assert_allclose(got, maps[:, 1, 3].mean(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["down.0", "mid.0", "up.0"]),
        ("up", ["up.0"]),
        (["up", "down"], ["down.0", "up.0"]),
        ("0", ["down.0", "mid.0", "up.0"]),
        ("2x2", ["mid.0"]),
        ("cross", ["down.0", "mid.0", "up.0"]),
        (0, ["down.0"]),
        (np.int64(-1), ["up.0"]),
        ([-1, "down"], ["down.0", "up.0"]),
        (slice(1, None), ["mid.0", "up.0"]),
        (range(2), ["down.0", "mid.0"]),
        (np.array([2, 0]), ["down.0", "up.0"]),
        ("mid.0", ["mid.0"]),
    ],
)
def test_layers_are_chosen_by_names_stage_kind_grid_or_number_in_running_order(
    trace, wanted, names
):
    assert trace.heatmap("cat", layers=wanted).attrs["layers"] == names


def test_a_map_comes_on_the_grid_that_is_asked_for(trace):
    assert trace.heatmap("cat", layers="mid").shape == (2, 2)
    assert trace.heatmap("cat", grid=(8, 6)).shape == (8, 6)


def test_the_maps_of_all_tokens_add_up_to_one(trace):
    names = ["[start]", "turtle", "cat"]
    total = sum(trace.heatmap(name, layers=["down", "mid"]) for name in names)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_words_are_found_whatever_their_capitals(trace):
    assert trace.word_names == ("turtle", "cat")
    assert trace.tokens_of("Turtle") == [1, 2]
    assert trace.tokens_of("[START]") == [0]


def test_an_unknown_word_is_answered_with_the_words_there_are(trace):
    with pytest.raises(UnknownName) as raised:
        trace.heatmap("turtel")
    assert str(raised.value) == (
        "no word is named 'turtel'. Did you mean 'turtle'? Known: turtle, cat. "
        "Capitals do not matter; the second 'cat' of a prompt is 'cat#2'."
    )


def test_a_word_that_was_not_kept_is_told_from_one_that_is_not_there(trace):
    layers = {name: layer.sel(key=[3]) for name, layer in trace.layers.items()}
    part = replace(trace, layers=layers)
    assert part.word_names == ("cat",)
    with pytest.raises(
        UnknownName, match=r"Known: cat\. It is in the prompt, but its maps were not"
    ):
        part.heatmap("turtle")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"steps": 3}, r"layer 'down.0' has no step 3; it has 0\.\.2\. Choose among these"),
        ({"steps": -4}, "has no step -4"),
        ({"heads": [0, 2]}, r"has no head 2; it has 0, 1\."),
        ({"steps": []}, r"steps=\[\] chooses nothing of layer 'down.0', which has 0\.\.2"),
        ({"steps": slice(5, 9)}, "chooses nothing"),
        ({"layers": []}, r"layers=\[\] chooses nothing"),
        ({"grid": (0, 4)}, r"grid is \(0, 4\) and must be \(rows, columns\)"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(trace, chosen, message):
    with pytest.raises(ArgumentError, match=message):
        trace.heatmap("cat", **chosen)


@pytest.mark.parametrize("wanted", ["upp.0", "", "downs", "own.0", "2x3"])
def test_an_unknown_layer_is_answered_with_the_layers_there_are(trace, wanted):
    with pytest.raises(
        UnknownName, match=rf"no layer is named '{wanted}'.*Known:.*mid\.0.*Whole names in"
    ):
        trace.heatmap("cat", layers=wanted)


def test_what_was_averaged_cannot_be_chosen():
    layer = layer_of_maps(
        np.full((1, 1, 1, 2, 2), 0.5), steps=[0], timesteps=[0.0], tokens=[0],
        averaged=["layer", "head", "step"],
    )  # fmt: skip
    trace = Trace({"mean": layer}, (Token(0, "cat", "cat", "word", 0),), {})
    assert trace.heatmap("cat").values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert "averaged steps; averaged heads" in repr(trace)
    for choice in ({"heads": 0}, {"steps": 0}, {"layers": "mean"}):
        (axis,) = choice
        with pytest.raises(ArgumentError, match=f"{axis} were averaged.*'{axis[:-1]}' in keep="):
            trace.heatmap("cat", **choice)


def test_a_trace_without_a_table_says_how_to_make_one(trace):
    with pytest.raises(TraceError, match=r"no table of words. Make one with .*word_table\(trace\)"):
        trace.words()


def test_the_table_that_is_handed_out_is_a_copy(trace):
    kept = replace(trace, table=pd.DataFrame({"word": ["cat"]}))
    table = kept.words()
    table.loc[0, "word"] = "dog"
    assert kept.words()["word"].tolist() == ["cat"]


def test_a_trace_without_layers_is_refused():
    with pytest.raises(ArgumentError, match="there is no layer"):
        Trace({}, (), {})


def test_layers_with_wrong_dims_tokens_or_values_are_refused(trace):
    layer = trace.layers["down.0"]
    with pytest.raises(AxisError, match="layer 'down.0' has dims"):
        replace(trace, layers={"down.0": layer.isel(step=0)})
    with pytest.raises(
        AxisError, match=r"layer 'b' has tokens \[0, 1\], the first layer \[0, 1, 2, 3\]"
    ):
        replace(trace, layers={"a": layer, "b": layer.isel(key=[0, 1])})
    with pytest.raises(AxisError, match=r"the prompt 0\.\.0"):
        replace(trace, tokens=trace.tokens[:1])
    with pytest.raises(ArgumentError, match="NaN or infinite values"):
        replace(trace, layers={"a": layer * np.nan})


def test_maps_that_do_not_fit_their_labels_are_refused():
    with pytest.raises(
        AxisError, match=r"shape is \(1, 1, 4, 2\) for 1 steps, 4 queries and 3 keys \(3 tokens of"
    ):
        layer_of_maps(np.zeros((1, 1, 2, 2, 2)), steps=[0], timesteps=[0.0], tokens=[0, 1, 2])


@pytest.mark.parametrize("grid", [(4, 4), (8, 8), (16, 12), (3, 5), (2, 2), (1, 1), (5, 2)])
def test_resizing_agrees_with_pillow(grid):
    values = np.random.default_rng(1).random((4, 6)).astype(np.float32)
    expected = Image.fromarray(values).resize(grid[::-1], Image.Resampling.BILINEAR)
    got = resize(xr.DataArray(values, dims=["y", "x"]), grid)
    np.testing.assert_allclose(got, np.asarray(expected), atol=1e-6)


def test_resizing_keeps_the_other_dims_and_an_even_map():
    even = xr.DataArray(np.full((2, 4, 3), 0.3), dims=["y", "head", "x"], attrs={"units": "one"})
    got = resize(even, (5, 7))
    assert got.dims == ("y", "head", "x")
    assert got.attrs == {"units": "one"}
    np.testing.assert_allclose(got, 0.3)


def test_resizing_needs_rows_and_columns():
    with pytest.raises(AxisError, match=r"no dim 'x'; it has \('y',\)"):
        resize(xr.DataArray([1.0], dims="y"), (2, 2))


def test_the_toy_gives_every_patch_a_whole_attention():
    for layer in toy_trace().layers.values():
        np.testing.assert_array_equal(layer.sum("key"), 1)


# ---------------------------------------------------------------- next tokens


def words_at(*names, kept=None):
    """A trace of one token a name, between start and end; token i has i + 1 hundredths."""
    prompt = " ".join(dict.fromkeys(names))
    words = [Token(at, name, name, "word", at - 1) for at, name in enumerate(names, start=1)]
    start, end = Token(0, "", None, "start", None), Token(len(names) + 1, "", None, "end", None)
    tokens = (start, *words, end)
    kept = list(range(len(tokens))) if kept is None else kept
    maps = np.zeros((1, 1, len(kept), 2, 2), np.float32)
    maps += (np.array(kept, np.float32)[:, None, None] + 1) / 100
    layers = {"attn": layer_of_maps(maps, steps=[0], timesteps=[9.0], tokens=kept)}
    return Trace(layers, tokens, {"prompt": prompt})


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("cat", [2, 3]),
        ("CAT", [2, 3]),
        ("and", [3, 4]),
        ("turtle", [4, 5]),  # of two tokens; the end does not count
        ("[start]", [0]),  # no word, so nothing carries it
        ("[end]", [6]),
    ],
)
def test_a_word_with_carriers_is_its_own_tokens_and_the_next(word, tokens):
    trace = words_at("a", "cat", "and", "turtle", "turtle")
    assert trace.carriers_of(word) == tokens
    heat = trace.heatmap(word, carriers=True)
    np.testing.assert_allclose(heat, sum(token + 1 for token in tokens) / 100, rtol=1e-6)
    assert heat.attrs["tokens"] == tokens
    own = [token for token in tokens if token in trace.tokens_of(word)]
    np.testing.assert_allclose(trace.heatmap(word), sum(t + 1 for t in own) / 100, rtol=1e-6)


def test_carriers_work_with_steps_layers_and_heads(trace, maps):
    got = trace.heatmap("turtle", carriers=True, layers="up.0", steps=1, heads=0)
    np.testing.assert_allclose(got, maps[1, 0, 1:4].sum(0) * 0.5, rtol=1e-6)


def test_a_saved_trace_is_read_with_carriers_too(tmp_path, trace):
    trace.save(tmp_path / "trace.zarr")
    again = Trace.load(tmp_path / "trace.zarr")
    assert again.reading == {"carriers": False, "layers": None}
    expected = trace.heatmap("turtle", carriers=True)
    np.testing.assert_allclose(again.heatmap("turtle", carriers=True), expected, rtol=1e-3)


def test_a_next_token_that_was_not_kept_is_missed():
    part = words_at("a", "cat", "and", "dog", kept=[2])
    np.testing.assert_allclose(part.heatmap("cat"), 0.03, rtol=1e-6)
    with pytest.raises(TraceError, match=r"'and' comes after 'cat' and carries it, but its maps"):
        part.heatmap("cat", carriers=True)


def test_how_words_are_read_comes_with_the_recipe(trace):
    told = {"carriers": True, "layers": ["down.0"], "why": "measured"}
    read = replace(trace, recipe={**trace.recipe, "reading": told})
    assert read.reading == {"carriers": True, "layers": ["down.0"]}
    assert read.heatmap("turtle", **read.reading).attrs["layers"] == ["down.0"]
