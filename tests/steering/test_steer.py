import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from looks import PROMPT, pipeline
from regard.errors import ArgumentError, DataError, OutputError, UnknownName
from regard.look import look
from regard.methods import drop, scale, temperature
from regard.steering import check_folder, replay, steer
from regard.steering.table import finest_map, region


@pytest.fixture(scope="module")
def steered():
    return steer(pipeline(), PROMPT, [drop("cat"), temperature(0.5)], steps=2)


def value(table, measure, word="", column="change"):
    return table.query("measure == @measure and word == @word")[column].item()


def test_both_looks_are_what_look_makes(steered):
    bare = look(pipeline(), PROMPT, steps=2)
    assert torch.equal(steered.before.latents, bare.latents)
    under = look(pipeline(), PROMPT, steps=2, methods=[drop("cat"), temperature(0.5)])
    assert torch.equal(steered.after.latents, under.latents)


def test_the_table_says_what_changed(steered):
    table = steered.table
    mass = [
        each.trace.words().set_index("word")["mass"] for each in (steered.before, steered.after)
    ]
    for word in steered.before.trace.word_names:
        assert value(table, "mass", word, "before") == pytest.approx(mass[0][word])
        assert value(table, "mass", word) == pytest.approx(mass[1][word] - mass[0][word])
    assert value(table, "mass", "cat", "after") == 0
    pixels = [np.asarray(each.image, float) for each in (steered.before, steered.after)]
    apart = np.abs(pixels[0] - pixels[1]).mean(-1) / 255
    inside = region(steered.before, "cat", apart.shape)
    assert value(table, "distance") == pytest.approx(apart.mean())
    assert value(table, "distance inside", "cat") == pytest.approx(apart[inside].mean())
    assert value(table, "distance outside", "cat") == pytest.approx(apart[~inside].mean())
    assert "segmenter" not in set(table["measure"])  # nobody judges a model that we do not know


def test_the_region_of_a_word_is_its_hottest_fifth(steered):
    inside = region(steered.before, "cat", (8, 8))
    assert 0.15 <= inside.mean() <= 0.3
    heat = finest_map(steered.before, "cat")
    assert heat.shape == (8, 8)  # of layers with 8x8 and 4x4 tokens
    assert heat.values[inside].min() >= heat.values[~inside].max()


def test_a_recipe_replays(steered, tmp_path):
    again = replay(pipeline(), steered.recipe)
    assert torch.equal(again.after.latents, steered.after.latents)
    assert torch.equal(again.before.latents, steered.before.latents)
    steered.save(tmp_path / "out")
    read = replay(pipeline(), tmp_path / "out" / "recipe.json")
    assert torch.equal(read.after.latents, steered.after.latents)


def test_a_folder_has_all_of_it(steered, tmp_path):
    steered.save(tmp_path / "out")
    names = {each.name for each in (tmp_path / "out").iterdir()}
    assert names == {"before", "after", "maps.png", "table.csv", "recipe.json", "page.html"}
    kept = Image.open(tmp_path / "out" / "after" / "image.png")
    assert np.array_equal(np.asarray(kept), np.asarray(steered.after.image))
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(table) == ["measure", "word", "unit", "before", "after", "change"]
    assert len(table) == len(steered.table)
    page = (tmp_path / "out" / "page.html").read_text()
    assert "drop: {&quot;words&quot;: &quot;cat&quot;}; temperature" in page
    assert "http" not in page.replace("http-equiv", "")
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert recipe["methods"][0] == {"method": "drop", "words": "cat"}


def test_what_is_there_is_not_lost(steered, tmp_path):
    steered.save(tmp_path / "out")
    with pytest.raises(OutputError, match="'.*out' holds a steering. Choose another folder, or"):
        steered.save(tmp_path / "out")
    steered.save(tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="holds 'mine.txt', which no steering wrote"):
        check_folder(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_progress_counts_the_steps_of_both():
    told = []
    steer(pipeline(), PROMPT, [scale({"cat": 2.0})], steps=2, progress=lambda *at: told.append(at))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_cannot_be_is_refused_before_anything_is_drawn():
    with pytest.raises(ArgumentError, match="^steer: there is no method. Give at least one"):
        steer(pipeline(), PROMPT, [])
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        steer(pipeline(), PROMPT, [drop("dog")], progress=lambda *_: pytest.fail("it ran"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ("[]", "no recipe of steering"), ("{}", "no recipe of")],
)
def test_a_file_that_is_no_recipe_is_told(tmp_path, text, message):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(DataError, match=message):
        replay(pipeline(), tmp_path / "recipe.json")
    with pytest.raises(DataError, match="'.*none.json' cannot be read"):
        replay(pipeline(), tmp_path / "none.json")
