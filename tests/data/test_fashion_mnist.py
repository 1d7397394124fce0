import gzip
import hashlib
import struct
import sys

import numpy as np
import pytest

from regard.data import FashionMNIST, fashion_mnist
from regard.errors import ArgumentError, DataError

READER = sys.modules["regard.data.fashion_mnist"]

# As published by the authors, in the README of github.com/zalandoresearch/fashion-mnist.
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}


def idx_bytes(array):
    """An array as its authors would write it."""
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + bytes(array)
    )


IMAGES = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
LABELS = np.array([9, 0, 4], np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures as the test split, whose checksums are taken for the official ones."""
    for stem, array in (("t10k-images-idx3-ubyte", IMAGES), ("t10k-labels-idx1-ubyte", LABELS)):
        contents = idx_bytes(array)
        (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(contents))
        monkeypatch.setitem(READER.SHA256, stem, hashlib.sha256(contents).hexdigest())
    return tmp_path


def test_pictures_and_labels_come_as_they_were_written(folder):
    found = fashion_mnist("test", folder)
    assert isinstance(found, FashionMNIST)
    np.testing.assert_array_equal(found.images, IMAGES)
    assert found.labels.tolist() == [9, 0, 4]
    assert [found.names[label] for label in found.labels] == ["Ankle boot", "T-shirt/top", "Coat"]
    assert (len(found), found.images.dtype, found.labels.dtype) == (3, np.uint8, np.int64)


def test_files_that_are_not_packed_are_read_too(folder):
    for packed in list(folder.iterdir()):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    np.testing.assert_array_equal(fashion_mnist("test", folder).images, IMAGES)


def test_the_folder_may_be_named_in_the_environment(folder, monkeypatch):
    monkeypatch.setenv("REGARD_FASHION_MNIST", str(folder))
    assert len(fashion_mnist("test")) == 3


def test_a_missing_file_says_where_to_get_it_in_one_line(folder):
    with pytest.raises(DataError) as raised:
        fashion_mnist("train", folder)
    message = str(raised.value)
    assert message.startswith(f"fashion_mnist: {folder} has no train-images-idx3-ubyte.gz; get it")
    assert "apt-get install dataset-fashion-mnist" in message
    assert "REGARD_FASHION_MNIST" in message
    assert "\n" not in message


def test_a_file_of_another_content_is_refused(folder):
    other = gzip.compress(idx_bytes(LABELS[::-1]))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(other)
    with pytest.raises(DataError, match="is not the official file: the SHA-256 of its contents"):
        fashion_mnist("test", folder)


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-9], lambda b: b"no gzip", lambda b: b[:40] + b[60:]]
)
def test_a_damaged_file_is_one_clear_line(folder, harm):
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(DataError, match="is damaged: .* Fetch it again"):
        fashion_mnist("test", folder)


def test_there_are_two_splits(folder):
    with pytest.raises(ArgumentError, match="split is 'validation' and must be 'train' or 'test'"):
        fashion_mnist.__wrapped__("validation", folder)


@pytest.mark.parametrize(
    "contents",
    [b"", b"\0\0\x08", b"\0\0\x08\x00", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x02\0\0\0\1"],
)
def test_what_is_no_idx_of_bytes_is_refused(contents):
    with pytest.raises(DataError, match="this is no IDX file of unsigned bytes"):
        READER.idx(contents)


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0"])
def test_a_byte_too_few_or_too_many_is_refused(change):
    with pytest.raises(DataError, match=r"the file says 3 bytes and has (2|4)"):
        READER.idx(change(idx_bytes(LABELS)))


@pytest.mark.skipif(not READER.PACKAGED.is_dir(), reason="Debian's dataset-fashion-mnist is absent")
@pytest.mark.parametrize("name", MD5)
def test_the_expected_contents_are_those_of_the_published_md5_sums(name):
    # Debian packs the files without name and time. The times below, tried until the sums agreed,
    # are those of 31 August 2017, when the authors packed them.
    packed = (READER.PACKAGED / f"{name}.gz").read_bytes()
    time = 1504176606 if name.startswith("train") else 1504176627
    head = b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + packed[8:10] + name.encode() + b"\0"
    assert hashlib.md5(head + packed[10:]).hexdigest() == MD5[name]
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == READER.SHA256[name]


@pytest.mark.skipif(not READER.PACKAGED.is_dir(), reason="Debian's dataset-fashion-mnist is absent")
def test_the_real_test_split_has_a_thousand_pictures_of_each_class():
    found = fashion_mnist("test", READER.PACKAGED)
    assert found.images.shape == (10_000, 28, 28)
    assert np.bincount(found.labels).tolist() == [1000] * 10
