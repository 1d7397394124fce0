from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from regard.errors import ArgumentError, AxisError, TraceError, UnknownName
from regard.trace import Trace, labelled_layer, toy_trace, toy_vision

PREFIX = ["cls", "register.1", "register.2"]
HEADS, GRID = 2, (2, 4)
KEYS = len(PREFIX) + 8


@pytest.fixture(scope="module")
def rows():
    """Self-attention [layer, head, query, key] of a grid that is not square; rows sum to 1."""
    scores = np.random.default_rng(0).random((3, HEADS, KEYS, KEYS)).astype(np.float32)
    return scores / scores.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def trace(rows):
    weights = {
        f"layer.{i}": labelled_layer(each[None], grid=GRID, prefix=PREFIX, patch=(8, 8))
        for i, each in enumerate(rows)
    }
    return Trace(weights, (), {"model": "tiny"})


def patches(row):
    return row[len(PREFIX) :].reshape(GRID)


def test_the_class_token_looks_where_its_row_says(trace, rows):
    got = trace.attention("cls", layers="layer.1", heads=0)
    np.testing.assert_allclose(got, patches(rows[1, 0, 0]), rtol=1e-6)
    assert got.dims == ("y", "x")
    assert got.attrs["query"] == "cls"
    assert got.attrs["units"] == "attention weight"


def test_layers_and_heads_are_averaged_alike(trace, rows):
    np.testing.assert_allclose(trace.attention(), patches(rows.mean((0, 1))[0]), rtol=1e-6)
    late = trace.attention(layers=["layer.1", "layer.2"], heads=[-1])
    np.testing.assert_allclose(late, patches(rows[1:, 1].mean(0)[0]), rtol=1e-6)
    assert late.attrs["layers"] == ["layer.1", "layer.2"]


def test_a_register_is_a_query(trace, rows):
    got = trace.attention("register.2", layers="layer.0", heads=0)
    np.testing.assert_allclose(got, patches(rows[0, 0, 2]), rtol=1e-6)


@pytest.mark.parametrize(("patch", "index"), [((0, 0), 3), ((1, 2), 9), ((-1, -1), 10)])
def test_a_patch_is_a_query_by_row_and_column(trace, rows, patch, index):
    got = trace.attention(patch, layers="layer.2", heads=1)
    np.testing.assert_allclose(got, patches(rows[2, 1, index]), rtol=1e-6)
    assert got.attrs["query"] == list(patch)


def test_the_mean_is_over_the_patches_and_not_over_the_tokens_before_them(trace, rows):
    got = trace.attention("mean", layers="layer.0", heads=0)
    np.testing.assert_allclose(got, patches(rows[0, 0, 3:].mean(0)), rtol=1e-6)


def test_what_goes_to_no_patch_is_missing_and_told(trace, rows):
    got = trace.attention("cls", layers="layer.0", heads=0)
    told = got.attrs["prefix_mass"]
    assert list(told) == PREFIX
    assert got.sum() + sum(told.values()) == pytest.approx(1.0, abs=1e-6)
    assert told["register.1"] == pytest.approx(rows[0, 0, 0, 1], rel=1e-6)


def test_an_unknown_query_is_told_the_known_ones(trace):
    with pytest.raises(
        UnknownName, match=r"no query is named 'class'.*Known: cls, mean, register"
    ) as e:
        trace.attention("class")
    assert "Or name a patch by its row and column" in str(e.value)


@pytest.mark.parametrize("patch", [(2, 0), (0, 4), (-3, 0)])
def test_a_patch_that_is_not_there_is_told_the_grid(trace, patch):
    with pytest.raises(ArgumentError, match=r"there is no patch .* rows are 0..1 and columns 0..3"):
        trace.attention(patch)


def test_unknown_layers_and_heads_are_told_by_the_name_of_the_verb(trace):
    with pytest.raises(UnknownName, match="no layer is named 'late'"):
        trace.attention(layers="late")
    with pytest.raises(ArgumentError, match="attention: layer 'layer.0' has no head 2"):
        trace.attention(heads=2)


def test_queries_that_were_not_kept_are_told(rows):
    few = labelled_layer(rows[0][None, :, :1], grid=GRID, prefix=PREFIX, queries=[0])
    trace = Trace({"0": few}, (), {})
    assert trace.queries == ("cls",)
    np.testing.assert_allclose(trace.attention(), patches(rows[0].mean(0)[0]), rtol=1e-6)
    with pytest.raises(ArgumentError, match=r"patch \(0, 0\) looks was not kept. Look again"):
        trace.attention((0, 0))
    with pytest.raises(UnknownName, match="no query is named 'mean'"):
        trace.attention("mean")


