"""A folder of images, and what is said of each. Every image comes in by `as_rgb`."""

import csv
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from PIL import Image, ImageOps

from regard.data.files import plain_file, read_json, read_text, reason
from regard.errors import ArgumentError, DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

FILE_COLUMNS = ("file_name", "file", "image", "picture")
TEXT_COLUMNS = ("prompt", "caption", "text")

ONE_PHOTOGRAPH = ("MPO",)
"""Formats whose further images are previews or other views of the first."""

LONGEST = 131072
"""Characters of one field of a table at most: what Python's csv reads unasked."""

UNNAMED = "an image"

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
    """The images in a folder, sorted by name; other files, and folders in it, are passed over.

    Args:
        folder: Where they lie.

    Returns:
        `Pictures`; nothing is read yet.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    home = Path(folder)
    if not home.is_dir():
        raise DataError(f"pictures: {home} is no folder. Name a folder of images.")
    files = sorted(each for each in home.iterdir() if not each.name.startswith("."))
    found = tuple(each for each in files if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        inside = ", ".join(each.name for each in files if each.is_dir())
        where = f"Is it one of the folders in it: {inside}?" if inside else "Name another folder."
        raise DataError(f"pictures: {home} holds no image ({' '.join(SUFFIXES)}). {where}")
    return Pictures(found)


def read_picture(path: Path) -> Image.Image:
    """One image as RGB, turned as its camera says.

    Raises:
        DataError: it cannot be read, or not be shown as RGB without loss.
    """
    return as_rgb(path)


def as_rgb(picture: Any, *, name: str = UNNAMED) -> Image.Image:
    """Any image of 8 bits a channel as RGB, upright: turned as its camera says.

    Args:
        picture: A path, an open binary file, PIL, or uint8 [y, x] or [y, x, 3].
        name: What to call it in an error; a path is called by itself.

    Returns:
        The same image, mode RGB.

    Raises:
        DataError: it cannot be read, is no single image, has more than 8 bits a channel, is
            transparent somewhere, or has no pixel or more than PIL takes for safe.

    Example:
        >>> as_rgb(np.zeros((2, 3), np.uint8)).size
        (3, 2)
    """
    if isinstance(picture, str | os.PathLike):
        name = str(picture) if name == UNNAMED else f"{name} ({picture})"
        path = plain_file(Path(picture), who="pictures", name=name)
        try:
            # Opened here: PIL reads uncompressed TIFF that it opens itself on its side.
            with path.open("rb") as file:
                picture = _opened(file, name)
        except OSError as failed:
            raise _unreadable(name, failed) from failed
    elif isinstance(picture, io.IOBase) or hasattr(picture, "read"):
        picture = _opened(picture, name)
    elif not isinstance(picture, Image.Image):
        picture = _of_array(picture, name)
    if min(picture.size) < 1:
        raise DataError(f"pictures: {name} has {_by(picture)} pixels. Give an image with some.")
    upright: Any = _upright(picture, name)
    if upright.mode not in EIGHT_BIT:
        raise DataError(
            f"pictures: {name} has the mode {upright.mode}, which has no 8 bits a channel. "
            f"Convert it to RGB, on a scale of your choice."
        )
    if upright.has_transparency_data and upright.convert("RGBA").getextrema()[3][0] < 255:
        raise DataError(
            f"pictures: {name} is transparent somewhere, so its colours depend on what is behind. "
            f"Put it on a background."
        )
    converted: Image.Image = upright.convert("RGB")
    return converted


def _opened(file: Any, name: str) -> Image.Image:
    """The only image of a file, read to its end."""
    try:
        with warnings.catch_warnings():
            # PIL only warns of images of which one row of a contact sheet would fill the memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                frames = getattr(opened, "n_frames", 1)
                opened.load()
                read, kind = _turned(opened), opened.format
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as failed:
        raise DataError(
            f"pictures: {name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, too many to take "
            f"for an image. Make it smaller."
        ) from failed
    except Exception as failed:  # PIL's readers raise whatever they like
        raise _unreadable(name, failed) from failed
    if frames > 1 and kind not in ONE_PHOTOGRAPH:
        raise DataError(
            f"pictures: {name} holds {frames} images. Save the one you mean in a file of its own."
        )
    return read


def _upright(picture: Image.Image, name: str) -> Image.Image:
    try:
        if getattr(picture, "filename", "") and picture.format == "TIFF":
            picture = _reopened(picture)
        picture.load()
    except Exception as failed:  # an image that was opened and not read: cut off, or closed
        raise _unreadable(name, failed) from failed
    return _turned(picture)


def _reopened(picture: Any) -> Image.Image:
    """The same page of the same TIFF, read as `as_rgb` reads a path; itself if it was read."""
    if not picture.tile:
        return cast(Image.Image, picture)
    with open(picture.filename, "rb") as file, Image.open(file) as again:
        again.seek(picture.tell())
        again.load()
        return _turned(again)


def _unreadable(name: str, failed: Exception) -> DataError:
    return DataError(
        f"pictures: {name} could not be read: {reason(failed)}. Write it again, or take it away."
    )


def _turned(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF that cannot be read says nothing of an orientation
        return picture.copy()


def _of_array(picture: Any, name: str) -> Image.Image:
    array = np.asarray(picture)
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] == (3,)):
        raise DataError(
            f"pictures: {name} is an array of {array.dtype} {array.shape}; it must be uint8 "
            f"[y, x] or [y, x, 3], 0..255."
        )
    if array.size == 0:
        raise DataError(f"pictures: {name} is an array of no pixels. Give an image with some.")
    return Image.fromarray(array)


def _by(picture: Image.Image) -> str:
    return f"{picture.height}x{picture.width}"


def captions(file: str | Path) -> dict[str, tuple[str, ...]]:
    """What is said of each image, by the name of its file; perhaps several texts for one.

    Args:
        file: COCO's JSON with ``images`` and ``annotations``, as `write_coco` and COCO itself
            write captions; or CSV whose first line names a column file_name (or file, image,
            image) and a column prompt (or caption, text).

    Returns:
        Texts by file name, in the order of the file.

    Raises:
        DataError: the file is missing, or is neither.
    """
    path = Path(file)
    pairs = _of_coco(path) if path.suffix.lower() == ".json" else _of_csv(path)
    found: dict[str, tuple[str, ...]] = {}
    for name, said in pairs:
        found[Path(name).name] = (*found.get(Path(name).name, ()), said)
    if not found:
        raise DataError(f"captions: {path} holds no caption. Give one for each image.")
    return found


def captions_of(names: Sequence[str], said: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The texts of each of these images; 'a.png' is found under 'a.jpg' if need be.

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
            f"captions: {len(missing)} of {len(names)} images have none, such as '{missing[0]}'. "
            f"Add them, or take those images away."
        )
    return found


def _of_coco(path: Path) -> list[tuple[str, str]]:
    content = read_json(path, who="captions")
    try:
        files = {each["id"]: each["file_name"] for each in content["images"]}
        pairs = [(files[each["image_id"]], each["caption"]) for each in content["annotations"]]
    except (KeyError, TypeError) as failed:
        raise _no_coco(path, f"{type(failed).__name__}: {failed}") from failed
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str):
            raise _no_coco(path, f"a file_name is {name!r:.40} and its caption {text!r:.40}")
    return pairs


def _no_coco(path: Path, why: str) -> DataError:
    return DataError(
        f"captions: {path} has not the layout of COCO captions ({why}). It needs images with id "
        f"and file_name, annotations with image_id and caption."
    )


def _of_csv(path: Path) -> list[tuple[str, str]]:
    text = read_text(path, who="captions")
    try:
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
    except csv.Error as failed:
        raise DataError(
            f"captions: {path} is no table: {reason(failed)}. One field may have {LONGEST} "
            f"characters; write a caption in each row."
        ) from failed
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
