import errno
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


def test_the_evidence_of_a_proof_is_saved_too(trace, tmp_path):
    proof = (
        trace.words()[["word"]]
        .iloc[[2]]
        .assign(seed=0, kind="word", distance=0.4, pixel_distance=0.25, seen="cat -> nothing")
    )
    proven = replace(trace, table=judge(trace.words(), proof))
    proven.save(tmp_path / "proven.zarr")
    words = Trace.load(tmp_path / "proven.zarr").words().set_index("word")
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


def test_what_is_there_is_not_replaced_unasked(trace, saved):
    with pytest.raises(
        OutputError, match=r"exists already. Choose another name, or pass overwrite"
    ):
        trace.save(saved)
    replace(trace, recipe={"prompt": "new"}).save(saved, overwrite=True)
    assert Trace.load(saved).recipe == {"prompt": "new"}
    assert contents(saved.parent) == ["trace.zarr"]


def test_what_is_no_trace_is_never_replaced(trace, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mum.txt").write_text("Dear Mum")
    with pytest.raises(OutputError, match="exists and is no trace, so it is not replaced"):
        trace.save(tmp_path / "letters", overwrite=True)
    assert contents(tmp_path / "letters") == ["mum.txt"]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("moment", ["trace.store._to_zarr", "saved.folder.swap"])
def test_a_save_that_fails_leaves_what_was_there(trace, saved, monkeypatch, failure, moment):
    def fail(*_):
        raise failure

    monkeypatch.setattr(f"regard.{moment}", fail)
    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        replace(trace, recipe={}).save(saved, overwrite=True)
    monkeypatch.undo()
    if expected is OutputError:
        assert "could not be written: No space left on device. Nothing was left" in str(
            raised.value
        )
    assert contents(saved.parent) == ["trace.zarr"]
    assert Trace.load(saved).recipe == trace.recipe


def test_the_old_trace_comes_back_when_the_new_cannot_be_moved(trace, saved, monkeypatch):
    moved = []

    def rename(path, target):
        moved.append(path.name)
        if path.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        shutil.move(path, target)

    monkeypatch.setattr(store.Path, "rename", rename)
    with pytest.raises(OutputError, match="Input/output error"):
        trace.save(saved, overwrite=True)
    monkeypatch.undo()
    assert moved == ["trace.zarr", "new", "old"]
    assert Trace.load(saved).tokens == trace.tokens


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


def as_version_1(trace):
    """A trace as the first version wrote it: self-attention apart, and a stage called a place."""
    old = lambda values: values.astype(np.float16).assign_attrs(  # noqa: E731
        {"place" if key == "stage" else key: each for key, each in values.attrs.items()}
    )
    nodes = {}
    for group, what, layers in (
        ("layers", "maps", trace.word_maps),
        ("weights", "weights", trace.self_attention),
    ):
        for number, (name, values) in enumerate(layers.items()):
            one = old(values)
            one.attrs = {key: one.attrs[key] for key in one.attrs if key not in ("stage", "of")}
            nodes[f"/{group}/{number:03d}-{name}"] = xr.Dataset({what: one}, attrs={"layer": name})
    new = store.tree_of(trace.layers, trace.tokens, trace.recipe, trace.image, trace.table)
    kept = [name for name in ("tokens", "words", "image") if name in new.children]
    nodes |= {f"/{name}": new[name].to_dataset() for name in kept}
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"format": "regard-trace", "version": 1, "recipe": json.dumps(trace.recipe)}
    tree.attrs["digest"] = intact.digest(tree)
    return tree


@pytest.mark.parametrize("kind", ["words", "queries", "both"])
def test_a_trace_of_the_first_version_still_opens(trace, kind, tmp_path):
    more = {} if kind == "words" else toy_vision().layers
    old = toy_vision() if kind == "queries" else replace(trace, layers={**trace.layers, **more})
    store._to_zarr(as_version_1(old), tmp_path / "t.zarr")
    found = Trace.load(tmp_path / "t.zarr")
    assert found.tokens == old.tokens
    with store.open_layers(tmp_path / "t.zarr") as opened:
        assert list(found.layers) == list(opened.layers) == list(old.layers)
        for name, values in old.layers.items():
            assert found.layers[name].attrs == opened.layers[name].attrs == values.attrs
            np.testing.assert_allclose(found.layers[name], values, atol=5e-4)
    found.save(tmp_path / "again.zarr")
    assert Trace.load(tmp_path / "again.zarr").recipe == old.recipe


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

    from regard.trace import toy_vision

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
