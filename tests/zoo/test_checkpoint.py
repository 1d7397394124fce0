import pytest
import torch

from regard.errors import DataError
from regard.zoo.train import train


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"text, not tensors",
        b"PK\x03\x04 half a zip",
        {},
        {"step": "one"},
        [1, 2],
        torch.zeros(2),
        {"step": 1, "network": {"a": torch.zeros(1)}, "average": [], "optimisers": []},
        {"step": 1, "network": {}, "average": 3, "optimisers": [{}]},
    ],
)
def test_a_damaged_checkpoint_is_one_line(small, tmp_path, contents):
    if isinstance(contents, bytes):
        (tmp_path / "last.pt").write_bytes(contents)
    else:
        torch.save(contents, tmp_path / "last.pt")
    with pytest.raises(
        DataError, match=r"train: .*last\.pt is (damaged|the checkpoint of another)"
    ):
        train("openmoji-autoencoder", tmp_path, steps=1, resume=True)


def test_a_folder_in_place_of_a_checkpoint_is_one_line(small, tmp_path):
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(DataError, match="is damaged or no checkpoint"):
        train("openmoji-autoencoder", tmp_path, steps=1, resume=True)
