import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import fashion
from regard.cli import app


def regard_(*arguments):
    return CliRunner().invoke(app, ["study", *[str(each) for each in arguments]])


def refused(*arguments):
    done = regard_(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def asked(study, monkeypatch):
    """What the study was asked for; it was made before."""
    calls = []

    def made(**options):
        calls.append(options)
        for done in (0, 5):
            options["progress"]("naming images", done, 10)
        return study

    monkeypatch.setattr("regard.experiments.studies.vit", made)
    return calls


def test_verdicts_are_shown_with_numbers_and_what_was_predicted(asked, study, tmp_path):
    done = regard_("vit", "--out", tmp_path / "out", "--quick", "--data", tmp_path)
    assert done.exit_code == 0, done.output
    for row in study.findings.itertuples():
        assert f"{row.verdict:<10} {row.claim}" in done.stdout
        assert f"predicted: {row.predicted}" in done.stdout
    assert done.stdout.rstrip().endswith(f"Open {tmp_path / 'out' / 'report.html'} in a browser.")
    assert done.stderr == "regard: naming images ...\n"
    assert (tmp_path / "out" / "report.html").is_file()
    (options,) = asked
    assert options["quick"] is True
    assert options["data"] == tmp_path
    assert "model" not in options  # the study's own


def test_json_has_the_findings_and_nothing_else(asked, study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = regard_("vit", "--json", "--model", "mine")
    found = json.loads(done.stdout)
    assert [each["name"] for each in found["findings"]] == study.findings["name"].tolist()
    assert (found["study"], found["model"], found["folder"]) == ("vit", "tiny", "study-vit")
    assert (tmp_path / "study-vit" / "summary.md").is_file()
    assert asked[0]["model"] == "mine"
    assert "holds a study" in refused("vit")
    assert regard_("vit", "--overwrite", "--json").exit_code == 0


def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no study is named 'vti'. Did you mean 'vit'" in refused("vti")
    (tmp_path / "none").mkdir()
    said = refused("vit", "--data", tmp_path / "none", "--out", "new")
    assert "has no t10k-images-idx3-ubyte.gz; get it with" in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["none"]


def test_a_model_of_other_classes_is_one_line(tmp_path, monkeypatch):
    reader = sys.modules["regard.data.fashion_mnist"]
    data = fashion.data_folder(tmp_path / "data", monkeypatch, reader, fashion.clothes(10))
    model = fashion.model_folder(tmp_path / "model", id2label={0: "cat", 1: "dog"})
    said = refused("vit", "--data", data, "--model", model, "--out", tmp_path / "out")
    assert "names 2 classes (cat, dog ...), and the images have 10" in said
    assert not (tmp_path / "out").exists()


def test_a_mistake_is_told_before_torch_is_loaded(tmp_path):
    check = (
        "import sys; sys.argv = ['regard', 'study', *sys.argv[1:]]\nfrom regard.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", check, "vit", "--data", str(tmp_path / "no"), "--out"]
    command += [str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", done.stderr
    assert "dataset-fashion-mnist" in done.stderr
