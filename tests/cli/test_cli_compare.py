import json

import pytest
from typer.testing import CliRunner

from regard.cli import app


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["compare", *map(str, words)])


FEW = ("--num-inference-steps", 1, "--out", "c")


def test_prompts_come_from_options_and_a_file(model, there):
    (there / "prompts.txt").write_text("a dog\n\ntwo frogs\n")
    done = run("openmoji", model, "--prompt", "a cat", "--prompts", "prompts.txt", *FEW)
    assert done.exit_code == 0, done.output
    assert "seconds" in done.stdout
    assert "Open c/report.html" in done.stdout
    recipe = json.loads((there / "c" / "recipe.json").read_text())
    assert recipe["prompts"] == ["a cat", "a dog", "two frogs"]
    assert list(recipe["models"]) == ["openmoji", str(model)]
    again = run("openmoji", model, "--prompt", "a cat", *FEW)
    assert again.exit_code == 2
    assert "holds a comparison" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["openmoji"], "must be a list of two or more"),
        (["openmoji", "openmoji"], "two models are called 'openmoji'"),
        (["openmoji", "nowhere"], "nowhere"),
        (["openmoji", "openmoji", "--prompts", "none.txt"], "none.txt"),
        (["openmoji", "openmoji", "--seeds", "0"], "seeds is 0"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(words, said, there):
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(there.iterdir())
