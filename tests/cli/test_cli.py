import json
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

import regard.zoo.train
from looks import PROMPT, pipeline, seen
from regard.cli import app, polite
from regard.cli.polite import bar
from regard.experiments.evaluate_report import EVALUATION, Evaluation, table_of
from regard.trace import Trace


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    pipeline().save_pretrained(folder)
    return str(folder)


def regard_(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_help_loads_no_library_of_models():
    check = (
        "import sys; sys.argv = ['regard', '--help']\nfrom regard.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*({'torch', 'numpy', 'diffusers', 'rich.progress'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
    assert "look" in done.stdout


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert regard_("--version").stdout.strip() == f"regard {version('regard')}"


def test_look_writes_a_folder_and_shows_the_words(model, tmp_path):
    out = tmp_path / "out"
    done = regard_("look", PROMPT, "--model", model, "--num-inference-steps", 2, "--out", out)
    assert done.exit_code == 0, done.output
    trace = Trace.load(out / "trace.zarr")
    assert trace.word_names == seen().trace.word_names
    assert trace.recipe["seed"] == 0
    assert "turtle" in done.stdout
    assert f"Open {out / 'page.html'}" in done.stdout


def test_look_passes_its_options_on(model, tmp_path):
    out = tmp_path / "out"
    options = {"seed": 3, "num-inference-steps": 1, "guidance-scale": 2, "height": 24, "width": 16}
    options["words"] = "cat, grass"
    options |= {"self-attention": "0.5,0.25 0,3", "self-attention-layers": "mid,12x8"}
    flat = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = regard_(
        *("look", PROMPT, "--model", model, "--out", out, "--keep", "layer", "--seeds", "2"),
        *("--negative-prompt", "a dog", *flat),
    )
    assert done.exit_code == 0, done.output
    trace = Trace.load(out / "trace.zarr")
    assert trace.word_names == ("cat", "grass")
    asked = {"seed": 3, "num_inference_steps": 1, "guidance_scale": 2.0, "size": [24, 16]}
    asked["keep"] = ["layer"]
    stages = {layer.attrs["stage"] for layer in trace.self_attention.values()}
    assert stages == {"down", "mid", "up"}
    assert trace.recipe["self_attention"]["patches"] == [[0.5, 0.25], [0, 3]]
    assert {key: trace.recipe[key] for key in asked} == asked
    assert trace.recipe["negative_prompt"] == "a dog"
    assert trace.words()["seeds"].dropna().unique().tolist() == [2]
    assert "masked in every text encoder" in " ".join(done.stdout.split())


def test_without_out_the_folder_is_named_after_prompt_and_seed(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = regard_(
        "look", "A cat,  blue!", "--model", model, "--num-inference-steps", 1, "--seed", 7
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a-cat-blue-seed7" / "page.html").is_file()


def test_a_prompt_that_is_cut_is_told(model, tmp_path):
    long = "a cat and a dog on the road in the snow with a red clock"
    done = regard_(
        "look", long, "--model", model, "--num-inference-steps", 1, "--out", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    assert "regard: the prompt is longer than the text encoder takes" in done.stderr
    assert "'clock'" in done.stderr
    assert "clock" in (tmp_path / "out" / "page.html").read_text(encoding="utf-8")


def test_words_shows_the_table_of_a_saved_trace(tmp_path):
    seen().trace.save(tmp_path / "trace.zarr")
    done = regard_("words", tmp_path / "trace.zarr")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(PROMPT)
    assert "turtle" in done.stdout


def test_models_are_listed():
    done = regard_("models")
    assert done.exit_code == 0
    assert "openmoji (StableDiffusionPipeline)" in done.stdout
    assert "openmoji-segmenter" in done.stdout


def test_train_passes_on_where_and_how_long(tmp_path, monkeypatch):
    asked = {}

    def train(name, folder, *, resume, start, steps, on_step):
        asked.update(name=name, folder=folder, resume=resume, start=start, steps=steps)
        on_step(SimpleNamespace(step=1, steps=2, loss=0.5, seconds_per_step=0.1))
        return folder / "model"

    monkeypatch.setattr(regard.zoo.train, "train", train)
    monkeypatch.setattr(regard.zoo.train, "Progress", SimpleNamespace)
    done = regard_("train", "openmoji-clip", "--out", tmp_path, "--steps", 2, "--resume")
    assert done.exit_code == 0, done.output
    assert asked == {
        "name": "openmoji-clip",
        "folder": tmp_path,
        "resume": True,
        "start": None,
        "steps": 2,
    }
    assert str(tmp_path / "model") in done.stdout


def test_a_training_that_is_stopped_says_how_to_go_on(tmp_path, monkeypatch):
    def train(name, folder, **options):
        (folder / "last.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(regard.zoo.train, "train", train)
    done = regard_("train", "openmoji-clip", "--out", tmp_path)
    assert done.exit_code == 130
    assert f"regard train openmoji-clip --resume --out {tmp_path}" in done.stderr


def test_evaluate_prints_one_flat_object_and_nothing_else(monkeypatch):
    def evaluate(name, *, quick, progress):
        progress("reconstructing", 0, 128)
        figures = {"psnr_db": 29.5, "images": 128.0} if quick else {}
        return Evaluation(EVALUATION, table_of(figures), {}, figures=figures)

    # By its module's name: the package re-exports a function of the same name.
    monkeypatch.setattr(import_module("regard.experiments.evaluate"), "evaluate", evaluate)
    done = regard_("evaluate", "openmoji-autoencoder", "--json", "--quick")
    assert json.loads(done.stdout) == {"psnr_db": 29.5, "images": 128.0}
    assert done.stderr == "regard: reconstructing ...\n"
    assert "29.5" in regard_("evaluate", "openmoji-autoencoder", "--quick").stdout


def test_scenes_are_written_with_a_contact_sheet(tmp_path):
    out = tmp_path / "scenes"
    done = regard_("data", "scenes", "--count", 3, "--out", out, "--split", "test")
    assert done.exit_code == 0, done.output
    assert len(list((out / "test").glob("*.png"))) == 3
    captions = json.loads((out / "annotations" / "captions_test.json").read_text())
    assert len(captions["annotations"]) == 3
    assert {each.name for each in out.iterdir()} == {"test", "annotations", "contact-sheet.png"}


def test_scenes_of_version_2_have_its_size(tmp_path):
    out = tmp_path / "scenes"
    done = regard_("data", "scenes", "--count", 2, "--out", out, "--version", 2)
    assert done.exit_code == 0, done.output
    with Image.open(out / "train" / "000000000001.png") as image:
        assert image.size == (128, 128)


def test_a_bar_is_drawn_where_there_is_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bar("training", "loss {task.fields[loss]:.2f}") as advance:
        advance(1, 2, loss=0.5)
        advance(2, 2, loss=0.25)
    drawn = capsys.readouterr().err
    assert "training" in drawn
    assert "2/2" in drawn
    assert "loss 0.25" in drawn


def test_each_phase_has_a_bar_of_its_own(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bar("looking") as advance:
        assert "looking: loading" in capsys.readouterr().err  # before there is anything to count
        advance(30, 30)
        advance(1, 8)
        advance(8, 8)
    drawn = capsys.readouterr().err
    assert "looking, part 2" in drawn
    assert "8/8" in drawn


def test_a_line_is_said_at_once_only_where_somebody_sits(monkeypatch, capsys):
    polite.at_once("opening openmoji")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(polite.sys.stderr, "isatty", lambda: True)
    polite.at_once("opening openmoji")
    assert capsys.readouterr().err == "regard: opening openmoji\n"


def test_without_a_terminal_a_line_a_minute_is_said(monkeypatch, capsys):
    now = iter([0.0, 30.0, 61.0, 61.0, 100.0])
    monkeypatch.setattr(polite.time, "monotonic", lambda: next(now))
    with bar("training") as advance:
        for step in (1, 2, 3):
            advance(step, 9, loss=0.5)
    assert capsys.readouterr().err == "regard: training: 2 of 9, loss 0.5\n"
