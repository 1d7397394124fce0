"""Fashion-MNIST: 70,000 images of clothes in ten classes, read from the official files."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from regard.errors import ArgumentError, DataError

Split = Literal["train", "test"]

NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes in the order of their labels."""

FOLDER = "REGARD_FASHION_MNIST"
"""Environment variable: the folder with the four files."""

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts them."""

STEMS: dict[str, str] = {"train": "train", "test": "t10k"}

# Of the contents, not of the .gz: Debian packs them anew, without the name and time of day that the
# official .gz has in its head. With these put back, its files have the official MD5 sums, which is
# how the sums below are known to be those of the official contents.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True, eq=False)
class FashionMNIST:
    """One split: images, labels and what the labels mean.

    Attributes:
        images: uint8 [image, 28, 28], 0 the background, 255 the brightest cloth.
        labels: int64 [image], indices of ``names``.
        names: The ten classes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] = NAMES

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"FashionMNIST({len(self)} images in {len(self.names)} classes)"


def fashion_mnist(
    split: Split = "train", folder: str | os.PathLike[str] | None = None
) -> FashionMNIST:
    """Read a split of Fashion-MNIST: 60,000 images to train on, or 10,000 to test with.

    The four official files are read as they are, packed (``.gz``) or not, and their contents are
    compared with the published checksums. Nothing is downloaded.

    Args:
        split: 'train' or 'test'.
        folder: Where the files lie; by default ``$REGARD_FASHION_MNIST``, else the folder of
            Debian's package ``dataset-fashion-mnist``.

    Returns:
        Images and labels, in the official order.

    Raises:
        ArgumentError: there is no such split.
        DataError: a file is missing, damaged, or not the official one.

    Example:
        >>> fashion_mnist("test", "/nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        regard.errors.DataError: fashion_mnist: /nowhere has no t10k-images-idx3-ubyte.gz; ...

    Source:
        Xiao, Rasul and Vollgraf (2017), arXiv 1708.07747; MIT licence, © Zalando SE,
        https://github.com/zalandoresearch/fashion-mnist.
    """
    if split not in get_args(Split):
        raise ArgumentError(f"fashion_mnist: split is '{split}' and must be 'train' or 'test'.")
    place = Path(folder or os.environ.get(FOLDER) or PACKAGED)
    images = idx(_contents(place, f"{STEMS[split]}-images-idx3-ubyte"))
    labels = idx(_contents(place, f"{STEMS[split]}-labels-idx1-ubyte"))
    return FashionMNIST(images, labels.astype(np.int64))


def _contents(place: Path, name: str) -> bytes:
    packed, plain = place / f"{name}.gz", place / name
    found = next((path for path in (packed, plain) if path.is_file()), None)
    if found is None:
        raise DataError(
            f"fashion_mnist: {place} has no {packed.name}; get it with 'apt-get install "
            f"dataset-fashion-mnist' or from github.com/zalandoresearch/fashion-mnist, and name "
            f"its folder in ${FOLDER}."
        )
    try:
        contents = gzip.decompress(found.read_bytes()) if found is packed else found.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as damaged:
        raise DataError(f"fashion_mnist: {found} is damaged: {damaged}. Fetch it again.") from None
    digest = hashlib.sha256(contents).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"fashion_mnist: {found} is not the official file: the SHA-256 of its contents is "
            f"{digest[:12]}... and must be {SHA256[name][:12]}.... Fetch it again."
        )
    return contents


def idx(contents: bytes) -> np.ndarray:
    """The array in a file of unsigned bytes in IDX format.

    Args:
        contents: Two zeros, the type 8, the number of axes, the size of each as a big-endian
            32-bit number, then the bytes.

    Returns:
        uint8, of the shape that the file states.

    Raises:
        DataError: it is no such file, or a byte too long or too short.

    Example:
        >>> idx(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
        array([[7, 8, 9]], dtype=uint8)

    Source:
        LeCun, Cortes and Burges, "The MNIST database", section "The IDX file format".
    """
    axes = contents[3] if contents[:3] == b"\0\0\x08" and len(contents) > 3 else 0
    head = 4 + 4 * axes
    if not axes or len(contents) < head:
        raise DataError("idx: this is no IDX file of unsigned bytes. Give an official file.")
    shape = struct.unpack(f">{axes}I", contents[4:head])
    if len(contents) - head != math.prod(shape):
        raise DataError(
            f"idx: the file says {' x '.join(map(str, shape))} bytes and has "
            f"{len(contents) - head}. Fetch it again."
        )
    return np.frombuffer(contents, np.uint8, offset=head).reshape(shape)
