"""What differs between families of text-to-image models: one record each, by the denoiser's class.

What is the same in all is asked of the pipeline itself. Where image and text tokens are among the
queries and keys is said in ``tap/families``, for the tap works without a pipeline too.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regard.errors import ArgumentError
from regard.models.tokens import Source, TextPart, longest, sources_of

Grid = tuple[int, int]


@dataclass(frozen=True)
class Family:
    """A family of text-to-image models.

    Attributes:
        name: As its users call it.
        parts: The stretches of text that the image attends to, of a pipeline.
        unit: What both sides of an image must be multiples of, in pixels.
        noise: The shape of the initial noise of one image as the pipeline takes it, for rows,
            columns and channels of latents.
        latents: What the denoiser calls its latents.
        per_token: Arguments of the denoiser that have a row for each token and none for each image.
    """

    name: str
    parts: Callable[[Any], list[TextPart]]
    unit: Callable[[Any], int]
    noise: Callable[[Grid, int], tuple[int, ...]] = lambda grid, channels: (1, channels, *grid)
    latents: str = "hidden_states"
    per_token: tuple[str, ...] = ()


def _unet_parts(pipeline: Any) -> list[TextPart]:
    """One text encoder, or two whose vectors are joined token by token."""
    first = [] if getattr(pipeline, "tokenizer", None) is None else [""]
    both = getattr(pipeline, "tokenizer_2", None) is not None
    sources = sources_of(pipeline, [*first, *(["_2"] if both else [])] or [""])
    return [TextPart("", sources[0].tokenizer.model_max_length, sources)]


def _sd3_parts(pipeline: Any) -> list[TextPart]:
    """Two CLIP encoders whose vectors share places, then T5, which may have been left out."""
    clip = sources_of(pipeline, ("", "_2"))
    third = getattr(pipeline, "text_encoder_3", None) is not None
    t5 = sources_of(pipeline, ("_3",)) if third else (Source(None, None),)
    length = clip[0].tokenizer.model_max_length
    return [TextPart("clip", length, clip), TextPart("t5", longest(pipeline), t5)]


def _flux_parts(pipeline: Any) -> list[TextPart]:
    """T5 alone: CLIP gives one vector for the whole prompt."""
    return [TextPart("", longest(pipeline), sources_of(pipeline, ("_2",)))]


def _unet_unit(pipeline: Any) -> int:
    # Diffusers refuses what is no multiple of 8, whatever the autoencoder divides by.
    return math.lcm(8, getattr(pipeline, "vae_scale_factor", 1))


def _patch_unit(pipeline: Any) -> int:
    patch = getattr(pipeline, "vae_scale_factor", 1) * pipeline.transformer.config.patch_size
    return math.lcm(patch, pipeline.image_processor.config.vae_scale_factor)


def _packed(grid: Grid, channels: int) -> tuple[int, ...]:
    """FLUX packs its latents in squares of two by two."""
    return 1, (grid[0] // 2) * (grid[1] // 2), channels


FAMILIES: dict[str, Family] = {
    "UNet2DConditionModel": Family("a UNet", _unet_parts, _unet_unit, latents="sample"),
    "SD3Transformer2DModel": Family("Stable Diffusion 3", _sd3_parts, _patch_unit),
    "FluxTransformer2DModel": Family(
        "FLUX.1", _flux_parts, _patch_unit, _packed, per_token=("img_ids", "txt_ids")
    ),
}


_added: dict[str, Family] = {}


def add_family(denoiser: str, family: Family) -> None:
    """Register a family of your own, so that `look`, `steer` and all others take its pipelines.

    Where image and text tokens are is said to the tap, by `regard.tap.layout_for`.

    Args:
        denoiser: Name of the class of the UNet or transformer; subclasses are covered too.
        family: What is known of it.

    Raises:
        ArgumentError: the class has a family already.

    Example:
        >>> unet = FAMILIES["UNet2DConditionModel"]
        >>> add_family("MyUNet", Family("my UNet", unet.parts, unet.unit, latents="sample"))
        >>> family_of(type("MyUNet", (), {})()).name
        'my UNet'
        >>> forget_family("MyUNet")
    """
    if denoiser in FAMILIES or denoiser in _added:
        raise ArgumentError(
            f"add_family: '{denoiser}' has a family already. Give your class a name of its own."
        )
    _added[denoiser] = family


def forget_family(denoiser: str) -> None:
    """Take back what ``add_family`` registered."""
    _added.pop(denoiser, None)


def family_of(denoiser: Any) -> Family | None:
    """The family of a denoiser, by the name of its class or of one it derives from; None: unknown.

    Example:
        >>> family_of(object()) is None
        True
    """
    names = [kind.__name__ for kind in type(denoiser).__mro__]
    known = FAMILIES | _added
    return next((known[name] for name in names if name in known), None)


def call_of(pipeline: Any) -> dict[str, inspect.Parameter]:
    """The arguments that a pipeline can be called with, by name."""
    return dict(inspect.signature(type(pipeline).__call__).parameters)
