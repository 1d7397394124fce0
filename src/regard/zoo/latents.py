"""What a denoiser learns from: scenes as latents, encoded once, and what is said of each."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.data.scenes import scene
from regard.saved.claim import claim
from regard.zoo.bundled import weights_sha256
from regard.zoo.checkpoint import write_tensors
from regard.zoo.pixels import kind_of_scenes, mixed, to_tensor
from regard.zoo.words import with_filler


@dataclass(frozen=True)
class Latents:
    """All training scenes of a recipe.

    Attributes:
        values: float16 [scene, channel, y, x], as a denoiser takes them.
        captions: Of each scene, in English and in the benchmark's articles.
    """

    values: Tensor
    captions: list[list[str]]

    def picked(self, step: int, settings: Mapping[str, Any]) -> tuple[Tensor, list[str]]:
        """The latents of one step, float32, and a text for each: one in ten says nothing."""
        rng = np.random.default_rng([settings["seed"], step])
        picked = rng.integers(0, len(self.captions), settings["batch"])
        texts = [with_filler(self.captions[i][int(rng.random() < 0.3)], rng) for i in picked]
        # Classifier-free guidance needs a model of images without a caption (Ho & Salimans 2022).
        texts = ["" if rng.random() < 0.1 else text for text in texts]
        return self.values[torch.from_numpy(picked)].float(), texts


def latents(autoencoder: Any, settings: Mapping[str, Any], device: torch.device) -> Latents:
    """The latents of a recipe's scenes, from a file of an earlier training or encoded now.

    Args:
        autoencoder: Of diffusers, on the device.
        settings: The ``train`` of a recipe: ``scenes`` says how many, ``size``, ``seed`` and
            ``scenes_version`` which.
        device: What it is encoded on.
    """
    number = settings["scenes"]
    place = cache_folder() / f"latents-{_mark(autoencoder, settings)}-{number}.pt"
    if not place.exists():
        encoded = _encoded(autoencoder, settings, device)
        with claim(place, who="train") as workshop:
            write_tensors(encoded, workshop / place.name)
            os.replace(workshop / place.name, place)
    stored = torch.load(place, weights_only=True)
    return Latents(stored["latents"], json.loads(stored["captions"]))


def spread(count: int) -> Tensor:
    """One random number from each of ``count`` equal parts of 0..1.

    So each batch sees every timestep, and the loss of a step varies less.
    """
    return (torch.arange(count) + torch.rand(count)) / count


def cache_folder() -> Path:
    """Where latents are kept between trainings."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "regard"


def _mark(autoencoder: Any, settings: Mapping[str, Any]) -> str:
    """What decides the latents, but for how many there are."""
    how, weights = kind_of_scenes(settings), weights_sha256(autoencoder.encoder)[:12]
    return f"v{how['version']}-{how['size']}-{settings['seed']}-{weights}"


@torch.no_grad()
def _encoded(autoencoder: Any, settings: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    values: list[Tensor] = []
    captions: list[list[str]] = []
    number, scale = settings["scenes"], autoencoder.config.scaling_factor
    for first in range(0, number, 64):
        indices = range(first, min(first + 64, number))
        scenes = [scene(i, seed=settings["seed"], **kind_of_scenes(settings)) for i in indices]
        pixels = to_tensor(s.image for s in scenes).to(device)
        with mixed(settings, device):
            encoded = autoencoder.encode(pixels).latent_dist.mode()
        values.append((encoded * scale).half().cpu())
        captions += [[s.caption(), s.caption("literal")] for s in scenes]
    return {"latents": torch.cat(values), "captions": json.dumps(captions)}
