"""The one training loop of the zoo: steps, checkpoints, resuming, averaging of weights."""

import hashlib
import json
import os
import pickle
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from regard.errors import ArgumentError, DataError, RegardError
from regard.saved.claim import claim, unwritten
from regard.saved.folder import check_above, complete
from regard.zoo.memory import keep_memory
from regard.zoo.recipe import Recipe, recipe
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


def task_of(plan: Recipe, device: torch.device) -> Task:
    """The task that a recipe names, freshly built on a device."""
    torch.manual_seed(plan.train["seed"])
    return import_module(f"regard.zoo.{plan.task}").task(plan, device)


def train(
    name: str,
    folder: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    steps: int | None = None,
    on_step: Callable[[Progress], None] | None = None,
    save_every: float = 120.0,
) -> Path:
    """Train a bundled model anew, or go on from its last checkpoint.

    Args:
        name: One of `regard.zoo.recipes`.
        folder: Where the checkpoint and, in ``model``, the trained weights are written.
        resume: Go on from the checkpoint in ``folder``.
        start: A folder of trained weights to begin from instead of random ones.
        steps: Total number of steps; None takes the recipe's. The learning rate falls over the
            last fifth of them.
        on_step: Called after each step.
        save_every: Seconds between checkpoints.

    Returns:
        The folder with the trained weights, ready for `regard.load`.

    Raises:
        UnknownName: no bundled model has this name.
        ArgumentError: a negative number of steps, or a folder that holds a checkpoint while
            ``resume`` is off; one that this very call left unfinished is gone on with.
        DataError: there is nothing to resume, or the checkpoint is damaged or another model's.
        OutputError: the folder cannot be written, or another training writes there.

    Source:
        AdamW: Loshchilov and Hutter (2019), arXiv 1711.05101. Muon: Liu et al. (2025), "Muon is
        Scalable for LLM Training", arXiv 2502.16982. Warm-up, plateau and decay:
        Hu et al. (2024), MiniCPM, arXiv 2404.06395, section 4. Averaged weights: Karras et al.
        (2024), arXiv 2312.02696, section 3.
    """
    plan = recipe(name)
    total = plan.train["steps"] if steps is None else steps
    if total < 0:
        raise ArgumentError(f"train: steps is {total} and must be 0 or more.")
    asked = _asked(plan, total, start)
    folder = Path(os.path.realpath(folder))
    checkpoint = folder / CHECKPOINT
    found = _found(folder, asked, resume)
    check_above(folder / MODEL, who="train")
    with claim(folder / MODEL, who="train"):
        _clear(folder)
        found = _found(folder, asked, resume)  # nobody else changes it from here on
        keep_memory()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        job = Job(task_of(plan, device), plan, total, asked)
        if found is not None:
            job.restore(found, checkpoint)
        elif start is not None:
            job.adopt(start)
        saved = time.monotonic()
        for progress in job.run():
            if on_step is not None:
                on_step(progress)
            if time.monotonic() - saved > save_every:
                job.save(checkpoint)
                saved = time.monotonic()
        job.save(checkpoint)
        job.export(folder / MODEL)
    return folder / MODEL


CHECKPOINT, MODEL = "last.pt", "model"

DAMAGED = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip
"""What reading a file that is no checkpoint, or one of another model, may raise."""


def _asked(plan: Recipe, steps: int, start: Path | None) -> dict[str, Any]:
    """What decides the weights, as plain values: by it a training knows its own checkpoint."""
    settings = json.dumps([plan.model, plan.train], sort_keys=True, default=str)
    return {
        "name": plan.name,
        "recipe": hashlib.sha256(settings.encode()).hexdigest(),
        "steps": steps,
        "start": None if start is None else os.path.realpath(start),
    }


def _found(folder: Path, asked: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """The checkpoint to go on from; None if there is none."""
    checkpoint = folder / CHECKPOINT
    if not os.path.lexists(checkpoint):
        if resume:
            raise DataError(
                f"train: there is no checkpoint {checkpoint} to resume; leave --resume away to "
                f"begin."
            )
        return None
    if resume:
        return read_checkpoint(checkpoint)
    if not (folder / MODEL).exists():
        try:
            state = read_checkpoint(checkpoint)
        except DataError:
            state = {}
        if state.get("asked") == asked:  # this very call was stopped
            return state
    raise ArgumentError(
        f"train: {checkpoint} holds an earlier training; add --resume to go on with it, "
        f"or name another folder."
    )


def _clear(folder: Path) -> None:
    """Remove what a killed training left; whoever calls holds the folder."""
    (folder / CHECKPOINT).with_suffix(".partial").unlink(missing_ok=True)
    shutil.rmtree(folder / f".{MODEL}.partial", ignore_errors=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Job.save` wrote, on the CPU.

    Raises:
        DataError: it is no checkpoint, or a damaged one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle that is no checkpoint
            state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as damaged:
        raise _damaged(path) from damaged
    parts = {"step": int, "network": dict, "average": list, "optimisers": list}
    if not isinstance(state, dict) or not all(
        isinstance(state.get(name), kind) for name, kind in parts.items()
    ):
        raise _damaged(path)
    found: dict[str, Any] = state
    return found


def _damaged(path: Path) -> DataError:
    return DataError(f"train: {path} is damaged or no checkpoint; remove it and begin anew.")


def write_tensors(state: Any, path: Path) -> None:
    """Write with `torch.save` and rename; a broken write leaves what was there as it was.

    Raises:
        OutputError: it could not be written.
    """
    partial = path.with_suffix(".partial")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as failed:
        partial.unlink(missing_ok=True)
        if out := _disk_error(failed):
            raise unwritten(path, out, who="train") from failed
        raise


def _disk_error(failed: Exception) -> OSError | None:
    """The error of the file system that a library has dressed up; None if it is another error."""
    if isinstance(failed, OSError):
        return failed
    said = str(failed).splitlines()[0] if str(failed) else ""
    libraries = ("PytorchStreamWriter", "I/O error", "os error", "iostream", "unexpected pos")
    if any(each in said for each in libraries):
        return OSError(f"the disk may be full ({said})")
    return None


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

        def fill(fresh: Path) -> None:
            try:
                with self.averaged():
                    self.task.save(fresh)
            except (OSError, RuntimeError, SafetensorError) as failed:
                if out := _disk_error(failed):
                    raise out from failed
                raise
            (fresh / "training.json").write_text(json.dumps({"steps": self.step}) + "\n")

        complete(folder, fill, who="train")

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
                f"the folder of this training, or begin anew in another one."
            ) from unfit
        self.step = state["step"]


def optimisers(weights: list[Any], settings: Mapping[str, Any]) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or with ``muon`` in the recipe Muon for the matrices inside.

    Both take the recipe's learning rate and decay: Muon's moves are brought to the size of AdamW's.
    """
    decay = settings.get("weight_decay", 0.01)
    inside = [w for w in weights if w.ndim == 2 and min(w.shape) >= MATRIX]
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
    muon = torch.optim.Muon(inside, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return [rest, muon]


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for new, old in zip(source, target, strict=True):
        old.copy_(new)
