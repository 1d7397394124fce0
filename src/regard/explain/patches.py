"""Taking patches of an image away: what stands in their place, and which are gone."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from regard.errors import ArgumentError
from regard.explain.maps import over_pixels

SUBSTRATES = ("blur", "mean", "zero")


def substrate_of(
    caller: str, pixels: Float[Tensor, "sample channel y x"], kind: str
) -> Float[Tensor, "sample channel y x"]:
    """What replaces a deleted patch, for whole images.

    Args:
        caller: The function's name, for messages.
        pixels: The images, as the model takes them: after normalisation.
        kind: 'blur' (a Gaussian as wide as an eighth of the shorter side), 'mean' (of each
            channel) or 'zero' (the grey that normalisation takes to 0).

    Returns:
        Images of the same shape.

    Raises:
        ArgumentError: there is no such substrate.

    Example:
        >>> substrate_of("example", torch.tensor([[[[1.0, 3.0]]]]), "mean")
        tensor([[[[2., 2.]]]])
    """
    if kind == "blur":
        return blurred(pixels, min(pixels.shape[-2:]) / 8)
    if kind == "mean":
        return pixels.mean((2, 3), keepdim=True).expand_as(pixels)
    if kind == "zero":
        return torch.zeros_like(pixels)
    raise ArgumentError(
        f"{caller}: substrate is '{kind}' and must be one of {', '.join(SUBSTRATES)}."
    )


def blurred(
    pixels: Float[Tensor, "sample channel y x"], sigma: float
) -> Float[Tensor, "sample channel y x"]:
    """A Gaussian blur that repeats the pixels at the border; an even image stays even."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1).to(pixels)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    flat = pixels.reshape(-1, 1, *pixels.shape[-2:])
    padded = functional.pad(flat, (radius,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel[None, None, None])
    return functional.conv2d(across, kernel[None, None, :, None]).reshape(pixels.shape)


def without(
    pixels: Float[Tensor, "*batch channel high wide"],
    gone: Bool[Tensor, "*batch y x"],
    substrate: Float[Tensor, "*batch channel high wide"],
) -> Float[Tensor, "*batch channel high wide"]:
    """The images with some patches deleted.

    Example:
        >>> gone = torch.tensor([[[True, False]]])
        >>> without(torch.ones(1, 1, 1, 2), gone, torch.zeros(1, 1, 1, 2))
        tensor([[[[0., 1.]]]])
    """
    size = (pixels.shape[-2], pixels.shape[-1])
    return torch.where(over_pixels(gone, size)[..., None, :, :], substrate, pixels)
