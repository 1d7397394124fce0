"""Tiny models of joint attention with random weights: Stable Diffusion 3 and 3.5, and FLUX.1."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import tiny
from tiny import Sample, noise

WIDTH, T5_WIDTH = 16, 32


def tiny_sd3(**changes: Any) -> nn.Module:
    """An SD3Transformer2DModel of two blocks, on latents of 4 channels in patches of 2."""
    from diffusers import SD3Transformer2DModel

    config = {
        "sample_size": 8,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 2,
        "attention_head_dim": WIDTH // 2,
        "num_attention_heads": 2,
        "joint_attention_dim": T5_WIDTH,
        "caption_projection_dim": WIDTH,
        "pooled_projection_dim": 2 * WIDTH,
        "pos_embed_max_size": 8,
        **changes,
    }
    return tiny.seeded(lambda: SD3Transformer2DModel(**config))


SD35 = {"qk_norm": "rms_norm", "dual_attention_layers": (0,)}
"""What is new in 3.5: normed queries and keys, and a second attention to the image alone."""


def tiny_flux(**changes: Any) -> nn.Module:
    """A FluxTransformer2DModel of a double and a single block."""
    from diffusers import FluxTransformer2DModel

    config = {
        "in_channels": 16,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": WIDTH // 2,
        "num_attention_heads": 2,
        "joint_attention_dim": T5_WIDTH,
        "pooled_projection_dim": WIDTH,
        "axes_dims_rope": (4, 2, 2),
        "guidance_embeds": True,
        **changes,
    }
    return tiny.seeded(lambda: FluxTransformer2DModel(**config))


def sd3_sample(**changes: Any) -> Sample:
    """Stable Diffusion 3 on 4 x 3 patches and five tokens of text."""
    inputs = {
        "hidden_states": noise(2, 4, 8, 6),
        "encoder_hidden_states": noise(2, 5, T5_WIDTH, seed=1),
        "pooled_projections": noise(2, 2 * WIDTH, seed=2),
        "timestep": torch.tensor([500.0, 500.0]),
    }
    return Sample(tiny_sd3(**changes), inputs, "hidden_states", "encoder_hidden_states")


def flux_sample(*, given: int = 0, **changes: Any) -> Sample:
    """FLUX on 4 x 3 patches and five tokens of text; ``given`` rows of a picture behind them."""
    from diffusers import FluxPipeline

    ids = FluxPipeline._prepare_latent_image_ids(2, 4, 3, "cpu", torch.float32)
    other = FluxPipeline._prepare_latent_image_ids(2, given, 6, "cpu", torch.float32)
    other[:, 0] = 1
    inputs = {
        "hidden_states": noise(2, 12 + 6 * given, 16),
        "encoder_hidden_states": noise(2, 5, T5_WIDTH, seed=1),
        "pooled_projections": noise(2, WIDTH, seed=2),
        "timestep": torch.tensor([0.5, 0.5]),
        "guidance": torch.tensor([4.0, 4.0]),
        "img_ids": torch.cat([ids, other]),
        "txt_ids": torch.zeros(5, 3),
    }
    return Sample(tiny_flux(**changes), inputs, "hidden_states", "encoder_hidden_states")


FAMILIES: dict[str, tuple[Callable[[], Sample], ...]] = {
    "regard.tap.families.sd3": (sd3_sample, functools.partial(sd3_sample, **SD35)),
    "regard.tap.families.flux": (flux_sample, functools.partial(flux_sample, given=2)),
}
