import shutil
import sys
import threading

import pytest
import torch
from torch import nn

from regard.errors import ArgumentError, DataError, OutputError, RegardError, UnknownName
from regard.models import library_model
from regard.saved.claim import claim
from regard.zoo.recipe import Recipe
from regard.zoo.train import Job, optimisers, train
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
    with pytest.raises(DataError, match="leave --resume away to begin"):
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


class Pull:
    """Pulls one weight towards 0; its loss is the weight, so that every gradient is 1."""

    part = ""

    def __init__(self, factor=1.0, side=1):
        self.network = nn.Linear(side, side, bias=side > 1)
        with torch.no_grad():
            self.network.weight.fill_(1.0)
        self.factor = factor

    def batch(self, step):
        return {}

    def loss(self, batch, step):
        return self.factor * self.network.weight.sum()

    def save(self, folder):
        folder.mkdir()


def job(steps, task=None, **settings):
    # beta2 and decay of 0 make each step of AdamW the sign of the gradient times the rate.
    plan = {"seed": 0, "learning_rate": 0.1, "weight_decay": 0.0, "warm_up": 1, **settings}
    return Job(task or Pull(), Recipe("pull", "", "", "", (), (), {}, plan), steps)


def rates(each):
    return [each.optimisers[0].param_groups[0]["lr"] for _ in each.run()]


def test_the_learning_rate_warms_up_stays_and_falls_over_the_last_fifth():
    # Ten steps: up in two, then 0.1; the last fifth is steps 8 and 9: left are 2/2 and 1/2.
    expected = [0.05] + [0.1] * 8 + [0.05]
    assert rates(job(10, warm_up=2)) == pytest.approx(expected)


def test_averaged_weights_by_hand():
    # The weight goes 1.0, 0.9, 0.8. The average keeps 1/10 of itself at step 1, 2/11 at step 2:
    # 0.1 * 1.0 + 0.9 * 0.9 = 0.91, then 2/11 * 0.91 + 9/11 * 0.8 = 0.82.
    each = job(20)
    run = each.run()
    for expected in (0.91, 0.82):
        next(run)
        assert each.average[0].item() == pytest.approx(expected, abs=1e-4)


def test_the_network_has_its_own_weights_again_even_when_the_block_raises():
    each = job(20)
    next(each.run())
    own = each.weights[0].item()
    with each.averaged():
        assert each.weights[0].item() == each.average[0].item() != own
    with pytest.raises(RuntimeError, match="boom"), each.averaged():
        raise RuntimeError("boom")
    assert each.weights[0].item() == own


def test_a_loss_that_is_no_number_stops_and_leaves_the_weights():
    each = job(5, Pull(factor=float("nan")))
    with pytest.raises(RegardError, match="the loss is nan at step 0; the last checkpoint is"):
        next(each.run())
    assert each.weights[0].item() == 1.0


def test_a_broken_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    each = job(5)
    each.save(path)
    before = path.read_bytes()

    def broken(state, place):
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", broken)
    with pytest.raises(OSError, match="No space left"):
        each.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("muon", [False, True])
def test_a_checkpoint_brings_back_step_weights_average_and_optimisers(tmp_path, muon):
    first, second = (job(20, Pull(side=32), muon=muon) for _ in range(2))
    run = first.run()
    next(run)
    next(run)
    first.save(tmp_path / "last.pt")
    second.load(tmp_path / "last.pt")
    assert second.step == 2
    next(run)
    next(second.run())
    assert torch.equal(first.weights[0], second.weights[0])
    assert torch.equal(first.average[0], second.average[0])


def test_muon_takes_the_matrices_inside_and_adamw_the_rest():
    network = nn.Sequential(nn.Linear(32, 40), nn.Linear(40, 10))
    rest, muon = optimisers(list(network.parameters()), {"learning_rate": 0.1, "muon": True})
    assert [tuple(w.shape) for w in muon.param_groups[0]["params"]] == [(40, 32)]
    shapes = [tuple(w.shape) for w in rest.param_groups[0]["params"]]
    assert shapes == [(40,), (10, 40), (10,)]
    assert len(optimisers(list(network.parameters()), {"learning_rate": 0.1})) == 1


def test_a_move_of_muon_turns_every_direction_alike():
    """Whatever the gradient: a move is orthogonal, 0.2 sqrt(side) long in each direction."""
    weight = nn.Parameter(torch.zeros(32, 32))
    weight.grad = torch.diag(torch.linspace(1, 3, 32))
    bias = nn.Parameter(torch.zeros(32))
    _, muon = optimisers([weight, bias], {"learning_rate": 0.1, "weight_decay": 0.0, "muon": True})
    muon.step()
    lengths = torch.linalg.svdvals(weight.detach())
    torch.testing.assert_close(lengths, torch.full((32,), 0.1 * 0.2 * 32**0.5), rtol=0.4, atol=0)


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


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"text, not tensors",
        b"PK\x03\x04 half a zip",
        {},
        {"step": "one"},
        [1, 2],
        torch.zeros(2),
        {"step": 1, "network": {"a": torch.zeros(1)}, "average": [], "optimisers": []},
        {"step": 1, "network": {}, "average": 3, "optimisers": [{}]},
    ],
)
def test_a_damaged_checkpoint_is_one_line(small, tmp_path, contents):
    if isinstance(contents, bytes):
        (tmp_path / "last.pt").write_bytes(contents)
    else:
        torch.save(contents, tmp_path / "last.pt")
    with pytest.raises(
        DataError, match=r"train: .*last\.pt is (damaged|the checkpoint of another)"
    ):
        train("openmoji-autoencoder", tmp_path, steps=1, resume=True)


def test_a_folder_in_place_of_a_checkpoint_is_one_line(small, tmp_path):
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(DataError, match="is damaged or no checkpoint"):
        train("openmoji-autoencoder", tmp_path, steps=1, resume=True)


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:603] PytorchStreamWriter failed"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, failure):
    def broken(state, place):
        place.write_bytes(b"half")
        raise failure

    monkeypatch.setattr("torch.save", broken)
    with pytest.raises(OutputError, match=r"train: .*last\.pt' could not be written: "):
        job(5).save(tmp_path / "last.pt")
    assert list(tmp_path.iterdir()) == []
