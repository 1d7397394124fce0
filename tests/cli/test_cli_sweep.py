import json
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from looks import PROMPT
from regard.cli import app
from regard.experiments.sweep import sweep as run_sweep


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


def test_it_writes_a_folder_and_tells_the_strongest(model, there):
    done = run(
        "heads",
        PROMPT,
        "--model",
        model,
        "--num-inference-steps",
        2,
        "--seeds",
        1,
        "--during",
        "1-",
    )
    assert done.exit_code == 0, done.output
    assert "Wrote" in done.stdout
    assert "... and 16 more, in summary.csv." in done.stdout
    assert json.loads((there / "sweep-heads" / "recipe.json").read_text())["during"] == [1, 2]
    assert [each.name for each in there.iterdir()] == ["sweep-heads"]
    again = run("heads", PROMPT, "--model", model)
    assert again.exit_code == 2
    assert "holds a sweep. Choose another folder, or overwrite=True" in again.stderr


def test_json_is_all_that_is_printed(model, there):
    done = run(
        "stages",
        PROMPT,
        "a cat",
        "--model",
        model,
        "--num-inference-steps",
        1,
        "--json",
        "--out",
        "new",
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["prompts"] == [PROMPT, "a cat"]
    assert told["seeds"] == [0, 1]
    assert len(told["summary"]) == 6
    assert told["summary"][0]["images"] == 4
    assert Path(told["folder"]).name == "new"
    saved = pd.read_csv(there / "new" / "summary.csv")
    assert [row["ablation"] for row in told["summary"]] == list(saved["ablation"])


def test_stopped_it_says_how_to_go_on_and_goes_on(model, there, monkeypatch):
    command = (
        "stages",
        PROMPT,
        "a cat",
        "--model",
        model,
        "--num-inference-steps",
        2,
        "--seeds",
        1,
    )
    stop_after = [10]

    def stopped(*args, progress, **options):
        def advance(done, total):
            if done > stop_after[0]:
                raise KeyboardInterrupt
            progress(done, total)

        return run_sweep(*args, **options, progress=advance)

    monkeypatch.setattr(import_module("regard.experiments.sweep"), "sweep", stopped)
    done = run(*command)
    assert done.exit_code == 130
    assert done.stderr == (
        "regard: stopped; 1 prompt and seed is kept. The same command goes on from there.\n"
    )
    assert [each.name for each in there.iterdir()] == ["sweep-stages.unfinished"]
    (there / "sweep-stages.unfinished" / "mine.txt").write_text("kept")
    stop_after[0] = 99
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(there / "sweep-stages" / "table.csv")) == 12
    left = [each.name for each in (there / "sweep-stages.unfinished").iterdir()]
    assert left == ["mine.txt"]


def test_stopped_before_anything_was_finished_it_says_so(model, there, monkeypatch):
    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("regard.experiments.sweep"), "sweep", stopped)
    done = run("heads", PROMPT, "--model", model)
    assert done.exit_code == 130
    assert "no prompt and seed was finished yet, so nothing was written" in done.stderr
    assert not list(there.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["haeds", PROMPT], "no sweep is named 'haeds'. Did you mean 'heads'?"),
        (["heads"], "there is no prompt"),
        (["heads", PROMPT, "--seeds", 0], "seeds is 0 and must be 1 or more"),
        (["heads", PROMPT, "--during", "early"], "sweep: --during is 'early' and must be such as"),
        (["heads", PROMPT, "--during", "0-5"], "sweep: step 5 is asked for, and the run has 2"),
        (["heads", PROMPT + " and" * 9], "would cut this off"),
        (["heads", PROMPT, "--out", "mine"], "holds 'photo', which no sweep wrote"),
        (["heads", PROMPT, "--encoder", "clipp"], "clipp"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(model, there, words, message):
    (there / "mine").mkdir()
    (there / "mine" / "photo").write_text("kept")
    done = run(*words, "--model", model, "--num-inference-steps", 2)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [each.name for each in there.iterdir()] == ["mine"]
