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


def test_changes_are_those_asked_for_in_the_order_of_the_help(model, there):
    head = "mid_block.attentions.0.transformer_blocks.0.attn2:0=0"
    done = run(
        PROMPT, "--model", model, "--steps", 2, "--temperature", 0.5, "--scale", "turtle=2",
        "--scale", "a#2=0.5", "--drop", "cat", "--head", head, "--scale-layers", 0.9,
        "--method", "shuffled", "--during", "1-", "--out", "new",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    methods = json.loads((there / "new" / "recipe.json").read_text())["methods"]
    assert [each["method"] for each in methods] == [
        "drop", "scale", "scale-heads", "scale-layers", "temperature", "shuffled",
    ]  # fmt: skip
    assert all(each["steps"] == [1, 2] for each in methods)
    assert methods[1]["weights"] == {"turtle": 2.0, "a#2": 0.5}
    assert "distance inside" in done.stdout
    again = run("--recipe", "new/recipe.json", "--model", model)
    assert again.exit_code == 0, again.output
    images = [(there / name / "after" / "image.png").read_bytes() for name in ("new", "new-again")]
    assert images[0] == images[1]


def test_another_prompt_and_its_settings_are_those_of_the_method(model, there):
    done = run(
        PROMPT, "--to", "a dog and a turtle on grass", "--cross-steps", 0.5, "--cross-steps",
        "dog=0-1", "--self-steps", 0.5, "--reweight", "dog=2", "--local-blend", "cat, dog",
        "--mode", "refine", "--legacy", "--drop", "grass", "--during", 1, "--model", model,
        "--steps", 2, "--out", "new",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    methods = json.loads((there / "new" / "recipe.json").read_text())["methods"]
    assert methods[0] == {
        "method": "prompt-to-prompt", "prompt": "a dog and a turtle on grass", "mode": "refine",
        "cross": {"default": 0.5, "dog": [0.0, 1.0]}, "self": 0.5, "reweight": {"dog": 2.0},
        "local_blend": ["cat", "dog"], "legacy": True,
    }  # fmt: skip
    assert methods[1] == {"method": "drop", "words": ["grass"], "steps": [1, 2]}


def test_a_word_of_the_same_prompt_can_be_reweighted(model, there):
    done = run(PROMPT, "--reweight", "cat=2", "--model", model, "--steps", 2, "--out", "new")
    assert done.exit_code == 0, done.output
    [method] = json.loads((there / "new" / "recipe.json").read_text())["methods"]
    assert method == {"method": "prompt-to-prompt", "prompt": PROMPT, "reweight": {"cat": 2.0}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a prompt and at least one change"),
        ([PROMPT], "give a prompt and at least one change"),
        ([PROMPT, "--drop", "dog"], "no word is named 'dog'"),
        ([PROMPT, "--scale", "cat"], "--scale is 'cat' and must be WORD=FACTOR"),
        ([PROMPT, "--scale", "cat=much"], "'much' and must be a number"),
        ([PROMPT, "--head", "mid:x=0"], "must be LAYER:HEAD=FACTOR"),
        (
            [PROMPT, "--head", "mid_block.attentions.0.transformer_blocks.0.attn2:7=0"],
            "has heads 0",
        ),
        ([PROMPT, "--method", "unifrm"], "Did you mean 'uniform'"),
        ([PROMPT, "--method", "drop"], "--method drop needs --words"),
        ([PROMPT, "--method", "scale"], "--method scale needs weights. Use its own option"),
        ([PROMPT, "--method", "attend-and-excite"], "needs --words, such as --words cat,dog"),
        ([PROMPT, "--method", "attend-and-excite", "--words", "dog"], "no word is named 'dog'"),
        ([PROMPT, "--method", "uniform", "--words", "cat"], "no --method that was given takes"),
        ([PROMPT, "--words", "cat"], "no --method that was given takes words"),
        ([PROMPT, "--drop", "cat", "--kind", "self"], "drop takes no --kind"),
        ([PROMPT, "--to", "a dog", "--during", "0"], "prompt-to-prompt takes no --during"),
        ([PROMPT, "--to", " "], "the prompt is empty"),
        ([PROMPT, "--to", "a dog", "--cross-steps", "dog="], "--cross-steps is '' and must be a"),
        ([PROMPT, "--to", "a dog", "--self-steps", "1.2.3"], "--self-steps is '1.2.3' and must"),
        ([PROMPT, "--to", "a dog", "--self-steps", "1.5"], "self is 1.5 and must lie in 0..1"),
        ([PROMPT, "--to", "a dog", "--reweight", "dog"], "--reweight is 'dog' and must be WORD="),
        ([PROMPT, "--to", "a dog", "--local-blend", "bird"], "no word is named 'bird'"),
        ([PROMPT, "--to", "a dog", "--mode", "swap"], "no mode is named 'swap'"),
        ([PROMPT, "--drop", "cat", "--during", "early"], "--during is 'early' and must be"),
        ([PROMPT, "--drop", "cat", "--during", "0-9"], "step 9 is asked for, and the run has 2"),
        ([PROMPT, "--recipe", "x.json"], "Leave the prompt and the changes away, --seed, --steps"),
        (["--recipe", "x.json", "--stage", "up"], "Leave the prompt and the changes away, --seed"),
        (["--recipe", "x.json"], "Leave the prompt and the changes away, --seed, --steps"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(model, there, words, message):
    done = run(*words, "--model", model, "--steps", 2, "--out", "new")
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (there / "new").exists()


def test_a_recipe_that_is_not_there_is_one_line(model, there):
    done = run("--recipe", "x.json", "--model", model)
    assert done.exit_code == 2
    assert "x.json could not be read: No such file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_method_gets_its_words(model, there):
    options = ("--method", "attend-and-excite", "--words", "cat, turtle", "--steps", 2)
    done = run(PROMPT, "--model", model, *options, "--out", "new")
    assert done.exit_code == 0, done.output
    [method] = json.loads((there / "new" / "recipe.json").read_text())["methods"]
    assert method == {"method": "attend-and-excite", "words": ["cat", "turtle"]}
