import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.measures import measures, over_trace
from regard.trace import toy_trace, toy_vision
from test_light import loaded_by


def regard_(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def words(tmp_path):
    toy_trace().save(tmp_path / "words.zarr")
    return tmp_path / "words.zarr"


@pytest.fixture
def patches(tmp_path):
    toy_vision().save(tmp_path / "patches.zarr")
    return tmp_path / "patches.zarr"


def test_a_trace_of_words_is_shown_by_layer_and_word(words):
    done = regard_("measure", words, "mass", "perplexity")
    assert done.exit_code == 0, done.output
    mass, perplexity = done.stdout.split("\n\n")
    assert mass.startswith("mass, share of attention, by word")
    assert "cat" in mass
    assert "0.1094" in mass  # 3.5 of 32
    assert perplexity.startswith("perplexity, key, by word")


def test_a_trace_of_a_picture_is_shown_by_layer_and_head(patches):
    done = regard_("measure", patches, "sink_mass", "attention_distance")
    assert done.exit_code == 0, done.output
    assert "sink_mass of cls, share of attention, by head" in done.stdout
    assert "sink_mass of patches, share of attention, by head" in done.stdout
    assert "attention_distance of patches, px, by head" in done.stdout
    assert "layers.1.attention" in done.stdout


def test_queries_without_a_value_are_told(tmp_path):
    toy = toy_trace()
    for name, layer in toy.layers.items():
        toy.layers[name] = layer.where(layer["key"] != 2, 0).assign_attrs(layer.attrs)
    toy.save(tmp_path / "trace.zarr")
    done = regard_("measure", tmp_path / "trace.zarr", "entropy")
    assert "8 queries have no value and were left out." in done.stdout  # 2 layers, steps, heads


def test_every_value_can_be_had_as_csv_and_json(words, tmp_path):
    out = tmp_path / "values.csv"
    done = regard_("measure", words, "entropy", "--csv", out, "--json")
    assert done.exit_code == 0, done.output
    table = over_trace(words, "entropy")
    pd.testing.assert_frame_equal(pd.read_csv(out), table, check_dtype=False)
    pd.testing.assert_frame_equal(pd.DataFrame(json.loads(done.stdout)), table, check_dtype=False)
    again = regard_("measure", words, "entropy", "--csv", out)
    assert again.exit_code == 2
    assert "exists already. Choose another name." in again.stderr


def test_a_mistake_is_one_line(words, tmp_path):
    for arguments in (("entropi",), ("iou",)):
        done = regard_("measure", words, *arguments)
        assert done.exit_code == 2
        assert len(done.stderr.strip().splitlines()) == 1
    assert regard_("measure", tmp_path / "nowhere.zarr", "entropy").exit_code == 2
    missing = regard_("measure", words, "entropy", "--csv", tmp_path / "no" / "values.csv")
    assert missing.exit_code == 2
    assert f"{tmp_path / 'no'}" in missing.stderr


def test_the_measures_are_listed_with_unit_range_direction_and_source():
    done = regard_("measures")
    assert done.exit_code == 0, done.output
    for name in measures.names():
        assert f"\n{name} (" in f"\n{done.stdout}"
    assert "entropy (bit, 0..log2(keys))" in done.stdout
    assert "Higher: spread wider." in done.stdout
    assert "Shannon (1948)" in done.stdout


def test_measuring_a_trace_loads_no_torch(words):
    code = "from regard.measures import over_trace; over_trace(sys.argv[1], ['entropy', 'mass'])"
    assert loaded_by(code, str(words)) == []


def test_listing_the_measures_loads_no_torch():
    code = "from regard.measures import measures; [measures.get(name) for name in measures]"
    assert loaded_by(code) == []
