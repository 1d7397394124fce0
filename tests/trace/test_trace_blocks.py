import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import TraceError
from regard.trace import Trace, intact, labelled_layer, store, toy_trace, toy_vision
from regard.trace.blocks import block_shape, blocks


@given(st.lists(st.integers(0, 5), max_size=4), st.integers(1, 40))
def test_blocks_end_to_end_are_the_array(shape, most):
    values = np.arange(math.prod(shape)).reshape(shape)
    parts = [values[block].tobytes() for block in blocks(shape, most)]
    assert b"".join(parts) == values.tobytes()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 60))
def test_no_block_is_larger_than_allowed_unless_it_is_one_row(shape, most):
    size = math.prod(block_shape(shape, most))
    assert size <= max(most, shape[-1])
    assert math.prod(shape) > most or block_shape(shape, most) == tuple(shape)


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A trace whose one layer is many chunks, and the weights that it was made of."""
    for module in (store, intact):
        monkeypatch.setattr(module, "CHUNK", 4 * 25 * 2)
    weights = np.random.default_rng(0).dirichlet(np.ones(25), size=(2, 3, 25))
    layer = labelled_layer(weights, grid=(5, 5), steps=[0, 1], timesteps=[9.0, 3.0])
    trace = Trace({"layers.0": layer}, (), {})
    trace.save(tmp_path / "large.zarr")
    return tmp_path / "large.zarr", trace


def chunks(path):
    return sorted(each for each in (path / "layers").rglob("weights/c/**/*") if each.is_file())


def test_a_large_layer_is_cut_along_its_leading_axes(large):
    path, _ = large
    assert len(chunks(path)) == 2 * 3 * math.ceil(25 / 4)


def test_a_trace_in_chunks_is_loaded_as_it_was(large):
    path, trace = large
    loaded = Trace.load(path).layers["layers.0"]
    np.testing.assert_allclose(loaded, trace.layers["layers.0"], rtol=2**-11, atol=1e-7)


def test_the_digest_does_not_depend_on_the_chunks(large, monkeypatch):
    path, trace = large
    tree = store.tree_of(trace.layers, (), {}, None, None)
    monkeypatch.undo()
    whole = store.tree_of(trace.layers, (), {}, None, None)
    assert tree.attrs["digest"] == whole.attrs["digest"]
    assert Trace.load(path).recipe == {}


def test_an_opened_trace_has_what_a_loaded_one_has(large):
    path, trace = large
    with store.open_layers(path) as opened:
        layer = opened.layers["layers.0"]
        assert layer.dtype == np.float16
        assert layer.attrs == trace.layers["layers.0"].attrs
        kept = layer.isel(step=1, head=[0, 2], query=slice(3, 9)).values
    expected = trace.layers["layers.0"].values[1, [0, 2], 3:9]
    np.testing.assert_allclose(kept, expected, rtol=2**-11, atol=1e-7)


def test_words_are_opened_too(tmp_path):
    toy = toy_trace()
    toy.save(tmp_path / "toy.zarr")
    with store.open_layers(tmp_path / "toy.zarr") as opened:
        assert list(opened.layers) == list(toy.layers)
        assert opened.tokens == toy.tokens
        assert opened.recipe == toy.recipe
        for name, layer in opened.layers.items():
            assert layer.attrs == toy.layers[name].attrs
            part = {"step": 1, "query": slice(1, 3), "key": [5, 2]}
            np.testing.assert_array_equal(layer.isel(part), toy.layers[name].isel(part))
            np.testing.assert_array_equal(layer[0, 1, 2], toy.layers[name][0, 1, 2])
            np.testing.assert_array_equal(layer[0, 1, :, 2], toy.layers[name][0, 1, :, 2])


def test_only_the_chunks_that_are_asked_for_are_read(large):
    path, _ = large
    with store.open_layers(path) as opened:
        for chunk in chunks(path)[1:]:
            chunk.unlink()
        row = opened.layers["layers.0"][0, 0, 0].values
    assert row.sum() == pytest.approx(1, abs=1e-3)


def test_a_chunk_that_is_missing_or_changed_is_told_before_anything_is_measured(large):
    path, _ = large
    chunks(path)[7].unlink()
    with (
        pytest.raises(TraceError, match="is a trace, but damaged: values are missing or were"),
        store.open_layers(path),
    ):
        pytest.fail("opened")


def test_what_is_no_trace_is_not_opened(tmp_path):
    with pytest.raises(TraceError, match="there is nothing at"), store.open_layers(tmp_path / "x"):
        pytest.fail("opened")


def test_a_mistake_in_the_block_is_not_taken_for_damage(tmp_path):
    replace(toy_vision(), recipe={}).save(tmp_path / "toy.zarr")
    with pytest.raises(KeyError, match="mine"), store.open_layers(tmp_path / "toy.zarr"):
        raise KeyError("mine")
