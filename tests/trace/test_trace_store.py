import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from layer_of_maps import layer_of_maps
from regard.errors import ArgumentError, OutputError, TraceError
from regard.measures.verdicts import judge
from regard.measures.words import word_table
from regard.trace import Trace, intact, store, toy_trace, toy_vision


@pytest.fixture(scope="module")
def trace():
    bare = toy_trace()
    return replace(bare, table=word_table(bare))


@pytest.fixture
def saved(trace, tmp_path):
    trace.save(tmp_path / "trace.zarr")
    return tmp_path / "trace.zarr"


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(trace, saved):
    loaded = Trace.load(saved)
    assert loaded.tokens == trace.tokens
    assert loaded.recipe == trace.recipe
    assert list(loaded.layers) == list(trace.layers)
    for name, maps in trace.layers.items():
        # 32nds are exact in float16
        xr.testing.assert_identical(loaded.layers[name], maps)
        assert loaded.layers[name].dtype == np.float32
    np.testing.assert_array_equal(loaded.image, trace.image)
    assert loaded.image.dtype == np.uint8
    assert loaded.words().equals(trace.words())
    assert loaded.words().attrs == trace.words().attrs
    assert contents(saved.parent) == ["trace.zarr"]


def test_a_trace_without_image_and_table_is_saved_too(trace, tmp_path):
    replace(trace, image=None, table=None).save(tmp_path / "bare.zarr")
    loaded = Trace.load(tmp_path / "bare.zarr")
    assert loaded.image is None
    assert loaded.table is None


def test_the_evidence_of_a_verification_is_saved_too(trace, tmp_path):
    verification = (
        trace.words()[["word"]]
        .iloc[[2]]
        .assign(seed=0, kind="word", distance=0.4, pixel_distance=0.25, seen="cat -> nothing")
    )
    verified = replace(trace, table=judge(trace.words(), verification))
    verified.save(tmp_path / "verified.zarr")
    words = Trace.load(tmp_path / "verified.zarr").words().set_index("word")
    assert words.loc["cat", ["pixel_distance", "seen"]].tolist() == [0.25, "cat -> nothing"]
    assert np.isnan(words.loc["dog", "pixel_distance"])
    assert words.loc["dog", "seen"] == ""


