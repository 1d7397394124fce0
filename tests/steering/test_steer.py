import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from looks import PROMPT, pipeline
from regard.errors import ArgumentError, DataError, RegardError, UnknownName
from regard.look import look
from regard.methods import drop, scale, temperature
from regard.steering import replay, steer
from regard.steering.table import finest_map, region


@pytest.fixture(scope="module")
def steered():
    return steer(pipeline(), PROMPT, [drop("cat"), temperature(0.5)], num_inference_steps=2)


def value(table, measure, word="", column="change"):
    return table.query("measure == @measure and word == @word")[column].item()


def test_both_looks_are_what_look_makes(steered):
    bare = look(pipeline(), PROMPT, num_inference_steps=2)
    assert torch.equal(steered.before.latents, bare.latents)
    under = look(pipeline(), PROMPT, num_inference_steps=2, methods=[drop("cat"), temperature(0.5)])
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


def test_progress_counts_the_steps_of_both():
    told = []
    steer(
        pipeline(),
        PROMPT,
        [scale({"cat": 2.0})],
        num_inference_steps=2,
        progress=lambda *at: told.append(at),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_cannot_be_is_refused_before_anything_is_drawn():
    with pytest.raises(ArgumentError, match="^steer: there is no method. Give at least one"):
        steer(pipeline(), PROMPT, [])
    with pytest.raises(UnknownName, match="no word is named 'dog'"):
        steer(pipeline(), PROMPT, [drop("dog")], progress=lambda *_: pytest.fail("it ran"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ("[]", "no recipe of steering"), ("{}", "no recipe of")],
)
def test_a_file_that_is_no_recipe_is_told(tmp_path, text, message):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(DataError, match=message):
        replay(pipeline(), tmp_path / "recipe.json")
    with pytest.raises(DataError, match="none.json could not be read: No such file"):
        replay(pipeline(), tmp_path / "none.json")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prompt", 3, "the recipe's prompt is 3 and must be text"),
        ("prompt", ["a cat"], r"the recipe's prompt is \['a cat'\] and must be text"),
        ("prompt", "", "the prompt is empty"),
        ("negative_prompt", None, "negative_prompt is None and must be text"),
        ("seed", "0", "the recipe's seed is '0' and must be a whole number"),
        ("seed", 1.5, "the recipe's seed is 1.5 and must be a whole number"),
        ("seed", True, "the recipe's seed is True and must be a whole number"),
        ("seed", -1, r"must lie in 0\.\.2"),
        (
            "num_inference_steps",
            "2",
            "the recipe's num_inference_steps is '2' and must be a whole number",
        ),
        ("num_inference_steps", 10**9, "must be at most 1000"),
        ("num_inference_steps", 0, "must be 1 or more"),
        ("guidance_scale", "4", "guidance_scale is '4' and must be a number"),
        ("guidance_scale", None, "guidance_scale is None and must be a number"),
        ("guidance_scale", float("nan"), "guidance_scale is nan and must be 0 or more"),
        ("size", 16, "the recipe's size is 16 and must be a list"),
        ("size", [16], r"the recipe's size is \[16\] and must be a list of rows and columns"),
        ("size", ["16", 16], "must be a list of rows and columns"),
        ("size", [16, 0], "width is 0 and must be 1 or more"),
        ("keep", "step", "the recipe's keep is 'step' and must be a list"),
        ("keep", [3], "keep is .* and must name axes"),
        ("keep", ["nothing"], "'nothing', which is not one of step, layer, head"),
        ("methods", {}, "the recipe's methods is {} and must be a list"),
        ("methods", [], "there is no method"),
        ("methods", ["drop"], "has the method 'drop', which must be an object"),
        ("methods", [{"words": "cat"}], "which must be an object with the name of a 'method'"),
        ("methods", [{"method": 3}], "which must be an object with the name of a 'method'"),
        ("methods", [{"method": "dorp"}], "no method is named 'dorp'"),
        ("methods", [{"method": "drop", "word": "cat"}], "drop cannot be made of"),
        ("methods", [{"method": "drop", "words": 3}], "drop|cannot be done"),
        ("methods", [{"method": "drop", "words": None}], "drop|cannot be done"),
        ("methods", [{"method": "drop", "words": {"a": [1]}}], "drop|cannot be done|no word"),
        ("methods", [{"method": "scale", "weights": {"cat": "x"}}], "scale|cannot be done"),
        ("methods", [{"method": "scale", "weights": [1]}], "scale|cannot be done"),
        ("methods", [{"method": "temperature", "factor": "hot"}], "temperature|cannot be done"),
        ("methods", [{"method": "temperature", "factor": 2.0, "steps": "all"}], "temperature|ste"),
        ("methods", [{"method": "shuffled", "seed": "x"}], "shuffled|cannot be done"),
        ("methods", [{"method": "temperature", "factor": 10**30}], "cannot be (done|made)"),
        ("weights_sha256", 3, "weights_sha256 is 3 and must be text"),
        ("scheduler", None, "scheduler is None and must be text"),
        ("scheduler_config", [], r"scheduler_config is \[\] and must be an object"),
        ("dtype", 32, "dtype is 32 and must be text"),
        ("version", 3, "the recipe is of version 3; this release reads up to version 2"),
        ("version", "1", "the recipe is of version '1'"),
        ("format", "regard-look", "this is no recipe of steering"),
    ],
)
def test_a_recipe_that_was_changed_is_one_clear_line(steered, field, value, said):
    with pytest.raises(RegardError, match=said) as refused:
        replay(pipeline(), {**steered.recipe, field: value})
    assert "\n" not in str(refused.value)


