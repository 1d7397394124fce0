import json
from importlib import import_module

import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.experiments.benchmark import CONTENDERS
from regard.scores.judges import Fit

FEW = ["a cat and a dog"]


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_module("regard.experiments.benchmark"), "quick_prompts", lambda: FEW)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["benchmark", "attend-and-excite", *map(str, words)])


QUICK = ("--quick", "--num-inference-steps", 2, "--captioner", "none", "--out", "b")


def test_a_table_is_printed_and_the_folder_is_complete(model, there):
    done = run("--model", model, *QUICK)
    assert done.exit_code == 0, done.output
    assert "minimum object similarity" in done.stdout
    assert "cost" in done.stdout
    assert "Open b/report.html" in done.stdout
    assert not (there / "b.unfinished").exists()
    again = run("--model", model, *QUICK)
    assert again.exit_code == 2
    assert "holds a benchmark" in again.stderr
    told = run("--model", model, *QUICK, "--overwrite", "--json")
    found = {row["method"] for row in json.loads(told.stdout)["summary"]}
    assert found == {"baseline", *CONTENDERS}


def test_an_interrupted_one_says_what_is_kept_and_goes_on(model, there, monkeypatch):
    kept = []

    def stop_at_the_second(judge, images, requests, baseline):
        if kept:
            raise KeyboardInterrupt
        kept.append(requests)
        return said(judge, images, requests, baseline)

    said, two = Fit.__call__, [*FEW, "a dog and a frog"]
    monkeypatch.setattr(import_module("regard.experiments.benchmark"), "quick_prompts", lambda: two)
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "__call__", stop_at_the_second)
        done = run("--model", model, *QUICK)
    assert done.exit_code == 130
    assert "1 prompt and seed is kept. The same command goes on" in done.stderr
    assert not (there / "b").exists()
    assert run("--model", model, *QUICK).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "atend-and-excite"], "Did you mean 'attend-and-excite'"),
        (["--method", "uniform"], "uniform takes no words"),
        (["--method", "choose-noise candidates=many"], "'candidates': 'many'"),
        (["--seeds", 0], "seeds is 0"),
        (["--captioner", "nobody"], "nobody"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(model, there, words, message):
    done = run("--model", model, *QUICK, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(there.iterdir()) == []
