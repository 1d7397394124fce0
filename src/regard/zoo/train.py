"""The one training loop of the zoo: begin or resume, step by step, until all is written."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from regard.errors import ArgumentError, DataError
from regard.saved.folder import listed
from regard.zoo.checkpoint import CHECKPOINT, FOLDER, MODEL, read_checkpoint
from regard.zoo.job import Job, Progress, Task
from regard.zoo.memory import keep_memory
from regard.zoo.recipe import Recipe, recipe


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
    """Train a bundled model from scratch, or go on from its last checkpoint.

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
        ArgumentError: a negative number of steps, or a folder that holds a training while
            ``resume`` is off; one that this very call left unfinished is gone on with.
        DataError: there is nothing to resume, or the checkpoint is damaged or another model's.
        OutputError: the folder cannot be written, another training writes there, or its ``model``
            holds something that no training wrote.

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
    FOLDER.check(folder / MODEL, overwrite=True)
    _found(folder, asked, resume)
    with FOLDER.claim(folder / MODEL, overwrite=True):
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
                f"train: there is no checkpoint {checkpoint} to resume; omit --resume to begin."
            )
        if os.path.isdir(folder / MODEL) and listed(folder / MODEL):
            raise ArgumentError(
                f"train: {folder / MODEL} holds a trained model without its checkpoint; name "
                f"another folder."
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
    """Remove what a killed training left; the caller holds the folder."""
    (folder / CHECKPOINT).with_suffix(".partial").unlink(missing_ok=True)
    shutil.rmtree(folder / f".{MODEL}.partial", ignore_errors=True)
