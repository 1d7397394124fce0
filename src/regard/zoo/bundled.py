"""The bundled models on disk: where their weights lie, and what makes two models the same."""

import hashlib
import os
from pathlib import Path
from typing import Any

from regard.errors import DataError, unknown
from regard.zoo.recipe import recipe, recipes

TRAINED = "REGARD_MODELS"
"""Environment variable: a folder whose NAME/model are used before the bundled weights."""


def ready(network: Any) -> Any:
    """A network for use: float32, evaluation mode, no gradients."""
    return network.float().eval().requires_grad_(False)


def weights_folder(name: str) -> Path:
    """Where the weights of a bundled model lie.

    Args:
        name: One of `regard.zoo.recipes`.

    Returns:
        The package's own folder, or ``$REGARD_MODELS/NAME/model`` where that exists.

    Raises:
        UnknownName: no bundled model has this name.
        DataError: the weights are not there yet.
    """
    if name not in recipes():
        raise unknown("bundled model", name, recipes())
    own = Path(os.environ[TRAINED]) / name / "model" if os.environ.get(TRAINED) else None
    packaged = Path(__file__).parent / "weights" / name
    for place in (own, packaged):
        if place is not None and place.is_dir():
            return place
    raise DataError(
        f"load: the weights of '{name}' are not in this copy of the package; "
        f"make them with: regard train {name}"
    )


def bundled() -> list[dict[str, str]]:
    """Name, class and one line about each bundled model, in the order of their training."""
    plans = [recipe(name) for name in recipes()]
    return [{"name": p.name, "class": p.network, "summary": p.summary} for p in plans]


def weights_sha256(model: Any) -> str:
    """SHA-256 over all weights of a model or pipeline, in hexadecimal.

    Weights that are offloaded are read where they lie, and a compiled model has those of the model
    inside.

    Args:
        model: A pipeline of diffusers, or any torch module.

    Returns:
        64 characters; equal for equal weights, whatever file they came from. Where weights cannot
        be read, 'unknown: ' and the reason: a run is not lost for it.
    """
    parts = getattr(model, "components", {"": model})
    digest = hashlib.sha256()
    for part in sorted(parts):
        network = getattr(parts[part], "_orig_mod", parts[part])  # of torch.compile
        if not hasattr(network, "state_dict"):
            continue
        for name, value in sorted(network.state_dict().items()):
            digest.update(f"{part}.{name}".encode())
            try:
                digest.update(_bytes_of(_in_memory(network, name, value)))
            except (RuntimeError, NotImplementedError, TypeError, OSError, LookupError) as error:
                where = f"{part}.{name}".strip(".")
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                return f"unknown: {where} cannot be read ({reason})"
    return digest.hexdigest()


def _bytes_of(value: Any) -> bytes:
    import torch

    raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return raw.numpy().tobytes()


def _in_memory(network: Any, name: str, value: Any) -> Any:
    """A weight, where accelerate has put it if its module holds an empty one."""
    if value.device.type != "meta":
        return value
    path, _, own = name.rpartition(".")
    hook = getattr(network.get_submodule(path), "_hf_hook", None)
    for each in getattr(hook, "hooks", [hook]):  # one, or several after another
        held = getattr(each, "weights_map", None)
        if held is not None:
            return held[own]  # a KeyError is a LookupError, too
    raise LookupError("it is offloaded, and where to is not known")