def test_a_pooling_head_is_asked_by_its_probe(rows):
    own = labelled_layer(rows[0][None, :, 3:, 3:], grid=GRID)
    probe = labelled_layer(rows[1][None, :, :1, 3:], grid=GRID, kind="pool")
    trace = Trace({"layer.0": own, "head": probe}, (), {})
    assert trace.queries == ("mean", "probe")
    got = trace.attention("probe", heads=0)
    np.testing.assert_allclose(got.values.ravel(), rows[1, 0, 0, 3:], rtol=1e-6)
    assert got.attrs["layers"] == ["head"]
    assert trace.attention("mean").attrs["layers"] == ["layer.0"]
    only = Trace({"head": probe}, (), {})
    with pytest.raises(UnknownName, match=r"no query is named '\(0, 0\)'"):
        only.attention((0, 0))


def test_a_trace_of_a_picture_has_no_words_and_one_of_a_prompt_no_patches(trace):
    assert trace.word_names == ()
    with pytest.raises(TraceError, match=r"has no words.*Use Trace.attention\(query\)"):
        trace.heatmap("cat")
    with pytest.raises(TraceError, match=r"has no self-attention.*Use Trace.heatmap\(word\)"):
        toy_trace().attention()


def test_a_trace_shows_what_it_holds(trace):
    queries = "queries cls, register.1, register.2, mean"
    assert repr(trace) == f"Trace(an image: {queries}; 3 layers of 2x4 patches; 2 heads)"
    assert repr(toy_vision()).startswith("Trace('shoe': queries cls, mean; 2 layers of 2x2")


@pytest.mark.parametrize(
    "shape", [(1, HEADS, KEYS), (2, HEADS, KEYS, KEYS), (1, HEADS, 3, KEYS), (1, HEADS, KEYS, 5)]
)
def test_weights_of_another_shape_are_refused(shape):
    with pytest.raises(AxisError, match=r"for 1 steps, 11 queries and 11 keys \(3 and 2x4 patches"):
        labelled_layer(np.zeros(shape), grid=GRID, prefix=PREFIX)


def test_layers_that_see_other_tokens_are_refused(rows):
    first = labelled_layer(rows[0][None], grid=GRID, prefix=PREFIX)
    for other in ({"grid": (4, 2), "prefix": PREFIX}, {"grid": (2, 5), "prefix": ["cls"]}):
        second = labelled_layer(rows[1][None], **other)
        with pytest.raises(AxisError, match="layer '1' has the grid .* the first layer \\[2, 4\\]"):
            Trace({"0": first, "1": second}, (), {})
    with pytest.raises(AxisError, match="as labelled_layer"):
        Trace({"0": first.transpose("head", "step", "query", "key")}, (), {})
    with pytest.raises(ArgumentError, match="NaN or infinite values"):
        Trace({"0": first * np.nan}, (), {})
    with pytest.raises(ArgumentError, match="there is no layer"):
        Trace({}, (), {})


def test_a_saved_trace_comes_back_with_three_digits_of_each_weight(trace, tmp_path):
    trace.save(tmp_path / "t.zarr")
    again = Trace.load(tmp_path / "t.zarr")
    assert list(again.self_attention) == list(trace.self_attention)
    assert (again.word_maps, again.tokens, again.recipe) == ({}, (), trace.recipe)
    for name, weights in trace.self_attention.items():
        assert again.self_attention[name].dtype == np.float32
        assert again.self_attention[name].attrs == weights.attrs
        np.testing.assert_allclose(again.self_attention[name], weights, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(again.attention(), trace.attention(), rtol=1e-3)


def test_a_stored_layer_of_weights_can_be_read_without_this_package(trace, tmp_path):
    trace.save(tmp_path / "t.zarr")
    tree = xr.open_datatree(tmp_path / "t.zarr", engine="zarr")
    weights = tree["layers/001-layer.1/weights"]
    assert weights.dims == ("step", "head", "query", "key")
    assert weights.dtype == np.float16
    assert weights.attrs["prefix"] == PREFIX


def test_words_and_patches_may_be_in_one_trace(rows, tmp_path):
    own = labelled_layer(rows[0][None, :, 3:, 3:], grid=GRID)
    both = replace(toy_trace(), layers={**toy_trace().layers, "attn1": own})
    both.save(tmp_path / "t.zarr")
    again = Trace.load(tmp_path / "t.zarr")
    assert again.queries == ("mean",)
    assert again.word_names == toy_trace().word_names


def test_a_missing_layer_of_weights_is_noticed(trace, tmp_path):
    import shutil

    trace.save(tmp_path / "t.zarr")
    shutil.rmtree(tmp_path / "t.zarr" / "layers" / "001-layer.1" / "weights" / "c")
    with pytest.raises(TraceError, match="damaged"):
        Trace.load(tmp_path / "t.zarr")
