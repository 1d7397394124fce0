"""Task: a latent diffusion model that generates what a caption says."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.data.scenes import scene
from regard.saved.claim import claim
from regard.zoo.autoencoder import save_half
from regard.zoo.bundled import ready, weights_folder, weights_sha256
from regard.zoo.checkpoint import write_tensors
from regard.zoo.pixels import mixed, to_tensor
from regard.zoo.recipe import Recipe
from regard.zoo.words import with_filler


class DiffusionTask:
    """Predict the velocity between image and noise, on latents that are encoded once."""

    part = "unet"

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPModel, CLIPTokenizer

        self.settings, self.device = plan.train, device
        clip, autoencoder = (weights_folder(name) for name in plan.needs)
        self.tokenizer = CLIPTokenizer.from_pretrained(clip)
        self.text: Any = ready(text_encoder(CLIPModel.from_pretrained(clip))).to(device)
        self.autoencoder: Any = ready(AutoencoderKL.from_pretrained(autoencoder)).to(device)
        self.scheduler = DDIMScheduler(**plan.model["scheduler"])
        self.alphas = self.scheduler.alphas_cumprod.to(device)
        self.network: Any = UNet2DConditionModel(**plan.model["unet"]).to(device)
        self.latents, self.captions = self._cached()

    def batch(self, step: int) -> dict[str, Tensor]:
        """Latents, noise, timesteps spread evenly over the batch, and tokens; one in ten empty."""
        size, rng = self.settings["batch"], np.random.default_rng([self.settings["seed"], step])
        picked = rng.integers(0, len(self.captions), size)
        texts = [with_filler(self.captions[i][int(rng.random() < 0.3)], rng) for i in picked]
        # Classifier-free guidance needs a model of images without a caption (Ho & Salimans 2022).
        texts = ["" if rng.random() < 0.1 else text for text in texts]
        # Strata: each batch sees every noise level, so the loss of a step varies less.
        times = (torch.arange(size) + torch.rand(size)) / size * len(self.alphas)
        latents = self.latents[torch.from_numpy(picked)].float()
        return {
            "latents": latents.to(self.device),
            "noise": torch.randn(latents.shape).to(self.device),
            "times": times.long().to(self.device),
            "tokens": self._tokens(texts).to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """Mean squared error of the velocity v = √ᾱ ε − √(1−ᾱ) x.

        Source: Salimans and Ho (2022), arXiv 2202.00512, section 4.
        """
        x, noise = batch["latents"], batch["noise"]
        level = self.alphas[batch["times"]][:, None, None, None]
        noisy = level.sqrt() * x + (1 - level).sqrt() * noise
        velocity = level.sqrt() * noise - (1 - level).sqrt() * x
        with torch.no_grad():
            words = self.text(batch["tokens"]).last_hidden_state
        with mixed(self.settings, self.device):
            seen = self.network(noisy, batch["times"], words).sample
        return F.mse_loss(seen.float(), velocity)

    def save(self, folder: Path) -> None:
        """Write a whole StableDiffusionPipeline, opened by plain diffusers."""
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline(
            vae=self.autoencoder,
            text_encoder=self.text,
            tokenizer=self.tokenizer,
            unet=self.network,
            scheduler=self.scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder, safe_serialization=True)
        save_half(self.network, folder / "unet")
        save_half(self.autoencoder, folder / "vae")

    def _tokens(self, texts: list[str]) -> Tensor:
        return self.tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids

    @torch.no_grad()
    def _cached(self) -> tuple[Tensor, list[list[str]]]:
        """All training scenes as scaled latents (float16), with both forms of their captions."""
        number, folder = self.settings["scenes"], cache_folder()
        place = folder / f"latents-{self._mark()}-{number}.pt"
        if not place.exists():
            encoded = self._encode_scenes(number)
            with claim(place, who="train") as workshop:
                write_tensors(encoded, workshop / place.name)
                os.replace(workshop / place.name, place)
        stored = torch.load(place, weights_only=True)
        return stored["latents"], json.loads(stored["captions"])

    def _encode_scenes(self, number: int) -> dict[str, Any]:
        latents, captions = [], []
        for first in range(0, number, 64):
            indices = range(first, min(first + 64, number))
            scenes = [scene(i, seed=self.settings["seed"], **self._scenes()) for i in indices]
            pixels = to_tensor(s.image for s in scenes).to(self.device)
            with mixed(self.settings, self.device):
                encoded = self.autoencoder.encode(pixels).latent_dist.mode()
            latents.append((encoded * self.autoencoder.config.scaling_factor).half().cpu())
            captions += [[s.caption(), s.caption("literal")] for s in scenes]
        return {"latents": torch.cat(latents), "captions": json.dumps(captions)}

    def _scenes(self) -> dict[str, Any]:
        """Size and version of the scenes."""
        version = self.settings.get("scenes_version", 1)
        return {"size": self.settings.get("size", 64), "version": version}

    def _mark(self) -> str:
        """What decides the latents, but for how many there are."""
        version, size = self._scenes()["version"], self._scenes()["size"]
        weights = weights_sha256(self.autoencoder.encoder)[:12]
        return f"v{version}-{size}-{self.settings['seed']}-{weights}"


def cache_folder() -> Path:
    """Where latents are kept between trainings."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "regard"


def text_encoder(clip: Any) -> Any:
    """The text tower of a contrastive model as a `transformers.CLIPTextModel` of its own."""
    from transformers import CLIPTextModel

    tower = CLIPTextModel(clip.config.text_config)
    weights = {
        name.removeprefix("text_model."): value
        for name, value in clip.state_dict().items()
        if name.startswith("text_model.")
    }
    own = tower.state_dict()
    prefix = "text_model." if any(name.startswith("text_model.") for name in own) else ""
    tower.load_state_dict({prefix + name: value for name, value in weights.items()})
    return tower


def task(plan: Recipe, device: torch.device) -> DiffusionTask:
    """The task that `regard.zoo.train` runs."""
    return DiffusionTask(plan, device)
