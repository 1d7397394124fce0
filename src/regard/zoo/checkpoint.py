"""What a training writes: its checkpoint, and the folder of the trained model."""

import json
import os
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from regard.errors import DataError
from regard.saved.claim import unwritten
from regard.saved.folder import SavedFolder, complete, unlisted

CHECKPOINT, MODEL, TRAINING = "last.pt", "model", "training.json"

STAMP = "regard-training"
FOLDER = SavedFolder("train", "training", partial(unlisted, stamp=STAMP, recipe=TRAINING))

DAMAGED = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip
"""What reading a file that is no checkpoint, or one of another model, may raise."""


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
    return DataError(f"train: {path} is damaged or no checkpoint; remove it and begin again.")


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
        if out := disk_error(failed):
            raise unwritten(path, out, who="train") from failed
        raise


def disk_error(failed: Exception) -> OSError | None:
    """The error of the file system that a library has dressed up; None if it is another error."""
    if isinstance(failed, OSError):
        return failed
    said = str(failed).splitlines()[0] if str(failed) else ""
    libraries = ("PytorchStreamWriter", "I/O error", "os error", "iostream", "unexpected pos")
    if any(each in said for each in libraries):
        return OSError(f"the disk may be full ({said})")
    return None


def write_model(folder: Path, save: Callable[[Path], None], *, steps: int) -> None:
    """Write a trained model, and beside it how long it was trained; complete or not at all.

    Args:
        folder: Where to; what is there is replaced.
        save: Writes the weights into the folder that it is given.
        steps: How many steps the training has made.

    Raises:
        OutputError: it could not be written.
    """

    def fill(fresh: Path) -> None:
        try:
            save(fresh)
        except (OSError, RuntimeError, SafetensorError) as failed:
            if out := disk_error(failed):
                raise out from failed
            raise
        files = [each.relative_to(fresh).as_posix() for each in fresh.rglob("*") if each.is_file()]
        made = {"format": STAMP, "steps": steps, "files": sorted([*files, TRAINING])}
        (fresh / TRAINING).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")

    complete(folder, fill, who="train")
