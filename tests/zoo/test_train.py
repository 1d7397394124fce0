import shutil
import sys
import threading

import pytest
import torch

from regard.errors import ArgumentError, DataError, OutputError, UnknownName
from regard.models import library_model
from regard.saved.claim import claim
from regard.zoo.train import train
from small_recipes import NAMES


def weights_in(folder):
    """All weights that a training wrote, by name."""
    model = library_model(folder)
    parts = getattr(model, "components", {"": model})
    return {
        f"{part}.{name}": value
        for part in parts
        if hasattr(parts[part], "state_dict")
        for name, value in parts[part].state_dict().items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(name, small, tmp_path):
    whole = train(name, tmp_path / "whole", steps=2)

    def stop(progress):
        if progress.step == 2:  # the checkpoint of step 1 has been written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(name, tmp_path / "parts", steps=2, on_step=stop, save_every=-1.0)
    assert not (tmp_path / "parts" / "model").exists()
    parts = train(name, tmp_path / "parts", steps=2, resume=True)
    expected, found = weights_in(whole), weights_in(parts)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[each], found[each]) for each in expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_may_begin_from_trained_weights(name, small, tmp_path):
    first = train(name, tmp_path / "first", steps=1)
    second = train(name, tmp_path / "second", steps=0, start=first)
    expected, found = weights_in(first), weights_in(second)
    assert all(torch.equal(expected[each], found[each]) for each in expected)


def test_weights_of_another_shape_are_refused(small, tmp_path):
    other = train("openmoji-autoencoder", tmp_path / "other", steps=0)
    with pytest.raises(DataError, match="holds no CLIPModel of the recipe's shape"):
        train("openmoji-clip", tmp_path / "clip", steps=0, start=other)


def test_the_progress_names_each_step_and_a_finite_loss(small, tmp_path):
    seen = []
    train("openmoji-autoencoder", tmp_path, steps=2, on_step=seen.append)
    assert [(each.step, each.steps) for each in seen] == [(1, 2), (2, 2)]
    assert all(0 < each.loss < 100 for each in seen)
    assert all(each.seconds_per_step > 0 for each in seen)


def test_an_earlier_training_is_never_overwritten_unasked(small, tmp_path):
    train("openmoji-autoencoder", tmp_path, steps=0)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ArgumentError, match="add --resume to go on with it, or name another"):
        train("openmoji-autoencoder", tmp_path, steps=1)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_nothing_can_be_resumed_where_nothing_is(small, tmp_path):
    with pytest.raises(DataError, match="omit --resume to begin"):
        train("openmoji-autoencoder", tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_a_negative_number_of_steps_is_refused(small, tmp_path):
    with pytest.raises(ArgumentError, match="steps is -1 and must be 0 or more"):
        train("openmoji-autoencoder", tmp_path / "none", steps=-1)


def test_an_unknown_model_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownName, match="Known: "):
        train("openmojo", tmp_path / "none")
    assert not (tmp_path / "none").exists()


# ---------------------------------------------------------------- the loop, on two numbers


def test_training_uses_the_package_recipe():
    assert sys.modules["regard.zoo.train"].recipe("openmoji").name == "openmoji"


class Stopped(Exception):
    """Raised in place of a kill: nothing of ours catches it."""


def test_the_same_call_goes_on_from_what_it_left_unfinished(small, tmp_path):
    def stop(progress):
        if progress.step == 2:
            raise Stopped

    how = {"steps": 3, "save_every": -1.0}
    with pytest.raises(Stopped):
        train("openmoji-autoencoder", tmp_path / "a", **how, on_step=stop)
    seen = []
    train("openmoji-autoencoder", tmp_path / "a", **how, on_step=lambda now: seen.append(now.step))
    assert seen == [2, 3]
    with pytest.raises(ArgumentError, match="holds an earlier training"):
        train("openmoji-autoencoder", tmp_path / "a", **how)  # it is finished


def test_another_call_does_not_go_on_from_it(small, tmp_path):
    train("openmoji-autoencoder", tmp_path / "b", steps=1)
    shutil.rmtree(tmp_path / "b" / "model")  # as if it had been killed before it wrote this
    with pytest.raises(ArgumentError, match="add --resume"):
        train("openmoji-autoencoder", tmp_path / "b", steps=2)


def test_what_a_killed_training_left_is_cleared_away(small, tmp_path):
    (tmp_path / "last.partial").write_bytes(b"half")
    (tmp_path / ".model.partial").mkdir()
    (tmp_path / ".model.regard-work").mkdir()
    train("openmoji-autoencoder", tmp_path, steps=0)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["last.pt", "model"]


def test_a_folder_named_model_that_no_training_wrote_is_left_alone(small, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match=r"model' holds 'mine\.txt', which no training wrote"):
        train("openmoji-autoencoder", tmp_path, steps=0)
    assert [each.name for each in tmp_path.rglob("*")] == ["model", "mine.txt"]


def test_a_trained_model_without_its_checkpoint_is_not_replaced(small, tmp_path):
    train("openmoji-autoencoder", tmp_path, steps=0)
    (tmp_path / "last.pt").unlink()
    with pytest.raises(ArgumentError, match="holds a trained model without its checkpoint"):
        train("openmoji-autoencoder", tmp_path, steps=0)
    assert (tmp_path / "model" / "training.json").is_file()


def test_two_trainings_in_one_folder_the_second_is_refused(small, tmp_path):
    said = []

    def other():
        with pytest.raises(OutputError, match="is being written by another process"):
            train("openmoji-autoencoder", tmp_path, steps=0)
        said.append(True)

    with claim(tmp_path / "model", who="train"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said == [True]
