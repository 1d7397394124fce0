"""Open a bundled model by name, or a user's own folder."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from regard.errors import DataError, RegardError, unknown
from regard.models.hub import fetched, is_identifier
from regard.models.placement import Placement
from regard.models.preparation import given
from regard.models.vision import Vision, vision
from regard.zoo.bundled import weights_folder, weights_sha256
from regard.zoo.folder import (
    config_of,
    network_class,
    part_class,
    pipeline_class,
)
from regard.zoo.recipe import recipes
from regard.zoo.whole import LOCAL, could_not, has_variant, network

CPU = Placement()
"""Where models lie that judge, and those whose place nobody asked about."""


def library_model(name_or_folder: str | os.PathLike[str], placement: Placement = CPU) -> Any:
    """The same as `load`, always as the class of its library.

    Raises:
        UnknownName: there is neither such a name nor such a folder.
        DataError: the folder is no model, or a damaged one.
    """
    name, place = str(name_or_folder), place_of(name_or_folder, placement.variant)
    with _quiet():
        try:
            return _open(place, name, placement)
        except RegardError:
            raise
        except Exception as failed:  # the model libraries raise whatever they like
            raise could_not(place, failed) from failed


def folder_of(name_or_folder: str | os.PathLike[str], variant: str | None = None) -> Path:
    """The folder of a bundled model, the folder itself, or where the hub's cache has a model.

    Raises:
        UnknownName: there is neither such a name nor such a folder.
        DataError: the weights of this bundled model are not there, or it is a single file.
    """
    place = place_of(name_or_folder, variant)
    if place.is_file():
        raise DataError(f"load: {place} is a single file. Give the folder of a model.")
    return place


def place_of(name_or_place: str | os.PathLike[str], variant: str | None = None) -> Path:
    """As `folder_of`, or a single file.

    Raises:
        UnknownName: there is neither such a name nor such a folder or file.
        DataError: the weights of this bundled model are not there.
    """
    name = str(name_or_place)
    place = weights_folder(name) if name in recipes() else Path(name)
    if place.is_file() or place.is_dir():
        return place
    if is_identifier(name):
        return fetched(name, variant)
    advice = "Or give the path of a folder with a diffusers or transformers model."
    raise unknown("model", name, recipes(), advice=advice)


def vision_of(model: Any, folder: Path | None = None, *, processor: Any = None) -> Vision:
    """A model as one that looks at images.

    Args:
        model: A `Vision`, which is returned; a name or folder; or a module of transformers that is
            a vision transformer or has one as its tower, such as ``CLIPModel``.
        folder: Where the processor of a module lies.
        processor: The image processor of a module, as transformers has it.

    Returns:
        A `Vision`.

    Raises:
        UnknownName: there is no such model.
        ArgumentError: the model takes no images in patches.
        DataError: the folder is no model, or a damaged one.

    Example:
        >>> vision_of("openmoji-clip").grid()
        (8, 8)
    """
    if isinstance(model, Vision):
        if processor is None:
            return model
        return replace(model, preparation=given(processor, model.trained))
    if isinstance(model, str | os.PathLike):
        return vision_of(library_model(model), folder_of(model), processor=processor)
    found = vision(model, folder, processor=processor)
    if found.mean or found.name not in recipes():
        return found
    # The bundled models take what regard.zoo.pixels.to_tensor makes.
    half = (0.5,) * found.channels
    return replace(found, preparation=replace(found.preparation, resample=3, mean=half, std=half))


def _open(place: Path, name: str, placement: Placement) -> Any:
    if place.is_file():
        return _from_file(place, name, placement)
    if placement.config is not None:
        raise DataError(
            f"load: {place} is a folder, which has its own configuration. Leave out config=."
        )
    if (place / "model_index.json").is_file():
        return _from_folder(place, name, placement)
    if (place / "config.json").is_file():
        return _network(place, name, placement)
    raise DataError(
        f"load: {place} holds neither a model_index.json (a diffusers pipeline) nor a config.json "
        f"(one network); name the folder that does."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice about image processors while a few megabytes are read."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    levels = [library.get_verbosity() for library in libraries]
    bars = [library.is_progress_bar_enabled() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, level, bar in zip(libraries, levels, bars, strict=True):
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()


def _from_file(file: Path, name: str, placement: Placement) -> Any:
    from regard.models.single_file import SIDE, SingleFile  # it imports diffusers

    checkpoint = SingleFile(file, placement.config)
    _, classes = _parts(checkpoint.folder)
    given = {
        part: checkpoint.part(part, kind, placement)
        for part, kind in classes.items()
        if hasattr(kind, "state_dict") and part not in SIDE
    }
    given |= dict.fromkeys(each for each in SIDE if each in classes)
    return _pipeline(checkpoint.folder, name, placement, given)


def _from_folder(folder: Path, name: str, placement: Placement) -> Any:
    _, classes = _parts(folder)
    networks = {part: found for part, found in classes.items() if hasattr(found, "state_dict")}
    variants = _variants(folder, networks, placement.variant)
    given = {
        part: network(folder / part, found, dtype=placement.dtype, variant=variants.get(part))
        for part, found in networks.items()
    }
    return _pipeline(folder, name, placement, given)


def _parts(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The class of a pipeline, and those of its parts; one that was left out on purpose has none.

    Raises:
        DataError: one is no class of the installed libraries.
    """
    index = config_of(folder / "model_index.json")
    kind = pipeline_class(folder, index.get("_class_name"))
    parts = {part: said for part, said in index.items() if isinstance(said, list)}
    return kind, {part: None if said == [None, None] else part_class(folder, part, said)
                  for part, said in parts.items()}  # fmt: skip


