"""Tiny models with random weights, for tests: real classes, no downloads, quick."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

WORDS = (
    "a",
    "an",
    "the",
    "and",
    "on",
    "in",
    "with",
    "of",
    "two",
    "red",
    "blue",
    "green",
    "yellow",
    "cat",
    "dog",
    "bird",
    "bear",
    "lion",
    "horse",
    "elephant",
    "car",
    "clock",
    "apple",
    "backpack",
    "balloon",
    "beach",
    "grass",
    "snow",
    "lake",
    "road",
    "night",
    "sky",
    "photo",
)
START, END = "<|startoftext|>", "<|endoftext|>"
TEXT_LENGTH = 16


def tiny_tokenizer(words: tuple[str, ...] = WORDS, length: int = TEXT_LENGTH) -> Any:
    """A CLIPTokenizer that knows these words as one token each and spells out all others."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    pieces = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merge = (parts[0], parts[1])
            parts = [parts[0] + parts[1], *parts[2:]]
            if merge not in merges:
                merges.append(merge)
            if parts[0] not in pieces:
                pieces.append(parts[0])
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def tiny_text_encoder(tokenizer: Any, width: int = 16, length: int = TEXT_LENGTH) -> nn.Module:
    """A CLIPTextModel of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return seeded(lambda: CLIPTextModel(config))


def tiny_unet(
    *,
    channels: tuple[int, ...] = (8, 16),
    heads: int = 2,
    text_width: int = 16,
    size: int = 8,
    latent_channels: int = 4,
    attention_at: tuple[bool, ...] = (True, True),
    groups: int = 4,
) -> nn.Module:
    """A UNet2DConditionModel with self- and cross-attention at ``attention_at`` resolutions."""
    from diffusers import UNet2DConditionModel

    down = ["CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attention_at]
    up = ["CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention_at)]
    return seeded(
        lambda: UNet2DConditionModel(
            sample_size=size,
            in_channels=latent_channels,
            out_channels=latent_channels,
            block_out_channels=channels,
            layers_per_block=1,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
            cross_attention_dim=text_width,
            attention_head_dim=heads,
            norm_num_groups=groups,
        )
    )


def tiny_vae(latent_channels: int = 4, **changes: Any) -> nn.Module:
    """An AutoencoderKL that halves rows and columns once."""
    from diffusers import AutoencoderKL

    return seeded(
        lambda: AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=latent_channels,
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=16,
            **changes,
        )
    )


def tiny_pipeline(**unet: Any) -> Any:
    """A StableDiffusionPipeline: 16 pixels, 8x8 latents, cross-attention at 8x8 and 4x4.

    Args:
        unet: As for ``tiny_unet``.

    Returns:
        A pipeline without progress bar and safety checker; the weights are the same each time.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer = tiny_tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=tiny_vae(),
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=tiny_unet(**unet),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: Any,
    prompt: str | list[str] = "a cat on grass",
    *,
    steps: int = 2,
    guidance: float | None = None,
    seed: int = 0,
) -> Tensor:
    """The latents of one short generation, with the pipeline's own guidance if none is given."""
    generator = torch.Generator().manual_seed(seed)
    return pipeline(
        prompt,
        num_inference_steps=steps,
        generator=generator,
        output_type="latent",
        **({} if guidance is None else {"guidance_scale": guidance}),
    ).images


def tiny_vit(**changes: Any) -> nn.Module:
    """A ViTModel on images of 24 x 24 pixels with patches of 8: a class token and 3 x 3 patches."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**{**VISION, **changes})
    return seeded(lambda: ViTModel(config, add_pooling_layer=False))


VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 24,
    "patch_size": 8,
}


@dataclass(frozen=True)
class Sample:
    """A model of a family, with inputs, and what may be perturbed in them.

    Attributes:
        model: The model.
        inputs: Arguments of its forward.
        image: Name of the input that holds the picture, [sample, channel, y, x]; may be None.
        text: Name of the input that holds the text; may be None.
    """

    model: nn.Module
    inputs: Mapping[str, Any]
    image: str | None
    text: str | None = None

    def run(self, **changed: Any) -> Tensor:
        """The model's first output."""
        with torch.no_grad():
            return self.model(**{**self.inputs, **changed}, return_dict=False)[0]


def unet_sample(**changes: Any) -> Sample:
    """A UNet on a latent that is not square, so that rows and columns cannot be mixed up."""
    inputs = {
        "sample": noise(2, 4, 8, 6),
        "timestep": torch.tensor(10),
        "encoder_hidden_states": noise(2, 5, 16),
    }
    return Sample(pointwise(tiny_unet(**changes)), inputs, "sample", "encoder_hidden_states")


def unconditional_sample() -> Sample:
    """A UNet2DModel: self-attention only."""
    from diffusers import UNet2DModel

    model = seeded(
        lambda: UNet2DModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=4,
        )
    )
    inputs = {"sample": noise(2, 4, 8, 6), "timestep": torch.tensor(10)}
    return Sample(pointwise(model), inputs, "sample")


def pointwise(model: nn.Module) -> nn.Module:
    """Leave only the middle of each 3 x 3 convolution, so that patches do not smear over others."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            middle = torch.zeros(3, 3)
            middle[1, 1] = 3.0  # as strong as the nine together
            module.weight.data *= middle
    return model


def vision_sample(name: str, **changes: Any) -> Sample:
    """A vision model of transformers on pictures of 24 x 16 pixels: 3 x 2 patches."""
    import transformers

    config = getattr(transformers, name.replace("Model", "Config"))(**{**VISION, **changes})
    model = seeded(lambda: getattr(transformers, name)(config))
    inputs: dict[str, Any] = {"pixel_values": noise(2, 3, 24, 16)}
    if name in ("ViTModel", "DeiTModel", "CLIPVisionModel", "SiglipVisionModel"):
        inputs["interpolate_pos_encoding"] = True
    return Sample(model, inputs, "pixel_values")


FAMILIES: dict[str, tuple[Callable[[], Sample], ...]] = {
    "regard.tap.families.unet": (
        unet_sample,
        functools.partial(unet_sample, attention_at=(False, True)),
        unconditional_sample,
    ),
    "regard.tap.families.vit": (
        functools.partial(vision_sample, "ViTModel"),
        functools.partial(vision_sample, "DeiTModel"),
        functools.partial(vision_sample, "CLIPVisionModel"),
        functools.partial(vision_sample, "Dinov2Model"),
        functools.partial(vision_sample, "Dinov2WithRegistersModel", num_register_tokens=4),
        functools.partial(vision_sample, "DINOv3ViTModel", num_register_tokens=4),
        functools.partial(vision_sample, "SiglipVisionModel"),
    ),
}


@contextmanager
def renamed(kind: type, name: str) -> Iterator[None]:
    """A class under another name for a while, as one of a family that nobody knows."""
    own, kind.__name__ = kind.__name__, name
    try:
        yield
    finally:
        kind.__name__ = own


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal noise that is the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """What is built, in evaluation mode, its weights the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().eval()
