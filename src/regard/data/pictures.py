"""A folder of images. Every image comes in by `as_rgb`."""

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from PIL import Image, ImageOps

from regard.data.files import plain_file, reason
from regard.errors import DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

ONE_PHOTOGRAPH = ("MPO",)
"""Formats whose further images are previews or other views of the first."""

UNNAMED = "an image"

EIGHT_BIT = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr")
"""Modes that become RGB without loss of range; 16-bit and float ones would be clipped."""


@dataclass(frozen=True)
class Pictures(Sequence[Any]):
    """Images in files, each read when it is asked for, as RGB and upright.

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
        raise DataError(f"images: {home} is no folder. Name a folder of images.")
    files = sorted(each for each in home.iterdir() if not each.name.startswith("."))
    found = tuple(each for each in files if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        inside = ", ".join(each.name for each in files if each.is_dir())
        where = f"Is it one of the folders in it: {inside}?" if inside else "Name another folder."
        raise DataError(f"images: {home} holds no image ({' '.join(SUFFIXES)}). {where}")
    return Pictures(found)


def read_picture(path: Path) -> Image.Image:
    """One image as RGB, turned as its camera says.

    Raises:
        DataError: it cannot be read, or not be shown as RGB without loss.
    """
    return as_rgb(path)


def as_rgb(image: Any, *, name: str = UNNAMED) -> Image.Image:
    """Any image of 8 bits a channel as RGB, upright: turned as its camera says.

    Args:
        image: A path, an open binary file, PIL, or uint8 [y, x] or [y, x, 3].
        name: What to call it in an error, before its path if it has one.

    Returns:
        The same image, mode RGB.

    Raises:
        DataError: it cannot be read, is no single image, has more than 8 bits a channel, is
            transparent somewhere, or has no pixel or more than PIL takes for safe.

    Example:
        >>> as_rgb(np.zeros((2, 3), np.uint8)).size
        (3, 2)
    """
    if isinstance(image, str | os.PathLike):
        name = str(image) if name == UNNAMED else f"{name} ({image})"
        path = plain_file(Path(image), who="images", name=name)
        try:
            # Opened here: PIL reads uncompressed TIFF that it opens itself on its side.
            with path.open("rb") as file:
                image = _opened(file, name)
        except OSError as failed:
            raise _unreadable(name, failed) from failed
    elif isinstance(image, io.IOBase) or hasattr(image, "read"):
        image = _opened(image, name)
    elif not isinstance(image, Image.Image):
        image = _of_array(image, name)
    if min(image.size) < 1:
        raise DataError(f"images: {name} has {_by(image)} pixels. Give an image with some.")
    upright: Any = _upright(image, name)
    if upright.mode not in EIGHT_BIT:
        raise DataError(
            f"images: {name} has the mode {upright.mode}, which has no 8 bits a channel. "
            f"Convert it to RGB, on a scale of your choice."
        )
    if upright.has_transparency_data and upright.convert("RGBA").getextrema()[3][0] < 255:
        raise DataError(
            f"images: {name} is transparent somewhere, so its colours depend on what is behind. "
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
            f"images: {name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, too many to take "
            f"for an image. Make it smaller."
        ) from failed
    except Exception as failed:  # PIL's readers raise whatever they like
        raise _unreadable(name, failed) from failed
    if frames > 1 and kind not in ONE_PHOTOGRAPH:
        raise DataError(
            f"images: {name} holds {frames} images. Save the one you mean in a file of its own."
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
        f"images: {name} could not be read: {reason(failed)}. Write it again, or remove it."
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
            f"images: {name} is an array of {array.dtype} {array.shape}; it must be uint8 "
            f"[y, x] or [y, x, 3], 0..255."
        )
    if array.size == 0:
        raise DataError(f"images: {name} is an array of no pixels. Give an image with some.")
    return Image.fromarray(array)


def _by(picture: Image.Image) -> str:
    return f"{picture.height}x{picture.width}"
