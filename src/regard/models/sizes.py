"""Sizes of images that a text-to-image pipeline makes, and the noise that they begin with."""

import os
from typing import Any

import torch

from regard.arguments import caller, listed, shown
from regard.errors import ArgumentError
from regard.models.families import Family
from regard.models.pipelines import denoiser_of

Size = tuple[int, int]
"""Rows and columns."""


def own_size(pipeline: Any) -> Size:
    """Rows and columns of an image of the model's own size, in pixels.

    Raises:
        ArgumentError: it is not known.
    """
    sides, scale = _own_latents(pipeline), getattr(pipeline, "vae_scale_factor", None)
    if not scale or not all(isinstance(side, int) for side in sides):
        raise ArgumentError(
            f"{caller()}: the model's own size is not known. Give both height and width."
        )
    return sides[0] * scale, sides[1] * scale


def check_size(pipeline: Any, family: Family, size: Size | None) -> None:
    """Refuse a size that a pipeline cannot make, or None where it has no size of its own.

    Raises:
        ArgumentError: no multiple of the unit, known from nowhere, or too large for this machine.
    """
    if size is None:
        _check_own(denoiser_of(pipeline))
        return
    unit = family.unit(pipeline)
    if any(side % unit for side in size):
        near = " x ".join(str(max(unit, round(side / unit) * unit)) for side in size)
        raise ArgumentError(
            f"{caller()}: the size is {size[0]} x {size[1]}, and both height and width must be "
            f"multiples of {unit} pixels. The nearest is {near}."
        )
    config = getattr(getattr(pipeline, "vae", None), "config", {})
    wide = config.get("block_out_channels") or [3]
    needed, there = size[0] * size[1] * wide[0] * 4, _memory()
    if there is not None and needed > there:  # one layer of the decoder, in full
        raise ArgumentError(
            f"{caller()}: the size is {size[0]} x {size[1]}, which needs "
            f"{needed / 2**30:,.0f} GB of memory at least, and this machine has "
            f"{there / 2**30:,.0f}. Choose a smaller one."
        )


def check_latents(pipeline: Any, family: Family, latents: Any, size: Size | None) -> None:
    """Refuse what is no initial noise of one image of this size.

    Raises:
        ArgumentError: no tensor of finite floats, or one of another shape.
    """
    if not torch.is_tensor(latents) or not latents.is_floating_point():
        raise ArgumentError(
            f"{caller()}: latents is {shown(latents)} and must be a tensor of floats: the "
            f"initial noise. Omit it to sample it from the seed."
        )
    wanted = _shape_of_noise(pipeline, family, size)
    if wanted is not None and tuple(latents.shape) != wanted:
        raise ArgumentError(
            f"{caller()}: latents are {tuple(latents.shape)} and must be {wanted} for this "
            f"model and size. Omit them to sample them from the seed."
        )
    if not bool(torch.isfinite(latents).all()):
        raise ArgumentError(f"{caller()}: latents have NaN or infinity. Give finite noise.")


# Inside


def _check_own(denoiser: Any) -> None:
    if getattr(denoiser.config, "sample_size", 1) is None:
        raise ArgumentError(
            f"{caller()}: the configuration of the {type(denoiser).__name__} has no "
            f"sample_size, so the size of the image is unknown. Give height= and width=, or "
            f"--height and --width."
        )


def _shape_of_noise(pipeline: Any, family: Family, size: Size | None) -> tuple[int, ...] | None:
    """Of one image, as the pipeline takes it; None where that is not known."""
    scale = getattr(pipeline, "vae_scale_factor", None)
    sides = _own_latents(pipeline)
    if size is not None and scale:
        sides = [side // scale for side in size]
    channels = getattr(denoiser_of(pipeline).config, "in_channels", None)
    if not all(isinstance(each, int) for each in (*sides, channels)):
        return None
    return family.noise((sides[0], sides[1]), channels)


def _own_latents(pipeline: Any) -> list[Any]:
    own = getattr(pipeline, "default_sample_size", None)
    own = own or getattr(denoiser_of(pipeline).config, "sample_size", None)
    return listed(own) or [own, own]


def _memory() -> int | None:
    """Bytes that this machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
