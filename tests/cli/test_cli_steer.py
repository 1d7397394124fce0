import json

import pytest
from typer.testing import CliRunner

from looks import PROMPT
from regard.cli import app


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["steer", *map(str, words)])


def methods_of(folder):
    return json.loads((folder / "recipe.json").read_text())["methods"]


def test_methods_are_those_given_in_their_order(model, there):
    head = "mid_block.attentions.0.transformer_blocks.0.attn2"
    done = run(
        PROMPT, "--model", model, "--num-inference-steps", 2,
        "--scale", "turtle=2", "--scale", "a#2=0.5",
        "--method", f"scale-heads layer={head} factors.0=0 steps=1",
        "--method", "temperature factor=0.5 layers=up kind=cross", "--drop", "cat",
        "--method", "shuffled steps=1:2", "--out", "new",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert methods_of(there / "new") == [
        {"method": "drop", "words": "cat"},
        {"method": "scale", "weights": {"turtle": 2.0}},
        {"method": "scale", "weights": {"a#2": 0.5}},
        {"method": "scale-heads", "layer": head, "factors": {"0": 0.0}, "where": {"steps": 1}},
        {"method": "temperature", "factor": 0.5, "where": {"layers": "up", "kind": "cross"}},
        {"method": "shuffled", "where": {"steps": [1, 2]}},
    ]
    assert "distance inside" in done.stdout
    again = run("--recipe", "new/recipe.json", "--model", model)
    assert again.exit_code == 0, again.output
    images = [(there / name / "after" / "image.png").read_bytes() for name in ("new", "new-again")]
    assert images[0] == images[1]


def test_short_options_are_their_methods(model, there):
    short = ("--to", "a dog and a turtle on grass", "--drop", "grass")
    long = (
        "--method", 'prompt-to-prompt prompt="a dog and a turtle on grass"',
        "--method", "drop words=grass",
    )  # fmt: skip
    for name, words in (("short", short), ("long", long)):
        done = run(PROMPT, *words, "--model", model, "--num-inference-steps", 2, "--out", name)
        assert done.exit_code == 0, done.output
    assert methods_of(there / "short") == methods_of(there / "long")


def test_a_recipe_of_before_is_replayed(model, there):
    options = ("--method", "temperature factor=0.5 steps=1 stage=up", "--num-inference-steps", 2)
    assert run(PROMPT, *options, "--model", model, "--out", "new").exit_code == 0
    recipe = json.loads((there / "new" / "recipe.json").read_text())
    recipe["methods"] = [{"method": "temperature", "factor": 0.5, "steps": 1, "place": "up"}]
    (there / "old.json").write_text(json.dumps(recipe))
    done = run("--recipe", "old.json", "--model", model, "--out", "again")
    assert done.exit_code == 0, done.output
    images = [(there / name / "after" / "image.png").read_bytes() for name in ("new", "again")]
    assert images[0] == images[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a prompt and at least one method"),
        ([PROMPT], "give a prompt and at least one method"),
        ([PROMPT, "--drop", "dog"], "no word is named 'dog'"),
        ([PROMPT, "--scale", "cat"], "'weights.cat' is no setting. Settings follow"),
        ([PROMPT, "--method", ""], "must name a method and its settings"),
        ([PROMPT, "--method", "unifrm"], "Did you mean 'uniform'"),
        ([PROMPT, "--method", "drop"], "drop: words is missing"),
        ([PROMPT, "--method", "drop words=cat kind=self"], "no setting of drop is named 'kind'"),
        ([PROMPT, "--method", "attend-and-excite words=dog"], "no word is named 'dog'"),
        ([PROMPT, "--method", "drop words=cat steps=0:9"], "includes step 8, and the run has 2"),
        ([PROMPT, "--to", " "], "the prompt is empty"),
        ([PROMPT, "--recipe", "x.json"], "Leave out the prompt and the methods, --seed and all"),
        (["--recipe", "x.json", "--drop", "a"], "Leave out the prompt and the methods, --seed"),
        (["--recipe", "x.json"], "Leave out the prompt and the methods, --seed and all"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(model, there, words, message):
    done = run(*words, "--model", model, "--num-inference-steps", 2, "--out", "new")
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (there / "new").exists()


def test_a_recipe_that_is_not_there_is_one_line(model, there):
    done = run("--recipe", "x.json", "--model", model)
    assert done.exit_code == 2
    assert "x.json could not be read: No such file" in done.stderr
    assert done.stderr.count("\n") == 1
