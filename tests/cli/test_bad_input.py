"""Each mistake of a user gives one clear line and a code that is not 0, and loses nothing."""

import errno
import os
from pathlib import Path

import pytest
import zarr
from typer.testing import CliRunner

import regard.views
import regard.zoo.train
from looks import PROMPT, pipeline, seen
from regard.cli import app
from regard.errors import ArgumentError, OutputError, PromptError, RegardError, UnknownName
from regard.generation import batches
from regard.look import check_folder, look


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments, code=2):
    """The one line that is said."""
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("regard: ")
    return lines[0]


def files(folder):
    return sorted(str(each.relative_to(folder)) for each in Path(folder).rglob("*"))


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt(at, prompt):
    assert "the prompt is empty" in refused("look", prompt)
    assert files(at) == []


def test_a_prompt_that_is_no_text():
    with pytest.raises(PromptError, match="no UTF-8 text, at character 2"):
        look(pipeline(), "a \udcff cat")


def test_a_word_that_is_not_in_the_prompt(at, model):
    said = refused("look", PROMPT, "--model", model, "--words", "turtel")
    assert "no word is named 'turtel'. Did you mean 'turtle'? Known: turtle, a, a#2" in said
    assert files(at) == []


def test_a_word_that_was_cut_off():
    long = "a cat and a dog on the road in the snow with a red clock"
    with pytest.raises(UnknownName, match="The text encoder cut this off: 'clock'"):
        look(pipeline(), long, words=["clock"])


@pytest.mark.parametrize("words", [[], "cat"])
def test_words_are_a_list_of_at_least_one(words):
    with pytest.raises(ArgumentError, match="look: words is"):
        look(pipeline(), PROMPT, words=words)


def test_a_model_that_there_is_not(at):
    assert "Did you mean 'openmoji'?" in refused("look", "a cat", "--model", "openmoij")
    assert "Did you mean 'openmoji'?" in refused("train", "openmoij")
    assert "Did you mean 'openmoji'?" in refused("evaluate", "openmoij", "--json")
    assert files(at) == []


def test_a_folder_that_is_no_model(at):
    (at / "mine").mkdir()
    assert "holds neither a model_index.json" in refused("look", "a cat", "--model", "mine")


def test_a_model_that_draws_nothing(model):
    with pytest.raises(ArgumentError, match="UNet2DConditionModel has no unet and no scheduler"):
        look(pipeline().unet, "a cat")


@pytest.mark.parametrize("steps", [0, -3])
def test_steps_below_one(at, steps):
    assert f"num_inference_steps is {steps} and must be 1 or more" in refused(
        "look", "a cat", "--num-inference-steps", steps
    )
    assert "must be 1 or more" in refused("train", "openmoji", "--steps", steps)
    assert files(at) == []


def test_more_steps_than_the_scheduler_knows():
    with pytest.raises(ArgumentError, match="steps is 1001 and must be at most 1000"):
        look(pipeline(), "a cat", num_inference_steps=1001)


@pytest.mark.parametrize("guidance", [-1, "nan", "inf"])
def test_guidance_that_is_negative_or_no_number(guidance):
    assert "must be 0 or more" in refused("look", "a cat", "--guidance-scale", guidance)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_is_none(seed):
    assert "must lie in 0..2**63-1" in refused("look", "a cat", "--seed", seed)


def test_sizes_that_the_model_cannot_draw(at, model):
    said = refused("look", "a cat", "--model", model, "--height", 20, "--width", 64)
    assert "size is 20 x 64" in said
    assert "multiples of 8 pixels. The nearest is 16 x 64." in said
    assert "--size is for --image" in refused("look", "a cat", "--size", "64")
    assert "height is 0 and must be 1 or more pixels" in refused("look", "a cat", "--height", "0")


def test_an_axis_that_cannot_be_kept(at, model):
    said = refused("look", "a cat", "--model", model, "--keep", "step,token")
    assert "'token', which is not one of step, layer, head" in said


