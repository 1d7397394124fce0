"""Tiny models of joint attention with random weights: Stable Diffusion 3 and 3.5, and FLUX.1."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import tiny
from tiny import WORDS, Sample, noise, tiny_tokenizer

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


def tiny_t5_tokenizer(words: tuple[str, ...] = WORDS) -> Any:
    """A T5Tokenizer that knows these words as one token each and spells out all others."""
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    known = [(f"▁{word}", -3.0) for word in words]
    letters = [(chr(code), -10.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=[*special, *known, *letters], extra_ids=0)


def tiny_t5(tokenizer: Any) -> nn.Module:
    """A T5EncoderModel of one layer."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=T5_WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
    )
    return tiny.seeded(lambda: T5EncoderModel(config))


def tiny_clip(tokenizer: Any) -> nn.Module:
    """A CLIPTextModelWithProjection of two layers."""
    from transformers import CLIPTextModelWithProjection

    config = tiny.tiny_text_encoder(tokenizer, WIDTH).config
    config.projection_dim = WIDTH
    return tiny.seeded(lambda: CLIPTextModelWithProjection(config))


def _common() -> dict[str, Any]:
    from diffusers import FlowMatchEulerDiscreteScheduler

    tokenizer = tiny_tokenizer()
    return {
        "vae": tiny.tiny_vae(shift_factor=0.1),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "tokenizer": tokenizer,
    }


def tiny_sd3_pipeline(*, t5: bool = True, **changes: Any) -> Any:
    """A StableDiffusion3Pipeline: 16 pixels, 4 x 4 patches, 16 tokens of CLIP and 256 of T5."""
    from diffusers import StableDiffusion3Pipeline

    common, third = _common(), tiny_t5_tokenizer()
    pipeline = StableDiffusion3Pipeline(
        **common,
        transformer=tiny_sd3(**changes),
        text_encoder=tiny_clip(common["tokenizer"]),
        text_encoder_2=tiny_clip(common["tokenizer"]),
        tokenizer_2=common["tokenizer"],
        text_encoder_3=tiny_t5(third) if t5 else None,
        tokenizer_3=third if t5 else None,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_flux_pipeline(**changes: Any) -> Any:
    """A FluxPipeline: 16 pixels, 4 x 4 patches, 512 tokens of T5."""
    from diffusers import FluxPipeline

    common, second = _common(), tiny_t5_tokenizer()
    pipeline = FluxPipeline(
        **common,
        transformer=tiny_flux(**changes),
        text_encoder=tiny.tiny_text_encoder(common["tokenizer"], WIDTH),
        text_encoder_2=tiny_t5(second),
        tokenizer_2=second,
    )
    pipeline.default_sample_size = 8  # not a part of the configuration
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


FAMILIES: dict[str, tuple[Callable[[], Sample], ...]] = {
    "regard.tap.families.sd3": (sd3_sample, functools.partial(sd3_sample, **SD35)),
    "regard.tap.families.flux": (flux_sample, functools.partial(flux_sample, given=2)),
}
