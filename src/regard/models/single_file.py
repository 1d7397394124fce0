"""Checkpoints of one file, in the layout of their authors: read by the conversion of diffusers.

A file has weights alone. What its parts are is read from the folder of a pipeline of the same
architecture, as are parts that the file has not, such as the text encoders of FLUX.
"""

import os
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import single_file_utils

from regard.data.files import reason
from regard.errors import DataError, RegardError
from regard.models.hub import configured, is_identifier
from regard.models.placement import Placement
from regard.zoo.bundled import weights_folder
from regard.zoo.folder import Stored, check_settings, config_of
from regard.zoo.recipe import recipes
from regard.zoo.whole import check_whole, could_not, has_variant, listed, network

ENDINGS = (".safetensors", ".ckpt")
SIDE = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts of a pipeline that no image needs, and that are left out."""

Weights = dict[str, torch.Tensor]


class SingleFile:
    """The weights in one file, and the folder that says what its parts are.

    Args:
        file: The file.
        config: A folder with a ``model_index.json``, a bundled name or an identifier of the hub;
            None for the model that diffusers takes the weights for.

    Raises:
        DataError: it is no checkpoint, it holds more than weights, or the folder is not there.
    """

    def __init__(self, file: Path, config: str | os.PathLike[str] | None = None) -> None:
        self.file = file
        self.weights = weights_of(file)
        self.folder = _folder_of(str(config)) if config is not None else self._guessed()
        if not (self.folder / "model_index.json").is_file():
            raise DataError(
                f"load: config {self.folder} has no model_index.json and must be the folder of a "
                f"diffusers pipeline of the same architecture as {self.file.name}."
            )

    def part(self, part: str, kind: Any, placement: Placement) -> Any:
        """One network: out of the file, or out of the folder if the file has none of it.

        Args:
            part: Its name in the pipeline, such as ``unet``.
            kind: Its class, of diffusers or transformers.
            placement: As what numbers, and in which variant where it is in the folder.

        Raises:
            DataError: some of its weights are missing, or have no place.
        """
        there, given = self.folder / part, placement.variant
        opened = self._converted(part, kind, placement.dtype)
        if opened is None:
            variant = given if given is not None and has_variant(there, kind, given) else None
            opened = network(there, kind, dtype=placement.dtype, variant=variant)
        return opened

    def _converted(self, part: str, kind: Any, dtype: torch.dtype) -> Any:
        """A network with the weights of the file; None where the file has none of it."""
        if not self._may_have(kind):
            return None
        there = self.folder / part
        shapes = {name: tuple(value.shape) for name, value in self.weights.items()}
        check_settings(there, config_of(there / "config.json"), Stored(shapes))
        told: dict[str, Any] = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
        try:
            opened = self._conversion(_noting(kind, told), part, dtype)
        except Exception as failed:  # the conversion raises whatever it likes
            raise could_not(self.file, failed) from failed
        if told["mismatched_keys"]:
            raise DataError(
                f"load: {self.file} has {listed(told['mismatched_keys'])} in other shapes than "
                f"{there} says. Give config=, or --config: a pipeline of the same architecture."
            )
        if opened is None:
            return None
        # Where accelerate fills a network, what is missing stays empty.
        empty = [name for name, each in opened.state_dict().items() if each.is_meta]
        told["missing_keys"] = [*told["missing_keys"], *empty]
        if len(told["missing_keys"]) == len(opened.state_dict()):
            return None
        opened.__class__ = kind
        check_whole(self.file, opened, told, strict=hasattr(kind, "from_single_file"))
        return opened

    def _may_have(self, kind: Any) -> bool:
        """Whether diffusers can say which tensors of the file belong to a class."""
        clip = single_file_utils.is_clip_model_in_single_file(kind, self.weights)
        t5 = kind.__name__ == "T5EncoderModel"
        return (
            hasattr(kind, "from_single_file")
            or clip
            or (t5 and single_file_utils.is_t5_in_single_file(self.weights))
        )

    def _conversion(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        # Diffusers has no public way to the parts of a file whose missing tensors it would name.
        where = {"config": str(self.folder), "subfolder": part, "torch_dtype": dtype}
        where |= {"local_files_only": True}
        if not hasattr(kind, "from_single_file"):
            t5 = kind.__name__ == "T5EncoderModel"
            convert = (
                single_file_utils.create_diffusers_t5_model_from_checkpoint
                if t5
                else single_file_utils.create_diffusers_clip_model_from_ldm
            )
            return convert(kind, checkpoint=dict(self.weights), **where)
        try:
            return kind.from_single_file(dict(self.weights), **where, low_cpu_mem_usage=False)
        except single_file_utils.SingleFileComponentError:
            return None

    def _guessed(self) -> Path:
        name = single_file_utils.fetch_diffusers_config(self.weights)[
            "pretrained_model_name_or_path"
        ]
        try:
            return configured(name)
        except RegardError as failed:
            raise DataError(
                f"load: {self.file} does not say what its parts are, and the configuration of "
                f"'{name}', which it looks like, is not here. Give config=, or --config: the "
                f"folder of a diffusers pipeline of its architecture."
            ) from failed


def weights_of(file: Path) -> Weights:
    """The tensors in a file; nothing in it is ever run.

    Raises:
        DataError: it is no file of weights, or a pickle that holds more than them.
    """
    if file.suffix.lower() not in ENDINGS:
        raise DataError(
            f"load: {file} is a single file and must end in {' or '.join(ENDINGS)}, as checkpoints "
            f"of weights do. Or give the folder of a model."
        )
    try:
        if file.suffix.lower() == ".ckpt":
            found = torch.load(file, map_location="cpu", weights_only=True)
        else:
            from safetensors.torch import load_file

            found = load_file(file)
    except Exception as failed:  # damaged, or a pickle of more than tensors
        raise DataError(
            f"load: {file} could not be opened: {reason(failed)}. Is it complete? A .ckpt is a "
            f"pickle, of which only tensors are read: give the .safetensors of the same model."
        ) from failed
    while isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    weights = {name: value for name, value in found.items() if torch.is_tensor(value)} \
        if isinstance(found, dict) else {}  # fmt: skip
    if not weights:
        raise DataError(f"load: {file} holds no tensors by name. Give a checkpoint of a model.")
    return weights


def _folder_of(config: str) -> Path:
    """Where the configuration of a pipeline is: a bundled one, a folder, or one of the hub."""
    if config in recipes():
        return weights_folder(config)
    if not Path(config).is_dir() and is_identifier(config):
        return configured(config)
    return Path(config)


def _noting(kind: Any, told: dict[str, Any]) -> Any:
    """A class that notes which tensors are missing, or have no place, when it is filled."""

    def filled(self: Any, weights: Weights, *args: Any, **kwargs: Any) -> Any:
        own = self.state_dict()
        known = {name: value for name, value in weights.items() if name in own}
        other = [name for name, value in known.items() if value.shape != own[name].shape]
        fitting = {name: value for name, value in weights.items() if name not in other}
        result = kind.load_state_dict(self, fitting, strict=False)
        told.update(missing_keys=result.missing_keys, unexpected_keys=result.unexpected_keys)
        told.update(mismatched_keys=other)
        return result

    return type(kind)(kind.__name__, (kind,), {"load_state_dict": filled})
