"""A synthetic trace, and its page in a browser.

Every word looks at its own place, more sharply as the steps go on.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from layer_of_maps import layer_of_maps
from reader import FLAGS, NAMES, Reader
from regard.measures.verdicts import judge
from regard.measures.words import word_table
from regard.trace import Trace, tokens_from_offsets
from regard.views import page

PROMPT = "a blue cat on the grass"
LAYERS = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2": ("down", 16),
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2": ("down", 8),
    "mid_block.attentions.0.transformer_blocks.0.attn2": ("mid", 4),
    "up_blocks.1.attentions.0.transformer_blocks.0.attn2": ("up", 8),
    "up_blocks.2.attentions.0.transformer_blocks.0.attn2": ("up", 16),
}
# Centre (y, x) and width in shares of the image, and strength, of what each token looks at; the
# order is start, a, blue, cat, on, the, gra, ss, end, pad.
AIMS = [
    (0.5, 0.5, 9.0, 6.5), (0.5, 0.5, 9.0, 0.02), (0.42, 0.55, 0.17, 1.9), (0.45, 0.52, 0.14, 3.1),
    (0.72, 0.5, 0.30, 0.5), (0.82, 0.3, 0.36, 0.35), (0.88, 0.5, 0.22, 1.1), (0.92, 0.6, 0.26, 0.9),
    (0.2, 0.2, 0.6, 0.8), (0.5, 0.5, 9.0, 0.12),
]  # fmt: skip
STEPS, HEADS = 30, 4


def softmax_maps(side: int, layer: int) -> np.ndarray:
    """Attention over (step, head, token, y, x) that sums to 1 over the tokens."""
    y, x = np.meshgrid(*[(np.arange(side) + 0.5) / side] * 2, indexing="ij")
    noise = np.random.default_rng(layer).normal(size=(STEPS, HEADS, len(AIMS), side, side))
    scores = np.empty((STEPS, HEADS, len(AIMS), side, side))
    for step in range(STEPS):
        for head in range(HEADS):
            for token, (cy, cx, width, strength) in enumerate(AIMS):
                wide = width * (1.6 - step / STEPS) * (0.8 + 0.15 * head)
                near = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * wide**2))
                scores[step, head, token] = strength * near
    weights = scores * np.exp(0.25 * noise)
    return (weights / weights.sum(axis=2, keepdims=True)).astype(np.float32)


def drawing() -> np.ndarray:
    """A blue disc on a lawn under a pale sky, 64 pixels."""
    y, x = np.mgrid[:64, :64]
    image = np.empty((64, 64, 3), np.uint8)
    image[:] = (205, 226, 240)
    image[y > 40] = (120, 176, 92)
    image[(y - 29) ** 2 + (x - 33) ** 2 < 150] = (66, 104, 196)
    return image


def make_trace(prompt: str = PROMPT, **recipe: object) -> Trace:
    texts = ["<|startoftext|>", "a</w>", "blue</w>", "cat</w>", "on</w>", "the</w>", "gra",
             "ss</w>", "<|endoftext|>", "<|pad|>"]  # fmt: skip
    offsets = [
        (0, 0),
        (0, 1),
        (2, 6),
        (7, 10),
        (11, 13),
        (14, 17),
        (18, 21),
        (21, 23),
        (0, 0),
        (0, 0),
    ]
    special = [True, *[False] * 7, True, True]
    tokens = tokens_from_offsets(PROMPT, texts, offsets, special, end=8, pads=[9])
    layers = {
        name: layer_of_maps(
            softmax_maps(side, at),
            steps=range(STEPS),
            timesteps=np.linspace(980, 20, STEPS).tolist(),
            tokens=range(len(AIMS)),
            stage=place,
        )
        for at, (name, (place, side)) in enumerate(LAYERS.items())
    }
    known = {
        "model": "openmoji", "prompt": prompt, "seed": 7, "num_inference_steps": STEPS,
        "guidance_scale": 4.0, "scheduler": "DDIMScheduler", "size": [64, 64],
        "keep": ["step", "layer", "head"],
        "parity_error": 2.4e-07, "cut": "", "dtype": "float32", "negative_prompt": "",
        "weights_sha256": "9f2c" * 16, "versions": {"regard": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip
    return Trace(layers, tokens, {**known, **recipe}, drawing())


def with_verification(trace: Trace) -> Trace:
    words = ["a", "blue", "cat", "on", "the", "grass"]
    verification = pd.DataFrame(
        {
            "word": [*words, "[pad]", "[pad]"],
            "seed": 7,
            "kind": ["word"] * 6 + ["control"] * 2,
            "distance": [0.004, 0.129, 0.396, 0.018, 0.005, 0.267, 0.001, 0.002],
            "pixel_distance": [0.004, 0.061, 0.142, 0.021, 0.009, 0.118, 0.005, 0.006],
            "seen": ["same", "blue cat -> black cat", "blue cat -> nothing", *["same"] * 5],
        }
    )
    return replace(trace, table=judge(word_table(trace), verification))


@pytest.fixture(scope="session")
def trace() -> Trace:
    return with_verification(make_trace())


@pytest.fixture(scope="session")
def unverified() -> Trace:
    plain = make_trace(cut="in front of a snowy mountain")
    return replace(plain, table=word_table(plain))


@pytest.fixture(scope="session")
def make() -> Callable[..., Trace]:
    """A trace with another prompt or recipe."""
    return make_trace


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is in PATH")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=found[0], args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the trace; a module with a ``trace`` of its own gets the page of that."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(trace), encoding="utf-8")
    return path


@pytest.fixture
def reader(browser: Any, file: Path) -> Iterator[Reader]:
    """Who reads it. The page must not complain, and ask nothing of the network."""
    opened = Reader(browser, file, viewport={"width": 1280, "height": 1000})
    yield opened
    opened.tab.close()
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
