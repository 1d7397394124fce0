"""How images are prepared for a vision transformer, by the processor that came with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from regard.data.files import read_json
from regard.errors import DataError

Size = tuple[int, int]
"""Rows and columns."""

PROCESSOR = "preprocessor_config.json"
TOGETHER = "processor_config.json"
"""What transformers 5 saves where a model has a tokenizer too: the image processor is in it."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """From an image to the size that a model takes, as its processor says.

    Attributes:
        size: Rows and columns in pixels.
        shortest: The shorter side is first brought to this, then the middle is cut out; None
            resizes both sides at once.
        resample: PIL's number of the filter.
        mean: One per channel, in shares of full scale; empty where it is not known.
        std: Likewise.
    """

    size: Size
    shortest: int | None = None
    resample: int = 2
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def preparation(folder: Path | None, trained: Size) -> Preparation:
    """How images are prepared, by the processor's file in a folder.

    Args:
        folder: The folder of a model; None if there is none.
        trained: Rows and columns to take where the file names no size.

    Returns:
        A `Preparation`; without mean and deviation where there is no file.

    Raises:
        DataError: the file says something that is not understood.
    """
    file = None if folder is None else processor_file(folder)
    if file is None:
        return Preparation(trained)
    said = read_json(file, who="load")
    if file.name == TOGETHER:
        said = said["image_processor"]
    return _understood(said, trained, str(file))


def processor_file(folder: Path) -> Path | None:
    """The file in a folder that says how images are prepared; None if there is none.

    Raises:
        DataError: it is no JSON.
    """
    if (folder / PROCESSOR).is_file():
        return folder / PROCESSOR
    if (folder / TOGETHER).is_file():
        said = read_json(folder / TOGETHER, who="load")
        if isinstance(said, dict) and isinstance(said.get("image_processor"), dict):
            return folder / TOGETHER
    return None


def given(processor: Any, trained: Size) -> Preparation:
    """How images are prepared, by an image processor of transformers.

    Args:
        processor: The processor, one that holds it, or what its ``to_dict`` gives.
        trained: Rows and columns to take where it names no size.

    Raises:
        DataError: it is none, or says something that is not understood.
    """
    inner = getattr(processor, "image_processor", processor)
    said = inner.to_dict() if hasattr(inner, "to_dict") else inner
    return _understood(said, trained, f"the processor ({type(inner).__name__})")


def _understood(said: Any, trained: Size, where: str) -> Preparation:
    try:
        return _prepared(said, trained)
    except (ValueError, KeyError, TypeError, AttributeError) as failed:
        raise DataError(
            f"load: {where} is not understood ({type(failed).__name__}: {failed}). It must say "
            f"size, image_mean and image_std as the image processors of transformers do."
        ) from failed


def _prepared(said: dict[str, Any], trained: Size) -> Preparation:
    mean, std = said["image_mean"], said["image_std"]
    factor = said.get("rescale_factor", 1 / 255)
    if not said.get("do_rescale", True) or abs(factor * 255 - 1) > 1e-6:
        raise ValueError(f"rescale_factor is {factor}, not 1/255")
    if not said.get("do_normalize", True):
        mean, std = [0.0] * len(mean), [1.0] * len(std)
    size, cropped = said.get("size") or {}, said.get("do_center_crop", False)
    if isinstance(size, int):  # as it was written before 2022
        size = {"shortest_edge": size} if cropped else {"height": size, "width": size}
    resample = int(said.get("resample", 2))
    shortest = size.get("shortest_edge") if said.get("do_resize", True) else None
    whole = (int(size["height"]), int(size["width"])) if "height" in size else trained
    if cropped:
        crop = said["crop_size"]
        whole = pair(crop) if isinstance(crop, int) else (int(crop["height"]), int(crop["width"]))
    elif shortest is not None:
        shortest, whole = None, (int(shortest), int(shortest))
    return Preparation(whole, shortest, resample, tuple(map(float, mean)), tuple(map(float, std)))


def shortest(picture: Image.Image, side: int, resample: int) -> Image.Image:
    """An image whose shorter side has this many pixels."""
    wide, high = picture.size
    # Rounded down, as the processors of transformers do.
    size = (side, int(side * high / wide)) if wide <= high else (int(side * wide / high), side)
    return picture if size == picture.size else picture.resize(size, resample)


def middle(picture: Image.Image, size: Size) -> Image.Image:
    """The middle of an image, of this many columns and rows."""
    left, top = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
    return picture.crop((left, top, left + size[0], top + size[1]))


def pair(sides: Any) -> Size:
    """Rows and columns, of one number for both or of two.

    Example:
        >>> pair(16), pair([24, 16])
        ((16, 16), (24, 16))
    """
    if isinstance(sides, int):
        return sides, sides
    rows, columns = sides
    return int(rows), int(columns)
