"""A training in progress, on one weight whose every step can be worked out by hand."""

import pytest
import torch
from torch import nn

from regard.errors import OutputError, RegardError
from regard.zoo.job import Job, optimisers
from regard.zoo.recipe import Recipe


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
    return Job(task or Pull(), Recipe("pull", "", "", "", (), (), (), {}, plan), steps)


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


def test_muon_moves_filters_as_matrices_with_a_row_for_each_output():
    """A filter and the matrix of the same numbers move alike, and their gradients are forgotten."""
    torch.manual_seed(0)
    start, slope = torch.randn(2, 32, 4, 3, 3)
    filters, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    settings = {"learning_rate": 0.1, "muon": True}
    for weight, gradient in ((filters, slope), (matrix, slope.flatten(1))):
        weight.grad = gradient.clone()
        _, muon = optimisers([nn.Parameter(torch.zeros(3)), weight], settings)
        muon.step()
        muon.zero_grad()
        assert weight.grad is None
    assert not torch.equal(filters, start)
    torch.testing.assert_close(filters.flatten(1), matrix)


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
