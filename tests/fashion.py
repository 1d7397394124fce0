"""A few made-up pictures of clothes and a tiny classifier of them, for the tests of studies."""

import functools
import gzip
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.data import FashionMNIST
from regard.data.fashion_mnist import NAMES
from regard.experiments.studies.budget import Budget
from regard.models import Preparation, Vision

TINY = Budget(
    images=40, sampled=10, clustered=4, resized=20, resized_dense=4, matched=4, ablated=10,
    explained=4, steps=3, orders=2, batch=16,
)  # fmt: skip

CLASSIFIER: dict[str, Any] = {
    "image_size": 28,
    "patch_size": 7,
    "num_channels": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "initializer_range": 0.3,  # else all heads look evenly, and nothing differs
    "id2label": dict(enumerate(NAMES)),
}


def clothes(count: int = 40, seed: int = 0) -> FashionMNIST:
    """Pictures of noise whose class is a bright row; all ten classes in turn."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, 28, 28), np.uint8)
    labels = np.arange(count) % 10
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 7] += 130
    return FashionMNIST(images, labels)


def network(name: str = "ViT", **changes: Any) -> Any:
    """A classifier of transformers with random weights, the same each time."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**CLASSIFIER, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = getattr(transformers, f"{name}ForImageClassification")(config)
    return model.eval().requires_grad_(False)


def vision(model: Any = None, labels: tuple[str, ...] = NAMES) -> Vision:
    """The tiny classifier, ready for pictures."""
    model = model if model is not None else network()
    patch = model.config.patch_size
    how = Preparation((28, 28), mean=(0.5,), std=(0.5,))
    return Vision(model, "tiny", labels, 1, (patch, patch), how, (28, 28))


@functools.cache
def knowing() -> Vision:
    """The tiny classifier after a few steps of training its last layer: right more than half."""
    seen, model = clothes(200, seed=1), network()
    ready = vision(model)
    pixels, labels = ready.pixels(seen.images), torch.from_numpy(seen.labels)
    with torch.no_grad():
        hidden = model.vit(pixel_values=pixels).last_hidden_state[:, 0]
    head = model.classifier
    with torch.enable_grad():
        weights = [head.weight.requires_grad_(), head.bias.requires_grad_()]
        steps = torch.optim.Adam(weights, lr=0.05)
        for _ in range(60):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(head(hidden), labels).backward()
            steps.step()
    model.requires_grad_(False)
    return ready


def model_folder(folder: Path, **changes: Any) -> Path:
    """The classifier as a folder of transformers."""
    network(**changes).save_pretrained(folder)
    said = {"size": {"height": 28, "width": 28}, "image_mean": [0.5], "image_std": [0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def data_folder(folder: Path, monkeypatch: Any, reader: Any, seen: FashionMNIST) -> Path:
    """The pictures as the files of the test split, whose checksums are taken for the official."""
    folder.mkdir(exist_ok=True)
    for stem, array in (("images-idx3", seen.images), ("labels-idx1", seen.labels)):
        sides = struct.pack(f">{array.ndim}I", *array.shape)
        contents = bytes([0, 0, 8, array.ndim]) + sides + array.astype(np.uint8).tobytes()
        name = f"t10k-{stem}-ubyte"
        (folder / f"{name}.gz").write_bytes(gzip.compress(contents))
        monkeypatch.setitem(reader.SHA256, name, hashlib.sha256(contents).hexdigest())
    return folder
