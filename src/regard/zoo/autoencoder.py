"""Task: an autoencoder that turns an image into a latent grid a few times smaller."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.zoo.pixels import mixed, to_tensor, training_scenes
from regard.zoo.recipe import Recipe

CORNER = 12
"""Pixels a side of the corner that a recipe may give more weight."""


class AutoencoderTask:
    """Reconstruct scenes; `loss` says how well."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from diffusers import AutoencoderKL

        self.settings, self.device = plan.train, device
        self.network: Any = AutoencoderKL(**plan.model).to(device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Pixels of fresh scenes, two-subject ones as often as single ones."""
        scenes = training_scenes(step, self.settings["batch"], self.settings)
        return {"pixels": to_tensor(s.image for s in scenes).to(self.device)}

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """L1 + 4 L2 + L1 of 4x4 means (colours) + half the L1 of slopes (outlines) + some KL.

        With ``coarse`` in the recipe also what the latents at half their size decode to, against
        the image at half its size: what is coarse in the image becomes coarse in the latents, and
        a denoiser has less to learn. With ``corner`` the upper left corner counts more: without, a
        decoder may keep there what it needs to know of the whole image. From the recipe's step
        ``encoder_until`` on the encoder rests, since denoisers learn its latents then.

        Source:
            Skorokhodov et al. (2025), arXiv 2502.14831, section 4 (the scale of latents).
        """
        pixels, settings = batch["pixels"], self.settings
        learns = step < settings.get("encoder_until", float("inf"))
        for part in (self.network.encoder, self.network.quant_conv):
            part.requires_grad_(learns)
        with mixed(settings, self.device):
            posterior = self.network.encode(pixels).latent_dist
            latents = posterior.sample()
            error = self.network.decode(latents).sample.float() - pixels
        loss = difference(error) + settings["kl"] * posterior.kl().mean()
        loss = loss + settings.get("corner", 0.0) * difference(error[..., :CORNER, :CORNER])
        if coarse := settings.get("coarse", 0.0):
            half = (len(pixels) + 1) // 2  # of the images are enough
            with mixed(settings, self.device):
                decoded = self.network.decode(F.avg_pool2d(latents[:half], 2)).sample.float()
            loss = loss + coarse * difference(decoded - F.avg_pool2d(pixels[:half], 2))
        return loss

    def save(self, folder: Path) -> None:
        """Write the autoencoder with the scale that gives its latents unit variance."""
        with torch.no_grad():
            latents = torch.cat(
                [self.network.encode(self.batch(i)["pixels"]).latent_dist.mode() for i in range(8)]
            )
        self.network.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        save_half(self.network, folder)


def difference(error: Tensor) -> Tensor:
    """How large an error of pixels is: by its size, its colours and its outlines."""
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    # Without the means, small coloured things stay grey for thousands of steps: what differs
    # in hue alone is a tiny part of all differences.
    means = F.avg_pool2d(error, 4).abs().mean()
    return error.abs().mean() + 4 * error.square().mean() + means + 0.5 * slopes


def save_half(network: Any, folder: Path) -> None:
    """Write float16 weights: half the size, and no loss that an image would show."""
    import copy

    copy.deepcopy(network).half().save_pretrained(folder, safe_serialization=True)


def task(plan: Recipe, device: torch.device) -> AutoencoderTask:
    """The task that `regard.zoo.train` runs."""
    return AutoencoderTask(plan, device)


def psnr(restored: Tensor, pixels: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, one per sample, for images in -1..1.

    Example:
        >>> round(psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.2)).item(), 3)
        20.0

    Source:
        10 log10(peak² / mean squared error) with a peak-to-peak range of 2.
    """
    error = F.mse_loss(restored.clamp(-1, 1), pixels, reduction="none").flatten(1).mean(1)
    return 10 * torch.log10(4 / error)