def test_a_folder_with_files_in_it(at, model):
    (at / "out").mkdir()
    (at / "out" / "notes.txt").write_text("mine")
    command = ("look", "a cat", "--model", model, "--num-inference-steps", 1, "--out", "out")
    for more in ([], ["--overwrite"]):
        assert "holds 'notes.txt', which no look wrote" in refused(*command, *more)
    assert files(at / "out") == ["notes.txt"]


def test_a_file_where_a_folder_is_wanted(at):
    (at / "out").write_text("mine")
    assert "is a file" in refused("look", "a cat", "--out", "out")
    assert "no folder" in refused("look", "a cat", "--out", "out/deeper")
    assert (at / "out").read_text() == "mine"


def test_a_trace_that_is_none(at):
    assert "there is nothing at 'nowhere.zarr'" in refused("words", "nowhere.zarr")
    zarr.create_group(at / "foreign.zarr")
    assert "is another Zarr store and not a trace" in refused("words", "foreign.zarr")
    seen().trace.save(at / "trace.zarr")
    chunk = next(path for path in (at / "trace.zarr").rglob("*/maps/c/**/*") if path.is_file())
    chunk.unlink()
    assert "is a trace, but damaged" in refused("words", "trace.zarr")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_no_space_or_no_permission_while_saving(at, model, monkeypatch, code):
    seen().save(at / "out")
    before = files(at)

    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(regard.views, "page", fail)
    command = ("look", "a cat", "--model", model, "--num-inference-steps", 1)
    said = refused(*command, "--out", "new")
    assert f"could not be written: {os.strerror(code)}" in said
    assert "free some space or choose another folder" in said
    refused(*command, "--out", "out", "--overwrite")
    assert files(at) == before


def test_no_permission_is_told_before_the_model_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match=f"no permission at '{tmp_path}'"):
        check_folder(tmp_path / "out")


def test_a_disk_that_fails_elsewhere_is_one_line_too(monkeypatch):
    def fail(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "checkpoints")

    monkeypatch.setattr(regard.zoo.train, "train", fail)
    said = refused("train", "openmoji-clip", code=1)
    assert said == (
        "regard: 'checkpoints': Permission denied. "
        "Make room, or choose a place where you may read and write."
    )


@pytest.mark.parametrize("moment", ["while looking", "while saving"])
def test_ctrl_c_leaves_nothing_half_written(at, model, monkeypatch, moment):
    seen().save(at / "out")
    before = files(at)

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    where = {"while looking": (batches, "run"), "while saving": (regard.views, "page")}
    monkeypatch.setattr(*where[moment], stop)
    command = ("look", "a cat", "--model", model, "--num-inference-steps", 1)
    assert "stopped; nothing was written" in refused(*command, "--out", "new", code=130)
    refused(*command, "--out", "out", "--overwrite", code=130)
    assert files(at) == before


def test_scenes_that_cannot_be_drawn(at):
    (at / "out").mkdir()
    assert "exists" in refused("data", "scenes", "--out", "out")
    assert "count is 0" in refused("data", "scenes", "--out", "new", "--count", 0)
    assert "version of scenes is named '3'" in refused(
        "data", "scenes", "--out", "new", "--version", 3
    )
    assert "a size of 128 or 256" in refused(
        "data", "scenes", "--out", "new", "--version", 2, "--size", 64
    )
    assert "no split is named 'trian'" in refused(
        "data", "scenes", "--out", "n", "--split", "trian"
    )
    assert files(at) == ["out"]


def test_an_option_that_there_is_not_has_no_traceback():
    done = CliRunner().invoke(app, ["look", "a cat", "--sed", "1"])
    assert done.exit_code == 2
    assert "--seed" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_message_is_one_line():
    with pytest.raises(RegardError) as told:
        look(pipeline(), "a cat", height=20, width=20)
    assert "\n" not in str(told.value)
