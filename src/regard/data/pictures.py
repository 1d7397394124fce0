"""A folder of pictures, and what is said of each."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image, ImageOps

from regard.errors import ArgumentError, DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

FILE_COLUMNS = ("file_name", "file", "image", "picture")
TEXT_COLUMNS = ("prompt", "caption", "text")

EIGHT_BIT = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr")
"""Modes that become RGB without loss of range; 16-bit and float ones would be clipped."""


@dataclass(frozen=True)
class Pictures(Sequence[Any]):
    """Pictures in files, each read when it is asked for, as RGB and upright.

    Attributes:
        paths: The files.
    """

    paths: tuple[Path, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, without their folder."""
        return tuple(path.name for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> Image.Image: ...

    @overload
    def __getitem__(self, place: slice) -> "Pictures": ...

    def __getitem__(self, place: int | slice) -> "Image.Image | Pictures":
        if isinstance(place, slice):
            return Pictures(self.paths[place])
        return read_picture(self.paths[place])


def pictures(folder: str | Path) -> Pictures:
    """The pictures in a folder, sorted by name; other files, and folders in it, are passed over.

    Args:
        folder: Where they lie.

    Returns:
        `Pictures`; nothing is read yet.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """
    home = Path(folder)
    if not home.is_dir():
        raise DataError(f"pictures: {home} is no folder. Name a folder of pictures.")
    files = sorted(each for each in home.iterdir() if not each.name.startswith("."))
    found = tuple(each for each in files if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        inside = ", ".join(each.name for each in files if each.is_dir())
        where = f"Is it one of the folders in it: {inside}?" if inside else "Name another folder."
        raise DataError(f"pictures: {home} holds no picture ({' '.join(SUFFIXES)}). {where}")
    return Pictures(found)


def read_picture(path: Path) -> Image.Image:
    """One picture as RGB, turned as its camera says.

    Raises:
        DataError: it cannot be read, or not be shown as RGB without loss.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            upright = ImageOps.exif_transpose(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as failed:
        told = getattr(failed, "strerror", None) or str(failed)
        why = (told.splitlines() or [type(failed).__name__])[0].strip(" .")
        raise DataError(
            f"pictures: {path} could not be read: {why}. Write it again, or take it away."
        ) from failed
    return as_rgb(upright, name=str(path))


def as_rgb(picture: Any, *, name: str = "a picture") -> Image.Image:
    """A picture of 8 bits a channel as RGB.

    Args:
        picture: PIL, or uint8 [y, x] or [y, x, 3].
        name: What to call it in an error.

    Returns:
        The same picture, mode RGB.

    Raises:
        DataError: it holds something else, or is transparent somewhere.

    Example:
        >>> as_rgb(np.zeros((2, 3), np.uint8)).size
        (3, 2)
    """
    if not isinstance(picture, Image.Image):
        array = np.asarray(picture)
        if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] == (3,)):
            raise DataError(
                f"pictures: {name} is an array of {array.dtype} {array.shape}; it must be uint8 "
                f"[y, x] or [y, x, 3], 0..255."
            )
        picture = Image.fromarray(array)
    if picture.mode not in EIGHT_BIT:
        raise DataError(
            f"pictures: {name} has the mode {picture.mode}, which has no 8 bits a channel. "
            f"Convert it to RGB, on a scale of your choice."
        )
    if picture.has_transparency_data and picture.convert("RGBA").getextrema()[3][0] < 255:
        raise DataError(
            f"pictures: {name} is transparent somewhere, so its colours depend on what is behind. "
            f"Put it on a background."
        )
    converted: Image.Image = picture.convert("RGB")
    return converted


def captions(file: str | Path) -> dict[str, tuple[str, ...]]:
    """What is said of each picture, by the name of its file; perhaps several texts for one.

    Args:
        file: COCO's JSON with ``images`` and ``annotations``, as `write_coco` and COCO itself
            write captions; or CSV whose first line names a column file_name (or file, image,
            picture) and a column prompt (or caption, text).

    Returns:
        Texts by file name, in the order of the file.

    Raises:
        DataError: the file is missing, or is neither.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as failed:
        why = getattr(failed, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"captions: {path} could not be read: {why}.") from failed
    pairs = _of_coco(path, text) if path.suffix.lower() == ".json" else _of_csv(path, text)
    found: dict[str, tuple[str, ...]] = {}
    for name, said in pairs:
        found[Path(name).name] = (*found.get(Path(name).name, ()), said)
    if not found:
        raise DataError(f"captions: {path} holds no caption. Give one for each picture.")
    return found


def captions_of(names: Sequence[str], said: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The texts of each of these pictures; 'a.png' is found under 'a.jpg' if need be.

    Raises:
        ArgumentError: one of them has none.

    Example:
        >>> captions_of(["b.png"], {"a.png": ("a cat",), "b.jpg": ("a dog",)})
        [('a dog',)]
    """
    # What is drawn from the captions of photographs keeps their name, and not always their kind.
    stems = {Path(name).stem: texts for name, texts in said.items()}
    found = [said.get(name, stems.get(Path(name).stem, ())) for name in names]
    missing = [name for name, texts in zip(names, found, strict=True) if not texts]
    if missing:
        raise ArgumentError(
            f"captions: {len(missing)} of {len(names)} pictures have none, such as '{missing[0]}'. "
            f"Add them, or take those pictures away."
        )
    return found


def _of_coco(path: Path, text: str) -> list[tuple[str, str]]:
    try:
        content = json.loads(text)
        files = {each["id"]: each["file_name"] for each in content["images"]}
        return [(files[each["image_id"]], each["caption"]) for each in content["annotations"]]
    except (ValueError, KeyError, TypeError) as failed:
        raise DataError(
            f"captions: {path} has not the layout of COCO captions ({type(failed).__name__}: "
            f"{failed}). It needs images with id and file_name, annotations with image_id and "
            f"caption."
        ) from failed


def _of_csv(path: Path, text: str) -> list[tuple[str, str]]:
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    columns = list(rows[0]) if rows else []
    chosen = [
        next((name for name in names if name in columns), None)
        for names in (FILE_COLUMNS, TEXT_COLUMNS)
    ]
    file, said = chosen
    if file is None or said is None:
        raise DataError(
            f"captions: {path} has the columns {columns}; it needs one of "
            f"{', '.join(FILE_COLUMNS)} and one of {', '.join(TEXT_COLUMNS)}."
        )
    if any(not row[file] or not row[said] for row in rows):
        raise DataError(f"captions: {path} has a row without file or text. Fill it in.")
    return [(row[file], row[said]) for row in rows]
