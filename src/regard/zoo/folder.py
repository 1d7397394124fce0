"""What a model's folder may ask for: library classes and sane settings, nothing run.

A folder comes from anywhere. Nothing in it is ever executed, and it is refused before a class is
built where its configuration cannot belong to its weights.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regard.data.files import read_json
from regard.errors import DataError
from regard.zoo.stored import Stored, short

CONFIG = 4 * 2**20
"""Bytes of a configuration at most; those of the largest models have some hundred thousand."""

LARGEST_SIDE = 16384
"""Pixels, or latents, of an image's side at most."""

COUNTS = ("layers", "blocks", "depth", "depths", "heads", "experts")
"""Last words of names that count parts, of which each has a tensor of its own or more."""

SIDES = ("image_size", "sample_size", "patch_size")

MARGIN = 8
"""How many times larger a size may be than the largest side of a tensor; heads share one, say."""


def config_of(file: Path) -> dict[str, Any]:
    """A configuration: a JSON object of a sane size.

    Raises:
        DataError: it is none.
    """
    said = read_json(file, who="load", most=CONFIG)
    if not isinstance(said, dict):
        raise DataError(
            f"load: {file} is JSON of the type {type(said).__name__}; it must be an object with "
            f"the settings of a model. Save the model again."
        )
    if any(isinstance(value, float) and math.isnan(value) for _, value in _leaves(said)):
        raise DataError(f"load: {file} holds NaN, which is no setting. Save the model again.")
    return said


def network_class(folder: Path, library: Any, name: Any, config: Mapping[str, Any]) -> Any:
    """The class of the library itself that a folder asks for.

    Args:
        folder: For the message.
        library: diffusers or transformers.
        name: Of the class, as the folder says it.
        config: The configuration, which may name code of its own.

    Raises:
        DataError: the library has no such network.
    """
    found = getattr(library, name, None) if isinstance(name, str) else None
    kind = library.ModelMixin if library.__name__ == "diffusers" else library.PreTrainedModel
    if isinstance(found, type) and issubclass(found, kind):
        return found
    if "auto_map" in config:
        raise DataError(
            f"load: {folder} needs code of its own ({_code(config)}), and code that comes with a "
            f"model is never run. Give a model of a class that {library.__name__} has."
        )
    raise DataError(
        f"load: {folder} asks for the class '{short(name)}', which {library.__name__} does not "
        f"have as a network. Give a model of a class that it has."
    )


def pipeline_class(folder: Path, name: Any) -> Any:
    """The pipeline of diffusers itself that a model_index.json asks for.

    Raises:
        DataError: diffusers has no such pipeline.
    """
    import diffusers

    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline):
        return found
    own = isinstance(name, list)
    raise DataError(
        f"load: {folder} needs "
        + (f"code of its own ({short(name)})" if own else f"the pipeline '{short(name)}'")
        + ", which diffusers does not have; code that comes with a model is never run. Give a "
        "pipeline of diffusers."
    )


def part_class(folder: Path, part: str, kind: Any) -> Any:
    """The class of a part of a pipeline: of diffusers or transformers, never of the folder.

    Args:
        folder: Of the pipeline.
        part: Such as ``unet``.
        kind: Library and class, as model_index.json says them.

    Raises:
        DataError: neither library has it, or the folder brings code under its name.
    """
    import diffusers
    import transformers
    from diffusers import pipelines

    if not (isinstance(kind, list) and len(kind) == 2 and all(isinstance(k, str) for k in kind)):
        raise DataError(
            f"load: {folder}/model_index.json gives {part} as {short(kind)}; it must be a library "
            f"and a class, such as ['diffusers', 'UNet2DConditionModel']. Save the model again."
        )
    library, name = kind
    home = {"diffusers": diffusers, "transformers": transformers}.get(library)
    if home is None and library.isidentifier():  # the safety checker lives with a pipeline
        home = getattr(pipelines, library, None)
    found = getattr(home, name, None) if name.isidentifier() else None
    ours = isinstance(found, type) and found.__module__.split(".")[0] in (
        "diffusers",
        "transformers",
    )
    if not ours or (folder / part / f"{library}.py").exists():
        raise DataError(
            f"load: {folder} asks for the {part} '{short(name)}' of '{short(library)}', which is "
            f"no class of diffusers or transformers; code that comes with a model is never run. "
            f"Give a pipeline whose parts these libraries have."
        )
    return found


def check_settings(folder: Path, config: Mapping[str, Any], weights: Stored) -> None:
    """Refuse settings that cannot belong to these weights, before anything of their size is built.

    Args:
        folder: For the message.
        config: Of the network, perhaps with configurations of its parts in it.
        weights: What is there.

    Raises:
        DataError: a setting is of no use.
    """
    most = max(len(weights.shapes), 1)
    for name, value in _leaves(config):
        last = name.rsplit("_", 1)[-1]
        if name in SIDES:
            _check_side(folder, name, value)
        elif type(value) not in (int, float) or isinstance(value, bool):
            continue
        elif last in COUNTS and not 0 <= value <= most:
            raise _odd(folder, name, value, f"and its weights have {most} tensors")
        elif abs(value) > max(weights.longest * MARGIN, LARGEST_SIDE) and _is_size(name):
            longest = f"and no tensor of its weights is longer than {weights.longest}"
            raise _odd(folder, name, value, longest)
    said = {name: value for name, value in _leaves(config) if "attn_implementation" in name}
    for name, value in said.items():
        if isinstance(value, str) and "/" in value:
            raise DataError(
                f"load: {folder} has {name} '{short(value)}', which is code from elsewhere and "
                f"never run. Take it out of config.json."
            )


# Inside


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a configuration, each under the nearest name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from [(key, inner)] if key in SIDES else _leaves(inner, str(key))
    elif isinstance(value, list) and name not in SIDES:
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value


def _is_size(name: str) -> bool:
    return name.endswith(("_size", "_dim", "_channels", "_dims", "d_model", "d_ff", "_embeddings"))


def _check_side(folder: Path, name: str, value: Any) -> None:
    if isinstance(value, Mapping):  # of a part that names more than one
        value = list(value.values())
    sides = value if isinstance(value, list) else [value]
    if value is None or not sides:
        return
    for side in sides:
        whole = isinstance(side, int) and not isinstance(side, bool)
        if not whole or not 1 <= side <= LARGEST_SIDE:
            raise _odd(folder, name, value, f"and must lie in 1..{LARGEST_SIDE}")


def _odd(folder: Path, name: str, value: Any, why: str) -> DataError:
    return DataError(
        f"load: {folder} says {name} is {short(value)}, {why}. Fix its config.json, or save the "
        f"model again."
    )


def _code(config: Mapping[str, Any]) -> str:
    said = config["auto_map"]
    names = said.values() if isinstance(said, Mapping) else [said]
    return short(", ".join(sorted({str(name) for name in names})))
