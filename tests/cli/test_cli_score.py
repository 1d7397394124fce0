import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from encoders import noise_pictures, save_clip
from regard.cli import app


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model, two folders of pictures with the same names, and their prompts."""
    folder = tmp_path_factory.mktemp("home")
    save_clip(folder / "clip")
    for seed, name in enumerate(["made", "real"]):
        (folder / name).mkdir()
        for n, each in enumerate(noise_pictures(4, seed=seed)):
            each.save(folder / name / f"{n}.png")
    rows = "".join(f"{n}.png,{text}\n" for n, text in enumerate(["a cat", "a cat", "a dog", "car"]))
    (folder / "prompts.csv").write_text("file,prompt\n" + rows)
    return folder


def scored(*arguments):
    return CliRunner().invoke(app, ["score", *[str(each) for each in arguments]])


def refused(*arguments):
    done = scored(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_scores_are_shown_with_intervals_and_warnings(home):
    done = scored(
        home / "made", "--against", home / "real", "--prompts", home / "prompts.csv",
        "--encoder", home / "clip",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for part in ("clip_score", "images - against", "perceptual_distance", "95% interval", " .. "):
        assert part in done.stdout
    assert "fid: 4 images for 8 features" in done.stdout
    assert done.stdout.rstrip().endswith(f"Encoder: {home / 'clip'}.")
    assert "nan" not in done.stdout


def test_json_has_the_same_and_nothing_else(home):
    done = scored(home / "made", "--against", home / "real", "--encoder", home / "clip", "--json")
    found = json.loads(done.stdout)
    assert [each["measure"] for each in found["scores"]] == [
        "image_similarity",
        "perceptual_distance",
        "fid",
        "kid",
    ]
    assert found["scores"][2]["low"] is None
    assert found["encoder"] == str(home / "clip")
    assert found["notes"] == []


def test_values_of_each_picture_are_written(home, tmp_path):
    csv = tmp_path / "each.csv"
    options = [
        "--encoder",
        home / "clip",
        "--csv",
        csv,
        "--scale",
        "100",
        "--prefix",
        "a photo of ",
    ]
    done = scored(home / "made", "--prompts", home / "prompts.csv", *options)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(csv)
    assert table.columns.tolist() == ["image", "prompt", "clip_score"]
    assert table["prompt"].tolist() == ["a cat", "a cat", "a dog", "car"]
    assert [each.name for each in tmp_path.iterdir()] == ["each.csv"]


def test_a_mistake_is_one_line(home, tmp_path):
    made = home / "made"
    assert "nothing to score against" in refused(made)
    assert "holds no image" in refused(tmp_path, "--against", made)
    assert "is no folder" in refused(made, "--against", tmp_path / "nowhere")
    assert "could not be read" in refused(made, "--prompts", tmp_path / "nowhere.csv")
    assert "is no folder. Make it" in refused(
        made, "--against", made, "--csv", tmp_path / "no" / "each.csv"
    )
    assert "Did you mean 'openmoji-clip'" in refused(
        made, "--against", made, "--encoder", "openmoji-clop"
    )
    for each in made.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes()[: 300 if each.stem == "2" else None])
    said = refused(tmp_path, "--against", made, "--encoder", home / "clip")
    assert "2.png could not be read" in said


def test_a_mistake_is_told_before_torch_is_loaded(home, tmp_path):
    check = (
        "import sys; sys.argv = ['regard', 'score', *sys.argv[1:]]\nfrom regard.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", check, str(tmp_path), "--against", str(home / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert "holds no image" in done.stderr
