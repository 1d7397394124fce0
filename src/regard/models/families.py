"""Families of text-to-image models: one record each, by the denoiser's class, and how to add one.

What is the same in all is asked of the pipeline itself. The layouts of the known families stand in
``tap/families``, for the tap works without a pipeline too; a record holds its own with the rest.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regard.errors import ArgumentError
from regard.models.text_part import Source, TextPart, longest
from regard.tap import layout_for
from regard.tap.families import flux, sd3, unet
from regard.tap.family import forget_layout, has_layout
from regard.tap.layout import Layout

Grid = tuple[int, int]


@dataclass(frozen=True)
class Family:
    """A family of text-to-image models: all that differs between it and others.

    Attributes:
        name: As its users call it.
        layout: What the queries and keys of its layers are, as `regard.tap.layout_for` takes it.
        parts: The stretches of text that the image attends to, of a pipeline.
        unit: What both sides of an image must be multiples of, in pixels, of a pipeline.
        stage: From a layer's path to ``down``, ``mid`` or ``up``; None where there are no stages.
        joint: Whether image and text tokens are queries and keys of the same layers.
        noise: The shape of the initial noise of one image as the pipeline takes it, for rows,
            columns and channels of latents.
        latents: What the denoiser calls its latents.
        per_token: Arguments of the denoiser that have a row for each token and none for each image.
    """

    name: str
    layout: Layout
    parts: Callable[[Any], list[TextPart]]
    unit: Callable[[Any], int]
    stage: Callable[[str], str | None] | None = None
    joint: bool = False
    noise: Callable[[Grid, int], tuple[int, ...]] = lambda grid, channels: (1, channels, *grid)
    latents: str = "hidden_states"
    per_token: tuple[str, ...] = ()


def _unet_parts(pipeline: Any) -> list[TextPart]:
    """One text encoder, or two whose vectors are joined token by token."""
    there = [end for end in ("", "_2") if getattr(pipeline, f"tokenizer{end}", None) is not None]
    return [TextPart.of(pipeline, *(there or [""]))]


def _sd3_parts(pipeline: Any) -> list[TextPart]:
    """Two CLIP encoders whose vectors share places, then T5, which may have been left out."""
    clip = TextPart.of(pipeline, "", "_2", name="clip")
    if getattr(pipeline, "text_encoder_3", None) is None:
        return [clip, TextPart("t5", longest(pipeline), (Source(None, None),))]
    return [clip, TextPart.of(pipeline, "_3", name="t5", length=longest(pipeline))]


def _flux_parts(pipeline: Any) -> list[TextPart]:
    """T5 alone: CLIP gives one vector for the whole prompt."""
    return [TextPart.of(pipeline, "_2", length=longest(pipeline))]


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
    "UNet2DConditionModel": Family(
        "a UNet", unet.layout, _unet_parts, _unet_unit, unet.stage, latents="sample"
    ),
    "SD3Transformer2DModel": Family(
        "Stable Diffusion 3", sd3.layout, _sd3_parts, _patch_unit, joint=True
    ),
    "FluxTransformer2DModel": Family(
        "FLUX.1", flux.layout, _flux_parts, _patch_unit, joint=True, noise=_packed,
        per_token=("img_ids", "txt_ids"),
    ),
}  # fmt: skip


_added: dict[str, Family] = {}


def add_family(denoiser: str, family: Family) -> None:
    """Register a family of your own: `look`, `steer` and all others then take its pipelines.

    The `Tap` knows it too: there is nothing else to register.

    Args:
        denoiser: Name of the class of the UNet or transformer; subclasses are covered too.
        family: What is known of it.

    Raises:
        ArgumentError: the class has a family, or a layout of the tap, already.

    Example:
        >>> from dataclasses import replace
        >>> add_family("MyUNet", replace(FAMILIES["UNet2DConditionModel"], name="my UNet"))
        >>> family_of(type("MyUNet", (), {})()).name
        'my UNet'
        >>> forget_family("MyUNet")
    """
    if has_layout(denoiser):
        raise ArgumentError(
            f"add_family: '{denoiser}' has a family already. Give your class a name of its own."
        )
    layout_for(denoiser, stage=family.stage)(family.layout)
    _added[denoiser] = family


def forget_family(denoiser: str) -> None:
    """Take back what ``add_family`` registered."""
    if _added.pop(denoiser, None) is not None:
        forget_layout(denoiser)


def family_names() -> str:
    """The names of all families, for messages."""
    return ", ".join(each.name for each in (FAMILIES | _added).values())


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