def test_weights_lose_no_more_than_float16_does_and_large_values_nothing(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.random((2, 1, 8, 4, 4)).astype(np.float32)
    labels = {"steps": [0, 1], "timesteps": [9.0, 3.0], "tokens": range(8)}
    layers = {
        "a": layer_of_maps(weights, **labels),
        "b/c": layer_of_maps(weights * 1e6, **labels, averaged=["head"]),
    }
    replace(toy_trace(), layers=layers).save(tmp_path / "t.zarr")
    loaded = Trace.load(tmp_path / "t.zarr").word_maps
    assert list(loaded) == ["a", "b/c"]
    np.testing.assert_allclose(loaded["a"], weights, rtol=2**-11)
    np.testing.assert_array_equal(loaded["b/c"], weights * np.float32(1e6))
    assert loaded["b/c"].attrs["averaged"] == ["head"]


def test_plain_xarray_reads_a_trace(saved):
    tree = xr.open_datatree(saved, engine="zarr")
    assert tree.attrs["format"] == "regard-trace"
    assert tree.attrs["version"] == 2
    assert json.loads(tree.attrs["recipe"])["prompt"] == "a cat and a dog"
    assert sorted(tree.children) == ["image", "layers", "tokens", "words"]
    maps = tree["layers/001-mid_block.attentions.0/maps"]
    assert maps.dims == ("step", "head", "token", "y", "x")
    assert maps.dtype == np.float16
    assert maps.attrs["units"] == "attention weight"
    assert maps.coords["timestep"].values.tolist() == [999.0, 500.0]
    assert tree["words/mass"].attrs["units"] == "share of attention"


def test_each_layer_is_one_chunk(saved):
    chunks = [path for path in (saved / "layers").rglob("maps/c/**/*") if path.is_file()]
    assert len(chunks) == 2


def test_a_folder_that_is_not_there_or_no_folder_is_named(trace, tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        trace.save(tmp_path / "nowhere" / "trace.zarr")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Not a directory"):
        trace.save(tmp_path / "file" / "trace.zarr")


def test_a_recipe_that_json_cannot_hold_is_refused(trace, tmp_path):
    with pytest.raises(ArgumentError, match="recipe cannot be stored.*Use plain numbers"):
        replace(trace, recipe={"model": object()}).save(tmp_path / "t.zarr")
    assert contents(tmp_path) == []


def test_nothing_there_is_said_so(tmp_path):
    with pytest.raises(TraceError, match=r"there is nothing at '.*t\.zarr'. Give the folder that"):
        Trace.load(tmp_path / "t.zarr")


@pytest.mark.parametrize("foreign", ["a file", "an empty folder", "another Zarr"])
def test_what_is_no_trace_is_said_so(tmp_path, foreign):
    path = tmp_path / "x"
    if foreign == "a file":
        path.write_text("Dear Mum")
    elif foreign == "an empty folder":
        path.mkdir()
    else:
        xr.Dataset({"rain": ("day", [1.0, 2.0])}).to_zarr(path, zarr_format=3, consolidated=False)
    what = "another Zarr store" if foreign == "another Zarr" else "no Zarr v3 store"
    with pytest.raises(TraceError, match=f"is {what} and not a trace. Give the folder that"):
        Trace.load(path)


def test_a_trace_of_a_later_version_says_what_to_update(saved):
    root = json.loads((saved / "zarr.json").read_text())
    root["attributes"]["version"] = 3
    (saved / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(
        TraceError, match=r"of version 3; this release reads up to version 2. Update"
    ):
        Trace.load(saved)


def chunk_of(saved, array):
    return next(path for path in (saved / array / "c").rglob("*") if path.is_file())


def missing_chunk(saved):
    chunk_of(saved, "layers/000-down_blocks.0.attentions.0/maps").unlink()


def cut_chunk(saved):
    chunk = chunk_of(saved, "layers/001-mid_block.attentions.0/maps")
    chunk.write_bytes(chunk.read_bytes()[:-9])


def flipped_bits(saved):
    chunk = chunk_of(saved, "image/image")
    chunk.write_bytes(bytes(byte ^ 1 for byte in chunk.read_bytes()))


def missing_group(saved):
    shutil.rmtree(saved / "tokens")


def cut_metadata(saved):
    path = saved / "zarr.json"
    root = json.loads(path.read_text())
    del root["attributes"]["recipe"]
    path.write_text(json.dumps(root))


@pytest.mark.parametrize(
    "damage", [missing_chunk, cut_chunk, flipped_bits, missing_group, cut_metadata]
)
def test_a_damaged_trace_is_refused_in_one_line(saved, damage):
    damage(saved)
    with pytest.raises(
        TraceError, match=r"is a trace, but damaged: .*Restore it from a copy"
    ) as raised:
        Trace.load(saved)
    assert "\n" not in str(raised.value)


def test_any_tree_that_passes_for_a_trace_is_read_or_refused(trace, saved):
    tree = store.tree_of(trace.layers, trace.tokens, trace.recipe, trace.image, trace.table)
    del tree["tokens"]
    tree.attrs["digest"] = intact.digest(tree)
    store.write(tree, saved, overwrite=True)
    with pytest.raises(TraceError, match="damaged"):
        Trace.load(saved)


def test_a_trace_that_declares_more_than_its_files_hold_is_refused_at_once(tmp_path):

    toy_vision().save(tmp_path / "t.zarr")
    place = next((tmp_path / "t.zarr" / "layers").glob("*")) / "weights" / "zarr.json"
    root = tmp_path / "t.zarr" / "zarr.json"
    for file in (place, root):
        said = file.read_text()
        found = json.loads(said)
        inner = found if file == place else found["consolidated_metadata"]["metadata"]
        for each in [inner] if file == place else inner.values():
            if len(each.get("shape", [])) > 1:
                each["shape"] = [*each["shape"][:-2], 200_000, 200_000]
        file.write_text(json.dumps(found))
    with pytest.raises(TraceError, match="damaged: it declares an array of .* values, and all its"):
        Trace.load(tmp_path / "t.zarr")
