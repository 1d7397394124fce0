"""What the weights in a model's folder hold, by their heads: safetensors, or they are refused."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from regard.data.files import plain_file, read_json, reason
from regard.errors import DataError

SAFE = ".safetensors"

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Endings of weights that are read by running what they hold."""


@dataclass(frozen=True)
class Stored:
    """What the weights in a folder hold, by their heads alone.

    Attributes:
        shapes: Of each tensor, by its name.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def longest(self) -> int:
        """The largest side of any tensor."""
        return max((max(shape, default=1) for shape in self.shapes.values()), default=1)


def stored(folder: Path, stem: str, variant: str | None = None) -> Stored:
    """What the weights in a folder hold; they are in safetensors, or refused.

    Args:
        folder: Of one network.
        stem: The name of the file that its library reads, without its ending.
        variant: What stands behind the stem, such as ``fp16``; None for nothing.

    Returns:
        The shapes of all tensors. The numbers themselves are not read.

    Raises:
        DataError: there are no weights, or pickled ones only, or damaged ones.
    """
    if (folder / "adapter_config.json").exists():
        raise DataError(
            f"load: {folder} is an adapter of another model. Merge it into that model, and save "
            f"the result."
        )
    said = f".{variant}" if variant else ""
    one, index = folder / f"{stem}{said}{SAFE}", folder / f"{stem}{SAFE}.index{said}.json"
    if not one.exists() and not index.exists():
        raise _without_weights(folder, stem, variant)
    shapes: dict[str, tuple[int, ...]] = {}
    for file in [one] if one.exists() else _shards(folder, index):
        shapes |= _head(file)
    return Stored(shapes)


def _head(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes in a file of safetensors, from the JSON whose length its first 8 bytes give."""
    plain_file(file, who="load")
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > 100 * 2**20:
                raise ValueError("its head is too long")
            head = json.loads(opened.read(length))
        tensors = {name: told for name, told in head.items() if name != "__metadata__"}
        return {name: tuple(map(int, told["shape"])) for name, told in tensors.items()}
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as failed:
        raise DataError(
            f"load: {file} could not be opened: it is no whole file of safetensors "
            f"({reason(failed)}). Fetch it again."
        ) from failed
    except RecursionError as failed:
        raise DataError(f"load: {file} could not be opened: its head is nested.") from failed


def _shards(folder: Path, index: Path) -> list[Path]:
    told = read_json(index, who="load")
    names = told.get("weight_map") if isinstance(told, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(f"load: {index} has no weight_map of names. Fetch it again.")
    files = sorted(set(names.values()))
    for name in files:
        if Path(name).name != name or not name.endswith(SAFE):
            raise DataError(
                f"load: {index} names '{short(name)}', which is no file of safetensors beside it. "
                f"Fetch it again."
            )
        if not (folder / name).is_file():
            raise DataError(f"load: {folder} lacks its part {short(name)}. Fetch it again.")
    return [folder / name for name in files]


def _without_weights(folder: Path, stem: str, variant: str | None) -> DataError:
    names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    pickled = [name for name in names if name.endswith(PICKLED)]
    others = [name for name in names if name.endswith(SAFE)]
    if variant is not None and others:
        return DataError(
            f"load: {folder} has no weights of the variant '{variant}', but {', '.join(others)}. "
            f"Give another variant, or leave it out."
        )
    variants = [each for each in map(partial(_variant, stem), others) if each]
    if variants:
        return DataError(
            f"load: {folder} has its weights in the variant '{variants[0]}' alone. Ask for it: "
            f"load(..., variant='{variants[0]}'), or --variant {variants[0]}."
        )
    if others:
        return DataError(
            f"load: {folder} has its weights as {others[0]}, and the library reads {stem}{SAFE}. "
            f"Give the file that name."
        )
    if pickled:
        return DataError(
            f"load: {folder} has its weights as {pickled[0]}, a pickle, which can run code when it "
            f"is opened. Give them as {SAFE}: the publisher's own, or convert them where you trust "
            f"them, with save_pretrained."
        )
    return DataError(f"load: {folder} holds no weights ({stem}{SAFE}). Is it complete?")


def _variant(stem: str, name: str) -> str | None:
    """The variant of a file of weights; None where it has none, or is of another stem."""
    found = re.fullmatch(rf"{re.escape(stem)}\.([\w-]+?)(-\d+-of-\d+)?{re.escape(SAFE)}", name)
    return None if found is None else found[1]


def short(value: Any) -> str:
    """A value from a file on one line, cut where it is long.

    Example:
        >>> short("a  b")
        'a b'
    """
    said = " ".join(str(value).split())
    return said if len(said) <= 60 else f"{said[:59]}…"
