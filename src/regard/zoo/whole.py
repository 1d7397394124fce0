"""Opening one network of diffusers or transformers, whole: every tensor is in its folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from regard.data.files import reason
from regard.errors import DataError
from regard.zoo.folder import check_settings, config_of
from regard.zoo.stored import stored

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""How anything of diffusers or transformers is opened: no network, no code but the library's."""

UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "mask_token", "masked_spatial_embed")
"""Ends of names of tensors that no result of ours reads: a pooler that hardly any vision checkpoint
has trained, and what stands for hidden patches in training. They are 0 where they are missing."""

BUFFERS = ("position_ids", "inv_freq", "num_batches_tracked", "relative_position_index")
"""Ends of names of what older versions stored and newer ones compute."""

NAMED = 4
"""Names of tensors in a message at most."""


def network(folder: Path, kind: Any, *, dtype: Any = None, variant: str | None = None) -> Any:
    """A network out of its folder, every tensor as it is stored there.

    Args:
        folder: With a config.json and weights in safetensors.
        kind: The class, of diffusers or transformers.
        dtype: Of torch, that its weights are read as; None for float32.
        variant: Of its weights, such as ``fp16``; None for the usual ones.

    Returns:
        The network.

    Raises:
        DataError: weights are missing, of other shapes, of another architecture, or pickled; or a
            setting cannot be meant.
    """
    config = config_of(folder / "config.json")
    ours = _is_of_diffusers(kind)
    weights = stored(folder, _stem(kind), variant)
    check_settings(folder, config, weights)
    try:
        opened, told = kind.from_pretrained(
            folder, **LOCAL, use_safetensors=True, output_loading_info=True, variant=variant,
            **{"torch_dtype" if ours else "dtype": torch.float32 if dtype is None else dtype},
        )  # fmt: skip
    except Exception as failed:  # the model libraries raise whatever they like
        raise could_not(folder, failed) from failed
    check_whole(folder, opened, told, strict=ours)
    return opened


def check_whole(place: Path, opened: Any, found: dict[str, Any], *, strict: bool) -> None:
    """Refuse a network whose tensors are not exactly those of its folder or file.

    Args:
        place: The folder or file.
        opened: The network; what no result reads is set to 0 where it is missing.
        found: The ``missing_keys``, ``unexpected_keys`` and ``mismatched_keys`` of the library.
        strict: Whether to refuse any tensor that has no place; else only those of inner parts.

    Raises:
        DataError: a tensor is missing, of another shape, or has no place.
    """
    _check_shapes(place, found)
    _check_missing(place, opened, found)
    _check_unexpected(place, opened, found, strict=strict)


def has_variant(folder: Path, kind: Any, variant: str) -> bool:
    """Whether a folder has weights of a variant for a network of this class."""
    stem = _stem(kind)
    names = (f"{stem}.{variant}.safetensors", f"{stem}.safetensors.index.{variant}.json")
    return any((folder / name).exists() for name in names)


def could_not(folder: Path, failed: Exception) -> DataError:
    """What to say where a library could not open what is in a folder."""
    if "trust_remote_code" in str(failed) or "weights_only" in str(failed):
        return DataError(
            f"load: {folder} needs code of its own, and code that comes with a model is never run. "
            f"Give a model of a class that the installed libraries have, in safetensors."
        )
    return DataError(
        f"load: {folder} could not be opened: {reason(failed)}. Is it complete, and no newer than "
        f"the installed libraries?"
    )


def _is_of_diffusers(kind: Any) -> bool:
    return bool(kind.__module__.startswith("diffusers."))


def _stem(kind: Any) -> str:
    return "diffusion_pytorch_model" if _is_of_diffusers(kind) else "model"


def _check_shapes(folder: Path, told: dict[str, Any]) -> None:
    names = [each if isinstance(each, str) else each[0] for each in told["mismatched_keys"]]
    if names:
        raise DataError(
            f"load: {folder} has {listed(names)} in other shapes than its config.json says. Fetch "
            f"the config.json and the weights of one model."
        )
    if told.get("error_msgs"):
        raise could_not(folder, ValueError(str(told["error_msgs"][0])))


def _check_missing(folder: Path, opened: Any, told: dict[str, Any]) -> None:
    missing = [name for name in told["missing_keys"] if not name.endswith(BUFFERS)]
    needed = [name for name in missing if not name.endswith(UNUSED)]
    if needed:
        total = len(opened.state_dict())
        raise DataError(
            f"load: {folder} lacks {len(needed)} of {total} tensors of a {type(opened).__name__}: "
            f"{listed(needed)}. With random ones in their place nothing it shows would be its "
            f"own; fetch it again, or name the class that was saved in its config.json."
        )
    parameters = dict(opened.named_parameters())
    for name in missing:
        if name in parameters:  # random otherwise, and another model each time
            parameters[name].data.zero_()


def _check_unexpected(folder: Path, opened: Any, told: dict[str, Any], *, strict: bool) -> None:
    names = [name for name in told["unexpected_keys"] if not name.endswith((*BUFFERS, *UNUSED))]
    wrong = names if strict else [name for name in names if _belongs_inside(name, opened)]
    if wrong:
        raise DataError(
            f"load: {folder} has {len(wrong)} tensors that a {type(opened).__name__} by its "
            f"config.json has no place for: {listed(wrong)}. Fetch the config.json and the "
            f"weights of one model."
        )


def _belongs_inside(name: str, opened: Any) -> bool:
    """Whether a tensor lies in a part that the network has; a head that it lacks does not."""
    parts = name.split(".")
    modules = {path for path, _ in opened.named_modules() if path}
    # The outermost part is often the whole tower, and then a head of it may be left out; a list
    # of layers has no heads.
    inner = [".".join(parts[:end]) for end in range(1, len(parts))]
    listed = any(path in modules and parts[end].isdigit() for end, path in enumerate(inner, 1))
    return listed or any(path in modules for path in inner[1:])


def listed(names: Iterable[str]) -> str:
    """The first names of some tensors, and how many more there are.

    Example:
        >>> listed("edcba")
        'a, b, c, d and 1 more'
    """
    known: Sequence[str] = sorted(names)
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more
