"""Looking at where the patches of a generated image attend."""

import functools

import numpy as np
import pytest
import torch

import joint
from looks import PROMPT, pipeline, seen
from regard.errors import ArgumentError, NothingObserved, TraceError, UnknownName
from regard.look import SelfAttention, look
from regard.measures.table import over_trace
from regard.tap import Select, Tap
from regard.trace import Trace
from unchecked import unchecked

POINTS = [(0.3, 0.9), (0.0, 0.0)]


@functools.cache
def sd3():
    return joint.tiny_sd3_pipeline(**joint.SD35)


@functools.cache
def flux():
    return joint.tiny_flux_pipeline()


def looked(model, **options):
    return look(model, PROMPT, num_inference_steps=2, **{"self_attention": POINTS, **options})


@functools.cache
def kept(which):
    return looked(which())


ALL = pytest.mark.parametrize("which", [pipeline, sd3, flux])


def explicit(model):
    """Softmax of q.k in float64, of the conditional rows, by layer and step; and the layouts."""
    found, layouts = {}, {}

    def note(call):
        rows = call.rows_of("cond")
        weights = call.weights
        query, key = (getattr(weights, name)[rows].double() for name in ("query", "key"))
        scores = query @ key.mT * weights.scale
        found.setdefault(call.layer, []).append(scores.softmax(-1)[0].numpy())
        layouts[call.layer] = call.layout

    with Tap(model, observe=[(Select(query="image", key="image"), note)]):
        model(PROMPT, generator=torch.Generator().manual_seed(0), num_inference_steps=2)
    return found, layouts


@ALL
def test_rows_are_those_of_an_explicit_softmax(which):
    trace, (found, layouts) = kept(which).trace, explicit(which())
    assert list(trace.self_attention) == list(found)
    for name, layer in trace.self_attention.items():
        image, rows = layouts[name].queries_of("image"), np.stack(found[name])
        high, wide = image.grid
        cells = [int(0.3 * high) * wide + int(0.9 * wide), 0]
        wanted = rows[:, :, [image.start + cell for cell in cells]]
        inside = wanted[..., image.slice]
        text = wanted.sum(-1, keepdims=True) - inside.sum(-1, keepdims=True)
        beside = [text] if layer.attrs["prefix"] else []
        assert layer.attrs["prefix"] == ["text"] * len(beside)
        np.testing.assert_allclose(layer, np.concatenate([*beside, inside], -1), atol=2e-6)
        np.testing.assert_allclose(layer.sum("key"), 1.0, atol=2e-6)


@ALL
def test_the_image_is_bit_for_bit_the_one_without(which):
    bare = look(which(), PROMPT, num_inference_steps=2)
    assert torch.equal(kept(which).latents, bare.latents)
    np.testing.assert_array_equal(kept(which).trace.image, bare.trace.image)
    for name, maps in bare.trace.word_maps.items():
        np.testing.assert_array_equal(maps, kept(which).trace.word_maps[name])
    assert not bare.trace.self_attention
    assert "self_attention" not in bare.trace.recipe


@ALL
def test_a_point_is_asked_where_it_attends_and_words_are_as_before(which):
    trace = kept(which).trace
    one = list(trace.self_attention)[-1]
    layer = trace.self_attention[one]
    got = trace.attention((0.3, 0.9), layers=one, steps=1, heads=0)
    before = len(layer.attrs["prefix"])
    np.testing.assert_allclose(got.values.ravel(), layer[1, 0, 0, before:], rtol=1e-6)
    whole = trace.attention((0.3, 0.9))
    assert whole.sum() + sum(whole.attrs["prefix_mass"].values()) == pytest.approx(1.0, abs=1e-5)
    assert trace.heatmap("cat").sum() > 0


def test_layers_of_several_grids_come_to_the_finest_of_them():
    trace = kept(pipeline).trace
    grids = {tuple(layer.attrs["grid"]) for layer in trace.self_attention.values()}
    assert grids == {(8, 8), (4, 4)}
    assert trace.attention((0.3, 0.9)).shape == (8, 8)
    assert trace.attention((0.3, 0.9), layers="4x4").shape == (4, 4)
    np.testing.assert_array_equal(
        trace.attention((0.3, 0.9), layers="8x8"), trace.attention((2, 7), layers="8x8")
    )


@pytest.mark.parametrize("keep", [(), ("step",), ("head", "layer")])
def test_what_is_not_kept_is_averaged(keep):
    trace = looked(pipeline(), keep=keep).trace
    for name, whole in kept(pipeline).trace.self_attention.items():
        mean = whole.mean([axis for axis in ("step", "head") if axis not in keep])
        got = trace.self_attention[name]
        assert got.attrs["averaged"] == sorted({"step", "head"} - set(keep))
        np.testing.assert_allclose(got.squeeze(), mean.squeeze(), atol=1e-6)
    with pytest.raises(ArgumentError, match="were averaged while the model ran"):
        trace.attention(POINTS[0], **{"heads": 0} if "head" not in keep else {"steps": 0})


