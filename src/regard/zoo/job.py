"""A training in progress: what is trained, its optimisers, the average of its weights."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from regard.errors import DataError, RegardError
from regard.zoo.checkpoint import DAMAGED, read_checkpoint, write_model, write_tensors
from regard.zoo.recipe import Recipe
from regard.zoo.whole import network as whole

MATRIX = 32
"""Rows and columns from which on Muon takes a matrix, where a recipe has it."""


@runtime_checkable  # or the tests could not check annotations
class Task(Protocol):
    """What a recipe's module gives to the loop."""

    network: nn.Module
    part: str
    """Where in the trained folder this network lies: '' or, in a pipeline, its subfolder."""

    def batch(self, step: int) -> dict[str, Tensor]:
        """The data of one step: always the same for the same step, so that training resumes."""

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """The scalar to lower."""

    def save(self, folder: Path) -> None:
        """Write the network in the layout of the library whose class it is."""


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows."""

    step: int
    steps: int
    loss: float
    seconds_per_step: float


class Job:
    """A training in progress: the task, its optimisers, its averaged weights, its step."""

    def __init__(
        self, task: Task, plan: Recipe, steps: int, asked: Mapping[str, Any] | None = None
    ) -> None:
        self.asked = dict(asked or {})
        self.task, self.settings, self.steps, self.step = task, plan.train, steps, 0
        self.weights = [p for p in task.network.parameters() if p.requires_grad]
        self.optimisers = optimisers(self.weights, plan.train)
        self.average = [w.detach().clone() for w in self.weights]

    def adopt(self, folder: Path) -> None:
        """Begin from trained weights of the same shape."""
        network: Any = self.task.network
        try:
            trained = whole(folder / self.task.part, type(network))
            network.load_state_dict(trained.float().state_dict())
        except (OSError, RuntimeError, ValueError) as unfit:
            raise DataError(
                f"train: {folder} holds no {type(network).__name__} of the recipe's shape; "
                f"give the folder of a model that this recipe made."
            ) from unfit
        _copy([w.detach() for w in self.weights], self.average)

    def run(self) -> Iterator[Progress]:
        """Make every step that is left."""
        self.task.network.train()
        while self.step < self.steps:
            begun = time.monotonic()
            loss = self._one()
            self.step += 1
            yield Progress(self.step, self.steps, loss, time.monotonic() - begun)

    def _one(self) -> float:
        # Randomness belongs to the step, not to the process: a resumed run repeats the same draws.
        torch.manual_seed(self.settings["seed"] * 1_000_003 + self.step)
        for group in [group for each in self.optimisers for group in each.param_groups]:
            group["lr"] = self.settings["learning_rate"] * self._rate()
        loss = self.task.loss(self.task.batch(self.step), self.step)
        if not torch.isfinite(loss):
            raise RegardError(
                f"train: the loss is {loss.item()} at step {self.step}; the last checkpoint is "
                f"untouched. Lower the learning rate in the recipe and resume."
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.settings.get("clip", 1.0))
        for each in self.optimisers:
            each.step()
            each.zero_grad(set_to_none=True)
        self._follow()
        return loss.item()

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.settings.get("warm_up", 100))
        left = (self.steps - self.step) / max(1.0, 0.2 * self.steps)
        return warm * min(1.0, left)

    def _follow(self) -> None:
        # Young averages forget faster, or the random start would stay in them for long.
        keep = min(self.settings.get("average", 0.999), (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 1 - keep)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """For the length of the block the network holds its averaged weights."""
        own = [w.detach().clone() for w in self.weights]
        try:
            _copy(self.average, self.weights)
            yield
        finally:
            _copy(own, self.weights)

    def export(self, folder: Path) -> None:
        """Write the averaged weights in their library's layout, and how long they were trained."""
        self.task.network.eval()
        with self.averaged():
            write_model(folder, self.task.save, steps=self.step)

    def save(self, path: Path) -> None:
        """Write the checkpoint; a broken write leaves the one before as it was.

        Raises:
            OutputError: it could not be written.
        """
        state = {
            "asked": self.asked,
            "step": self.step,
            "network": self.task.network.state_dict(),
            "average": self.average,
            "optimisers": [each.state_dict() for each in self.optimisers],
        }
        write_tensors(state, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            DataError: it is damaged, or another model's.
        """
        self.restore(read_checkpoint(path), path)

    def restore(self, state: Mapping[str, Any], path: Path) -> None:
        """Go on from what `read_checkpoint` gave.

        Raises:
            DataError: it is another model's.
        """
        try:
            self.task.network.load_state_dict(state["network"])
            for each, own in zip(self.optimisers, state["optimisers"], strict=True):
                each.load_state_dict(own)
            device = self.weights[0].device
            _copy([each.to(device) for each in state["average"]], self.average)
        except DAMAGED as unfit:
            raise DataError(
                f"train: {path} is the checkpoint of another model or recipe, or damaged; name "
                f"the folder of this training, or begin in another one."
            ) from unfit
        self.step = state["step"]


class MatrixMuon(torch.optim.Muon):
    """Muon on matrices, and on filters of convolutions as matrices with a row for each output."""

    def __init__(self, weights: list[Any], *, lr: float, weight_decay: float) -> None:
        self.weights = weights
        # They share their memory with the weights.
        rows = [nn.Parameter(w.detach().flatten(1)) for w in weights]
        super().__init__(rows, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: Any = None) -> Any:
        """Move the weights by their gradients."""
        for row, weight in zip(self.param_groups[0]["params"], self.weights, strict=True):
            row.grad = None if weight.grad is None else weight.grad.flatten(1)  # None: it rests
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, those of the weights too."""
        super().zero_grad(set_to_none)
        for weight in self.weights:
            weight.grad = None


def optimisers(weights: list[Any], settings: Mapping[str, Any]) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or with ``muon`` in the recipe Muon for matrices and filters inside.

    Both take the recipe's learning rate and decay: Muon's moves are brought to the size of AdamW's.
    """
    decay = settings.get("weight_decay", 0.01)
    least = settings.get("muon_from", MATRIX)
    inside = [w for w in weights if w.ndim > 1 and min(w.flatten(1).shape) >= least]
    inside = inside if settings.get("muon", False) else []
    # Not with `in`: that would compare tensors element by element.
    apart = {id(w) for w in inside}
    rest = torch.optim.AdamW(
        [w for w in weights if id(w) not in apart],
        lr=settings["learning_rate"],
        betas=(0.9, settings.get("beta2", 0.99)),
        weight_decay=decay,
        fused=True,
    )
    if not inside:
        return [rest]
    rate = settings["learning_rate"]
    return [rest, MatrixMuon(inside, lr=rate, weight_decay=decay)]


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for new, old in zip(source, target, strict=True):
        old.copy_(new)
