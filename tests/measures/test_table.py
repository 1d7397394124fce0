from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from layer_of_maps import layer_of_maps
from regard.errors import ArgumentError, TraceError, UnknownName
from regard.measures import measures, over_trace, parts
from regard.measures.about import measure
from regard.trace import Trace, labelled_layer, toy_trace, toy_vision

GRID, TOKENS = (3, 4), 14
PREFIX = ["cls", "register.1"]


def vision(steps=2, heads=3, **options):
    """Random self-attention of two layers over 3x4 patches, a class token and a register."""
    rng = np.random.default_rng(0)
    layers = {
        name: labelled_layer(
            rng.dirichlet(np.ones(TOKENS), size=(steps, heads, TOKENS)),
            grid=GRID,
            prefix=PREFIX,
            patch=(8, 8),
            steps=range(steps),
            timesteps=[0.0] * steps,
            **options,
        )
        for name in ("layers.0", "layers.1")
    }
    return Trace(layers, (), {})


def one(table, **chosen):
    for name, value in chosen.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table["value"].item()


QUERIES = ["entropy", "coverage", "gini", "attention_distance", "extent", "head_diversity"]


@pytest.mark.parametrize("name", [*QUERIES, "sink_mass"])
def test_the_table_has_the_mean_over_the_patches_of_each_head(name):
    trace = vision()
    table = over_trace(trace, name)
    rows = trace.self_attention["layers.1"].isel(step=1, query=slice(2, None))
    more = {"attention_distance": [GRID], "extent": [GRID]}.get(name, [])
    options = {"patch": (8.0, 8.0)} if more else {}
    expected = measures[name](rows, *more, prefix=2, **options)
    if name == "head_diversity":
        got = one(table, layer="layers.1", step=1, head="all", of="patches")
        assert got == pytest.approx(expected.item(), abs=1e-6)
        return
    for head in range(3):
        got = one(table, layer="layers.1", step=1, head=head, of="patches")
        assert got == pytest.approx(expected.isel(head=head).mean("query").item(), rel=1e-5)


@pytest.mark.parametrize("block", [1, 40, 200])
def test_the_size_of_the_blocks_does_not_change_the_table(monkeypatch, block):
    names = [*QUERIES, "centre", "sink_mass"]
    whole = over_trace(vision(), names)
    monkeypatch.setattr(parts, "BLOCK", block)
    cut = over_trace(vision(), names)
    order = ["layer", "step", "head", "of", "measure"]
    one, other = (each.sort_values(order, ignore_index=True) for each in (whole, cut))
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_a_saved_trace_is_measured_as_the_one_in_memory(tmp_path):
    trace = vision()
    trace.save(tmp_path / "trace.zarr")
    names = ["entropy", "attention_distance", "head_diversity"]
    table, saved = over_trace(trace, names), over_trace(tmp_path / "trace.zarr", names)
    pd.testing.assert_frame_equal(saved, table, rtol=2e-3)  # float16


def test_the_columns_say_what_was_measured_where_and_in_which_unit():
    table = over_trace(vision(steps=1), ["attention_distance", "entropy"])
    assert list(table) == [
        *("layer", "place", "step", "head", "of", "measure", "value", "unit", "n", "undefined"),
    ]
    assert table.groupby("of")["n"].max().to_dict() == {"cls": 1, "register.1": 1, "patches": 12}
    assert set(table["of"]) == {"cls", "register.1", "patches"}
    units = dict(zip(table["measure"], table["unit"], strict=True))
    assert units == {"attention_distance": "px", "entropy": "bit"}
    distances = table[table["measure"] == "attention_distance"]
    assert set(distances["of"]) == {"patches"}  # a class token lies nowhere


def test_the_centre_has_two_parts():
    table = over_trace(toy_vision(), "centre")
    assert set(table["measure"]) == {"centre y", "centre x"}
    # head 0 of the second layer: 5 of 6 on the left
    got = one(table, layer="layers.1.attention", head=0, of="cls", measure="centre x")
    assert got == pytest.approx(1 / 6)


def test_the_query_of_a_pooling_head_is_the_probe():
    weights = np.full((1, 2, 1, 4), 0.25)
    layer = labelled_layer(weights, grid=(2, 2), kind="pool")
    table = over_trace(Trace({"head": layer}, (), {}), "entropy")
    assert table["of"].tolist() == ["probe", "probe"]
    assert table["value"].tolist() == [2, 2]


def test_queries_that_were_kept_are_known_by_their_number():
    layer = labelled_layer(
        np.eye(5)[None, None, [0, 3]], grid=(2, 2), prefix=["cls"], queries=[0, 3]
    )
    table = over_trace(Trace({"a": layer}, (), {}), ["attention_distance", "entropy"])
    assert one(table, measure="attention_distance") == 0
    # the class token looks at itself alone, so over patches it has no entropy
    cls = table[(table["of"] == "cls") & (table["measure"] == "entropy")]
    assert np.isnan(cls["value"].item())
    assert cls["undefined"].item() == 1