NEEDED = (
    "prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale", "size", "keep",
    "methods",
    "weights_sha256", "dtype", "scheduler", "scheduler_config",
)  # fmt: skip


@pytest.mark.parametrize("field", NEEDED)
def test_a_recipe_without_a_field_is_told_which(steered, field):
    told = {name: value for name, value in steered.recipe.items() if name != field}
    with pytest.raises(DataError, match=f"the recipe lacks '{field}'"):
        replay(pipeline(), told)


def test_a_recipe_of_the_first_version_is_replayed(steered):
    old = {**steered.recipe, "version": 1, "steps": steered.recipe["num_inference_steps"]}
    del old["num_inference_steps"]
    again = replay(pipeline(), old)
    assert torch.equal(again.after.latents, steered.after.latents)


def other_weights(pipe):
    with torch.no_grad():
        next(pipe.unet.parameters()).view(-1)[0] += 1


def other_text_encoder(pipe):
    with torch.no_grad():
        next(pipe.text_encoder.parameters()).view(-1)[0] += 1


def other_scheduler(pipe):
    from diffusers import EulerDiscreteScheduler

    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)


def other_setting(pipe):
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, beta_end=0.02)


def other_dtype(pipe):
    pipe.unet.double()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, r"its weights_sha256 is [0-9a-f]{24}, not [0-9a-f]{24}\. Give that model"),
        (other_text_encoder, "its weights_sha256 is "),
        (other_scheduler, "its scheduler is EulerDiscreteScheduler, not DDIMScheduler"),
        (other_setting, r"its scheduler's beta_end is 0\.02, not 0\.012\. Give that model"),
        (other_dtype, "its dtype is float64, not float32"),
    ],
)
def test_another_model_than_the_recipe_was_made_with_is_refused(steered, change, said):
    import copy

    pipe = copy.deepcopy(pipeline())
    change(pipe)
    with pytest.raises(ArgumentError, match=said) as refused:
        replay(pipe, steered.recipe)
    assert str(refused.value).startswith(
        "replay: this is not the model that the recipe was made with: "
    )


def test_what_only_another_version_of_the_library_writes_is_no_difference(steered):
    told = {**steered.recipe["scheduler_config"], "new_setting": 1, "_diffusers_version": "9"}
    again = replay(pipeline(), {**steered.recipe, "scheduler_config": told})
    assert torch.equal(again.after.latents, steered.after.latents)
