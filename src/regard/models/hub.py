"""Models of the Hugging Face hub, where there is a network or a cache of them."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from regard.data.files import reason
from regard.errors import DataError, UnknownName

IDENTIFIER = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""An owner and a name."""

SETTINGS = (".json", ".txt", ".model")
"""Endings of configurations and of what tokenizers read."""

WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|model)(?:\.(?P<variant>[\w-]+?))?(?:-\d{5}-of-\d{5})?\.safetensors"
)

PATIENCE = 10
"""Seconds that the hub has to say what a model consists of."""


def is_identifier(name: str) -> bool:
    """Whether a name can be one of the hub.

    Example:
        >>> is_identifier("stabilityai/sdxl-turbo"), is_identifier("./models"), is_identifier("sd")
        (True, False, False)
    """
    return IDENTIFIER.fullmatch(name) is not None


def fetched(name: str, variant: str | None = None) -> Path:
    """The folder of a model of the hub in the hub's own cache; what is not there is downloaded.

    Only configurations, what tokenizers read and weights in safetensors are fetched.

    Args:
        name: Its identifier, such as ``stable-diffusion-v1-5/stable-diffusion-v1-5``.
        variant: Of its weights, such as ``fp16``.

    Raises:
        UnknownName: the hub has no such model, or cannot be asked and the cache has it not.
        DataError: the model may only be had by those who are logged in.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError

    try:
        told = HfApi().model_info(name, timeout=PATIENCE)
        files = [each.rfilename for each in told.siblings or []]
        return Path(snapshot_download(name, allow_patterns=wanted(files, variant)))
    except GatedRepoError as failed:
        raise DataError(
            f"load: '{name}' of the hub is given to those who asked for it. Accept its terms on "
            f"its page, and log in with: hf auth login"
        ) from failed
    except Exception as failed:  # no network, no such model, whatever a proxy says
        cached = _cached(name)
        if cached is None:
            raise UnknownName(
                f"no model is named '{name}': there is no such folder, and the hub did not give it "
                f"({reason(failed)}). Check the name, the path or the connection."
            ) from failed
        return cached


def configured(name: str) -> Path:
    """The folder of a model of the hub with its configurations and tokenizers, and no weights.

    Raises:
        UnknownName: the hub does not give it, and the cache has it not.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[f"*{each}" for each in SETTINGS]))
    except Exception as failed:  # no network, no such model, terms to accept
        cached = _cached(name)
        if cached is None:
            raise UnknownName(
                f"no model is named '{name}': the hub did not give its configuration "
                f"({reason(failed)}). Check the name or the connection."
            ) from failed
        return cached


def wanted(files: Sequence[str], variant: str | None = None) -> list[str]:
    """The files of a model that are read: of each folder the weights of a variant, or the usual.

    Args:
        files: All paths in it.
        variant: Such as ``fp16``.

    Example:
        >>> unet = ["unet/config.json", "unet/model.safetensors", "unet/model.fp16.safetensors"]
        >>> wanted(["model_index.json", "sd-v1.safetensors", *unet], "fp16")
        ['model_index.json', 'unet/config.json', 'unet/model.fp16.safetensors']
    """
    folders = {str(PurePosixPath(file).parent) for file in files}
    kept = [file for file in files if file.endswith(SETTINGS)]
    for folder in folders:
        here = [file for file in files if str(PurePosixPath(file).parent) == folder]
        found = {file: WEIGHTS.fullmatch(PurePosixPath(file).name) for file in here}
        kinds = {file: match["variant"] for file, match in found.items() if match is not None}
        kind = variant if variant in kinds.values() else None
        kept += [file for file, each in kinds.items() if each == kind]
    return sorted(kept)


def _cached(name: str) -> Path | None:
    """Where the cache has a model, if it has."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # none of it, or no cache
        return None
