"""What decides an image beside the request, and in what a model differs from a recipe."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

MOST = 4
"""Settings of a scheduler that a message names at most."""


def recipe_of(name: str, fingerprint: str, denoiser: Any, scheduler: Any) -> dict[str, Any]:
    """What decides an image beside the request, as plain JSON values.

    Args:
        name: Of the model.
        fingerprint: SHA-256 of its weights.
        denoiser: The network.
        scheduler: The scheduler.
    """
    libraries = ("regard", "torch", "diffusers", "transformers")
    return {
        "model": name,
        "weights_sha256": fingerprint,
        "dtype": str(denoiser.dtype).removeprefix("torch."),
        "scheduler": type(scheduler).__name__,
        "scheduler_config": json.loads(json.dumps(dict(scheduler.config), default=str)),
        "versions": {library: version(library) for library in libraries},
    }


def differences(here: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """In what a model differs from that of a recipe, a line each; none if it is the same.

    Args:
        here: The recipe of the model.
        recipe: The other, with the same keys.
    """
    lines = [
        f"its {name} is {here[name][:24]}, not {recipe[name][:24]}"
        for name in ("weights_sha256", "dtype", "scheduler")
        if recipe[name] != here[name]
    ]
    there, own = recipe["scheduler_config"], here["scheduler_config"]
    # What only one of them has came with another version of the library.
    shared = sorted(name for name in there if name in own and not name.startswith("_"))
    other = [name for name in shared if there[name] != own[name]]
    lines += [
        f"its scheduler's {name} is {own[name]}, not {repr(there[name])[:60]}"
        for name in other[:MOST]
    ]
    return lines + ([f"{len(other) - MOST} more"] if len(other) > MOST else [])
