"""Encoders for tests: tiny random CLIPs in a folder, and features that are what one says."""

import functools
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regard.models.encoder import Encoder
from tiny import tiny_tokenizer


def save_clip(folder: Path) -> Path:
    """A tiny random CLIP with its processor and tokenizer, as users keep one."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokenizer = tiny_tokenizer()
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    shared["num_attention_heads"] = 2
    text = {
        **shared,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**shared, "image_size": 24, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sides = {"height": 24, "width": 24}
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=sides)
    processor.save_pretrained(folder)
    return folder


def noise_pictures(number: int, *, seed: int = 0, size: tuple[int, int] = (20, 30)) -> list:
    """Coloured noise of random brightness, so that features differ."""
    rng = np.random.default_rng(seed)
    shape = (*size, 3)
    return [
        Image.fromarray((rng.random(shape) * rng.integers(40, 255)).astype(np.uint8))
        for _ in range(number)
    ]


def lettered(rows: np.ndarray) -> tuple[list, Encoder]:
    """Pictures that stand for rows of features, and the encoder that knows which."""
    stamps = [Image.new("RGB", (1, 1), (n % 256, n // 256, 0)) for n in range(len(rows))]

    def features(pictures):
        at = [p.getpixel((0, 0)) for p in pictures]
        return np.stack([rows[red + 256 * green] for red, green, _ in at])

    return stamps, Encoder("lettered", features)


@functools.cache
def gaussian(number: int, width: int, shift: float, seed: int) -> np.ndarray:
    """Rows of correlated normal numbers."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(number, width)) @ rng.normal(size=(width, width)) / 2 + shift
