"""Task: a latent diffusion model that generates what a caption says."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.zoo.autoencoder import save_half
from regard.zoo.bundled import ready, weights_folder
from regard.zoo.latents import latents, spread
from regard.zoo.pixels import mixed
from regard.zoo.recipe import Recipe
from regard.zoo.tower import text_tower
from regard.zoo.words import padded


class DiffusionTask:
    """Predict the velocity between image and noise, on latents that are encoded once."""

    part = "unet"

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

        self.settings, self.device = plan.train, device
        clip, autoencoder = (weights_folder(name) for name in plan.needs)
        self.tokenizer, self.text = text_tower(clip, device)
        self.autoencoder: Any = ready(AutoencoderKL.from_pretrained(autoencoder)).to(device)
        self.scheduler = DDIMScheduler(**plan.model["scheduler"])
        self.alphas = self.scheduler.alphas_cumprod.to(device)
        self.network: Any = UNet2DConditionModel(**plan.model["unet"]).to(device)
        self.data = latents(self.autoencoder, self.settings, device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Latents, noise, timesteps spread evenly over the batch, and tokens; one in ten empty."""
        values, texts = self.data.picked(step, self.settings)
        times = spread(len(values)) * len(self.alphas)
        return {
            "latents": values.to(self.device),
            "noise": torch.randn(values.shape).to(self.device),
            "times": times.long().to(self.device),
            "tokens": padded(self.tokenizer, texts).to(self.device),
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


def task(plan: Recipe, device: torch.device) -> DiffusionTask:
    """The task that `regard.zoo.train` runs."""
    return DiffusionTask(plan, device)
