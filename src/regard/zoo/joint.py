"""Task: a joint-attention transformer that generates what a caption says, by flow matching."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regard.zoo.autoencoder import save_half
from regard.zoo.bundled import ready, weights_folder
from regard.zoo.latents import latents, spread
from regard.zoo.pixels import mixed
from regard.zoo.recipe import Recipe
from regard.zoo.tower import text_tower
from regard.zoo.words import padded

OF_T5 = 256
"""Tokens that the pipeline gives for T5: zeros where it has none."""


class LastKeyForMany(TorchFunctionMode):
    """In this context the last key of every attention counts as often as so many equal ones would.

    The pipeline's tokens for a missing T5 are zeros without positions, so that they stay equal in
    every layer: one that counts for all gives the same output in half the time.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.more = math.log(number)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Add the logarithm of the number to the scores of the last key."""
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            query, key = args[:2]
            bias = query.new_zeros(1, 1, 1, key.shape[-2])
            bias[..., -1] = self.more
            kwargs = {**kwargs, "attn_mask": bias}
        return function(*args, **kwargs)


class JointTask:
    """Predict the way from image to noise, as Stable Diffusion 3 does."""

    part = "transformer"

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from diffusers import (
            AutoencoderKL,
            FlowMatchEulerDiscreteScheduler,
            SD3Transformer2DModel,
        )

        self.settings, self.device = plan.train, device
        clip, autoencoder = (weights_folder(name) for name in plan.needs)
        self.tokenizer, self.text = text_tower(clip, device, projected=True)
        self.autoencoder: Any = ready(AutoencoderKL.from_pretrained(autoencoder)).to(device)
        self.autoencoder.register_to_config(shift_factor=0.0)  # which the pipeline asks for
        self.scheduler = FlowMatchEulerDiscreteScheduler(**plan.model["scheduler"])
        self.network: Any = SD3Transformer2DModel(**plan.model["transformer"]).to(device)
        self.data = latents(self.autoencoder, self.settings, device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Latents, noise, the share of noise in each sample, and tokens; one in ten empty.

        Shares are logit-normal: most lie in the middle, where there is most to learn.

        Source:
            Esser et al. (2024), Stable Diffusion 3, arXiv 2403.03206, section 3.1.
        """
        values, texts = self.data.picked(step, self.settings)
        return {
            "latents": values.to(self.device),
            "share": torch.special.ndtri(spread(len(values))).sigmoid().to(self.device),
            "noise": torch.randn(values.shape).to(self.device),
            "tokens": padded(self.tokenizer, texts).to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """Mean squared error of the velocity ε − x at (1 − s) x + s ε.

        Source:
            Lipman et al. (2023), Flow Matching, arXiv 2210.02747, eq. 23 with σ_min = 0.
        """
        x, noise, share = batch["latents"], batch["noise"], batch["share"]
        s = share[:, None, None, None]
        with torch.no_grad():
            words, pooled = self._said(batch["tokens"])
        with mixed(self.settings, self.device), LastKeyForMany(OF_T5):
            seen = self.network(
                (1 - s) * x + s * noise,
                encoder_hidden_states=words,
                pooled_projections=pooled,
                timestep=share * self.scheduler.config.num_train_timesteps,
            ).sample
        return F.mse_loss(seen.float(), noise - x)

    def save(self, folder: Path) -> None:
        """Write a whole StableDiffusion3Pipeline without T5.

        Plain diffusers opens it with ``text_encoder_3=None, tokenizer_3=None``.
        """
        from diffusers import StableDiffusion3Pipeline

        pipeline = StableDiffusion3Pipeline(
            vae=self.autoencoder,
            text_encoder=self.text,
            tokenizer=self.tokenizer,
            text_encoder_2=self.text,
            tokenizer_2=self.tokenizer,
            text_encoder_3=None,
            tokenizer_3=None,
            transformer=self.network,
            scheduler=self.scheduler,
        )
        pipeline.save_pretrained(folder, safe_serialization=True)
        save_half(self.network, folder / "transformer")
        save_half(self.autoencoder, folder / "vae")

    def _said(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the pipeline gives to the transformer: words of both encoders, and a zero for T5."""
        seen = self.text(tokens, output_hidden_states=True)
        words = torch.cat([seen.hidden_states[-2]] * 2, dim=-1)
        pooled = torch.cat([seen.text_embeds] * 2, dim=-1)
        return F.pad(words, (0, 0, 0, 1)), pooled


def task(plan: Recipe, device: torch.device) -> JointTask:
    """The task that `regard.zoo.train` runs."""
    return JointTask(plan, device)