def test_every_patch_is_kept_in_the_layers_that_are_named():
    trace = looked(pipeline(), self_attention={"layers": ["mid", "up"]}).trace
    stages = {layer.attrs["stage"] for layer in trace.self_attention.values()}
    assert stages <= {"mid", "up"}
    assert trace.queries == ("mean",)
    assert trace.attention("mean").sum() == pytest.approx(1.0, abs=1e-5)
    assert trace.recipe["self_attention"]["patches"] == "all"
    for layer in trace.self_attention.values():
        assert layer.sizes["query"] == layer.sizes["key"]


@pytest.mark.parametrize("which", [pipeline, sd3])
def test_a_saved_trace_comes_back(which, tmp_path):
    trace = kept(which).trace
    kept(which).save(tmp_path / "look")
    again = Trace.load(tmp_path / "look" / "trace.zarr")
    assert again.recipe == trace.recipe
    assert list(again.self_attention) == list(trace.self_attention)
    for name, layer in trace.self_attention.items():
        np.testing.assert_allclose(again.self_attention[name], layer, atol=5e-4)
        assert again.self_attention[name].attrs == layer.attrs
        np.testing.assert_array_equal(again.self_attention[name]["timestep"], layer["timestep"])
    np.testing.assert_allclose(again.attention(POINTS[0]), trace.attention(POINTS[0]), atol=5e-4)
    maps = {file.name for file in (tmp_path / "look" / "heatmaps").iterdir()}
    assert {"cat.png", "patch_0_3__0_9.png", "patch_0_0__0_0.png"} <= maps
    kept(which).save(tmp_path / "look", overwrite=True)


def test_measures_read_it():
    table = over_trace(kept(sd3).trace, ["normalised_entropy", "centre"])
    assert {"cat", "patches"} <= set(table["of"])


def test_a_trace_tells_what_it_has():
    assert "; self-attention of 7 layers)" in repr(kept(pipeline).trace)
    with pytest.raises(TraceError, match=r"look again with self_attention=\["):
        seen().trace.attention((0.5, 0.5))
    with pytest.raises(ArgumentError, match=r"where patch \(0.9, 0.1\) looks was not kept"):
        kept(pipeline).trace.attention((0.9, 0.1))


def test_more_than_the_budget_is_refused_with_the_bytes_that_were_asked_for():
    # two steps, two heads, one patch of 4 bytes to each of the keys
    layers = kept(pipeline).trace.self_attention.values()
    bytes_asked = sum(4 * 2 * 2 * 1 * layer.sizes["key"] for layer in layers)
    options = {"patches": POINTS[:1], "max_bytes": bytes_asked}
    fits = looked(pipeline(), self_attention=SelfAttention(**options)).trace
    assert sum(layer.nbytes for layer in fits.self_attention.values()) == bytes_asked
    options["max_bytes"] -= 1
    with pytest.raises(
        ArgumentError, match=rf"look: self_attention would keep {bytes_asked:,} bytes .*max_bytes="
    ):
        looked(pipeline(), self_attention=options)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([(8, 0)], r"look: there is no patch \(8, 0\) in 'down.*rows are 0..7"),
        ([(6, 6)], r"look: there is no patch \(6, 6\) in '.*rows are 0..3.*a point such as"),
        ([(0.5, 1.5)], r"look: self_attention has \(0.5, 1.5\) and must be a list of patches"),
        ([], r"look: self_attention has \[\] and must be"),
        (True, r"look: self_attention is True and must be patches"),
        ({"max_bytes": 0}, "look: max_bytes is 0 and must be a whole number of 1 or more"),
        ({"layers": 99}, "self-attention layer is 99, and there are layers 0..6"),
    ],
)
def test_what_cannot_be_kept_is_refused(asked, said):
    with pytest.raises(ArgumentError, match=said):
        looked(pipeline(), self_attention=asked)


def test_what_are_no_patches_is_refused():
    for asked in ("cat", [3], [("a", "b")]):
        with pytest.raises(ArgumentError, match=r"look: self_attention has .* and must be a list"):
            unchecked(looked, pipeline(), self_attention=asked)


def test_what_is_not_known_is_refused_by_name():
    with pytest.raises(UnknownName, match="no self-attention layer is named 'attn2'"):
        looked(pipeline(), self_attention={"layers": "attn2"})
    with pytest.raises(UnknownName, match="no argument of self_attention is named 'layer'"):
        looked(pipeline(), self_attention={"layer": "up"})
    with pytest.raises(NothingObserved, match="in none of the layers that self_attention names"):
        looked(pipeline(), self_attention={"layers": "5x5"})