def _pipeline(folder: Path, name: str, placement: Placement, networks: Mapping[str, Any]) -> Any:
    """A pipeline of some networks; all else, such as tokenizers, is in the folder."""
    kind, classes = _parts(folder)
    # Parts that were left out on purpose, such as the T5 of Stable Diffusion 3, have to be named.
    given = {part: None for part, found in classes.items() if found is None} | dict(networks)
    for part in classes.keys() - given.keys():
        if (folder / part / "scheduler_config.json").exists():
            config_of(folder / part / "scheduler_config.json")
    pipeline = kind.from_pretrained(folder, **LOCAL, use_safetensors=True, **given)
    for each in pipeline.components.values():
        if hasattr(each, "requires_grad_"):
            placement.settle(each)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.regard_name = name
    return pipeline


def _variants(folder: Path, networks: Mapping[str, Any], variant: str | None) -> dict[str, str]:
    """The parts of a pipeline that have a variant; the others have one file for all.

    Raises:
        DataError: none has it.
    """
    if variant is None:
        return {}
    found = {part: variant for part, kind in networks.items()
             if has_variant(folder / part, kind, variant)}  # fmt: skip
    if not found:
        raise DataError(
            f"load: no part of {folder} has weights of the variant '{variant}'. Leave it out, or "
            f"give one that stands in the names of its files."
        )
    return found


def _network(folder: Path, name: str, placement: Placement) -> Any:
    config = config_of(folder / "config.json")
    if "_class_name" in config:
        import diffusers as library

        known = config["_class_name"]
    else:
        import transformers as library

        known = config.get("architectures")
        known = known[0] if isinstance(known, list) and known else known or ""
    kind = network_class(folder, library, known, config)
    dtype, variant = placement.dtype, placement.variant
    opened = placement.settle(network(folder, kind, dtype=dtype, variant=variant))
    opened.regard_name = name
    return opened


def fingerprint(model: Any) -> str:
    """SHA-256 over all weights of a model, in hexadecimal; equal for equal weights.

    Args:
        model: What `load` returns, a pipeline, or any torch module.

    Returns:
        As `regard.zoo.weights_sha256`.
    """
    return weights_sha256(getattr(model, "tapped", model))


def name_of(model: Any) -> str:
    """The name or folder under which a model was opened, else that of its class."""
    if hasattr(model, "tapped"):  # of this package
        return str(model.name)
    return str(getattr(model, "regard_name", type(model).__name__))