def test_words_are_measured_by_their_map():
    table = over_trace(toy_trace(), ["normalised_entropy", "mass", "centre", "head_diversity"])
    toy = {"layer": "mid_block.attentions.0", "step": 1, "head": 1}
    shares = np.array([6, 1, 6, 1]) / 14
    expected = -(shares * np.log2(shares)).sum() / 2
    got = one(table, **toy, of="cat", measure="normalised_entropy")
    assert got == pytest.approx(expected, rel=1e-6)
    assert one(table, **toy, of="cat", measure="mass") == pytest.approx(3.5 / 32)
    assert one(table, **toy, of="dog", measure="centre x") == pytest.approx(6 / 7)
    diverse = table[table["measure"] == "head_diversity"]
    assert set(diverse["head"]) == {"all"}
    np.testing.assert_allclose(diverse["value"], 0, atol=1e-7)
    assert set(table["place"]) == {"down", "mid"}


def test_a_word_of_several_tokens_has_the_map_of_their_sum(monkeypatch):
    monkeypatch.setattr(parts, "BLOCK", 1)
    toy = toy_trace()
    tokens = tuple(replace(t, word="cat") if t.word == "dog" else t for t in toy.tokens)
    table = over_trace(replace(toy, tokens=tokens), "mass")
    got = one(table, layer="mid_block.attentions.0", step=0, head=0, of="cat")
    assert got == pytest.approx(7 / 32)


def test_a_word_that_gets_nothing_has_no_value_and_is_counted():
    toy = toy_trace()
    layers = {name: layer * (layer["key"] != 2) for name, layer in toy.layers.items()}
    for name, layer in layers.items():
        layers[name] = layer.assign_attrs(toy.layers[name].attrs)
    table = over_trace(replace(toy, layers=layers), ["entropy", "mass", "head_diversity"])
    cat = table[table["of"] == "cat"]
    lost = cat[cat["measure"] != "mass"]
    assert lost["value"].isna().all()
    assert (lost["undefined"] == 1).all()
    assert (cat[cat["measure"] == "mass"]["value"] == 0).all()
    assert table[table["of"] != "cat"]["value"].notna().all()


def test_what_was_averaged_is_told():
    layer = layer_of_maps(
        np.full((1, 1, 1, 2, 2), 0.5), steps=[0], timesteps=[0.0], tokens=[2],
        averaged=["step", "head"],
    )  # fmt: skip
    table = over_trace(replace(toy_trace(), layers={"a": layer}), "entropy")
    assert table[["step", "head", "value"]].values.tolist() == [["mean", "mean", 2]]


def test_a_measure_of_another_package_is_taken_by_what_it_reads(monkeypatch):
    @measure(unit="1", reads="grid rows", higher="more at the top")
    def at_the_top(weights, grid, *, prefix=0):
        """How much goes to the first row of patches."""
        first = weights.isel(key=slice(prefix, prefix + grid[1])).sum("key")
        return first.assign_attrs(units="1")

    monkeypatch.setattr(type(measures), "get", lambda self, name: {"at_the_top": at_the_top}[name])
    words = over_trace(toy_trace(), "at_the_top")
    np.testing.assert_allclose(words["value"].groupby(words["layer"]).mean(), [0.25, 0.5])
    patches = over_trace(toy_vision(), "at_the_top")
    assert one(patches, layer="layers.0.attention", head=0, of="cls") == 6 / 16


def test_a_measure_that_cannot_be_taken_so_is_refused():
    with pytest.raises(UnknownName, match="no measure is named 'entropi'. Did you mean 'entropy'"):
        over_trace(toy_trace(), "entropi")
    with pytest.raises(ArgumentError, match="'iou' has no value per query.*Call it on a layer"):
        over_trace(toy_trace(), "iou")
    with pytest.raises(ArgumentError, match="'head_correlation' has no value per query"):
        over_trace(toy_trace(), "head_correlation")
    with pytest.raises(ArgumentError, match="names is empty. Name at least one"):
        over_trace(toy_trace(), [])
    for name in ("attention_distance", "sink_mass"):
        with pytest.raises(ArgumentError, match=f"'{name}' finds nothing.*where words lie"):
            over_trace(toy_trace(), name)
    with pytest.raises(ArgumentError, match="'mass' finds nothing.*where patches look"):
        over_trace(toy_vision(), "mass")
    with pytest.raises(TraceError, match="there is nothing at"):
        over_trace("nowhere.zarr", "entropy")


def test_attention_that_an_edit_left_unnormalised_is_refused():
    bad = toy_vision()
    first, second = bad.layers
    bad.layers[first] = (bad.layers[first] * 2).assign_attrs(bad.layers[second].attrs)
    with pytest.raises(ValueError, match="entropy: attention must be >= 0 and sum to 1"):
        over_trace(bad, "entropy")


def test_only_blocks_of_a_saved_trace_are_in_memory(tmp_path, monkeypatch):
    """The largest array that a measure is given is no larger than a block."""
    trace = vision(steps=1)
    trace.save(tmp_path / "trace.zarr")
    monkeypatch.setattr(parts, "BLOCK", 3 * TOKENS * 2)
    seen = []
    kernel = parts.parts_at

    def watched(layer, step, tokens):
        assert not isinstance(layer.variable._data, np.ndarray)
        for part in kernel(layer, step, tokens):
            seen.append(part.rows.size)
            yield part

    monkeypatch.setattr("regard.measures.table.parts_at", watched)
    over_trace(tmp_path / "trace.zarr", "entropy")
    assert max(seen) == 3 * TOKENS * 2
    assert sum(seen) == 2 * trace.self_attention["layers.0"].size
    assert isinstance(trace.self_attention["layers.0"], xr.DataArray)
