"""Maps that explain nothing, to hold explanations against: chance, and the edges of the image."""

import zlib

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.explain.maps import labelled, pooled
from regard.explain.question import Classes, Images, Model, Pixels, Score, asked


def random(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    seed: int = 0,
    grid: tuple[int, int] | None = None,
) -> xr.DataArray:
    """Chance: evenly distributed numbers in 0..1, from the seed and the image's own bytes.

    Args:
        model: As for any explanation; only its grid is asked for.
        pixels: [sample, channel, y, x].
        target: Changes nothing.
        score: Changes nothing, but lets the model be any module.
        seed: Of the numbers.
        grid: Rows and columns of patches; None asks the model's attention.

    Returns:
        A map for each image over patches, without unit.

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> from torch import nn
        >>> model, pixels = nn.Identity().eval(), torch.ones(2, 1, 4, 4)
        >>> heat = random(model, pixels, score=lambda pixels: pixels.sum((1, 2, 3)), grid=(2, 2))
        >>> bool((heat[0] == heat[1]).all())
        True

    Source:
        Nothing but a random number generator.
    """
    question = asked("random", model, pixels, target, score)
    shape = question.grid(grid)
    # An image gets the same map in whatever batch it comes.
    seeds = [seed + zlib.crc32(image.cpu().numpy().tobytes()) for image in question.pixels]
    maps = [torch.rand(shape, generator=torch.Generator().manual_seed(each)) for each in seeds]
    return labelled(
        torch.stack(maps),
        "random",
        unit="1",
        class_agnostic=True,
        options={"seed": seed, "grid": shape},
    )


def edges(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    grid: tuple[int, int] | None = None,
) -> xr.DataArray:
    """The edges of the image, by differences of neighbouring pixels: no model is asked.

    A map that resembles them may have found edges and nothing more.

    Args:
        model: As for any explanation; only its grid is asked for.
        pixels: [sample, channel, y, x].
        target: Changes nothing.
        score: Changes nothing, but lets the model be any module.
        grid: Rows and columns of patches; None asks the model's attention.

    Returns:
        A map for each image over patches, in units of the pixels.

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> from torch import nn
        >>> pixels = torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]])
        >>> def total(pixels): return pixels.sum((1, 2, 3))
        >>> edges(nn.Identity().eval(), pixels, score=total, grid=(1, 4)).values
        array([[[0., 1., 0., 0.]]])

    Source:
        Adebayo et al. (2018), "Sanity Checks for Saliency Maps", arXiv 1810.03292, section 5
        (edge detectors as a comparison).
    """
    question = asked("edges", model, pixels, target, score)
    shape = question.grid(grid)
    return labelled(
        edges_of(question.pixels, shape),
        "edges",
        unit="pixel value",
        class_agnostic=True,
        options={"grid": shape},
    )


def edges_of(pixels: Images, grid: tuple[int, int]) -> Float[Tensor, "sample y x"]:
    """The length of the difference to the pixels below and to the right, summed over patches."""
    grey = pixels.double().mean(1, keepdim=True).cpu()
    padded = functional.pad(grey, (0, 1, 0, 1), mode="replicate")
    down = padded[..., 1:, :-1] - grey
    across = padded[..., :-1, 1:] - grey
    return pooled(torch.hypot(down, across)[:, 0], grid)
