"""Maps on the grid of patches: their labels, and the way between patches and pixels."""

from collections.abc import Mapping
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from regard.axes import SAMPLE, X, Y
from regard.errors import ArgumentError


def labelled(
    values: Float[Tensor, "sample y x"],
    method: str,
    *,
    unit: str,
    class_agnostic: bool,
    options: Mapping[str, Any],
    **more: Any,
) -> xr.DataArray:
    """A map for each image, float64, with what it is and how it was made.

    Example:
        >>> ones, options = torch.ones(1, 1, 2), {"seed": 0}
        >>> heat = labelled(ones, "random", unit="1", class_agnostic=True, options=options)
        >>> heat.dims, heat.attrs["method"]
        (('sample', 'y', 'x'), 'random')
    """
    attrs = {
        "method": method,
        "units": unit,
        "class_agnostic": class_agnostic,
        "options": dict(options),
        **more,
    }
    array = values.detach().cpu().double().numpy()
    return xr.DataArray(array, dims=(SAMPLE, Y, X), name=method, attrs=attrs)


def cells(pixels: int, patches: int) -> Int[Tensor, " pixels"]:
    """The patch that each row or column of pixels lies in; what is left over is the last one's.

    Example:
        >>> cells(5, 2)
        tensor([0, 0, 1, 1, 1])
    """
    return (torch.arange(pixels) // (pixels // patches)).clamp(max=patches - 1)


def pooled(
    pixels: Float[Tensor, "*batch high wide"], grid: tuple[int, int]
) -> Float[Tensor, "*batch y x"]:
    """The sum over the pixels of each patch.

    Example:
        >>> pooled(torch.ones(4, 4), (2, 2))
        tensor([[4., 4.],
                [4., 4.]])
    """
    down, across = (
        torch.nn.functional.one_hot(cells(size, count), count).to(pixels.dtype)
        for size, count in zip(pixels.shape[-2:], grid, strict=True)
    )
    return torch.einsum("...ij,iy,jx->...yx", pixels, down, across)


def over_pixels(patches: Tensor, size: tuple[int, int]) -> Tensor:
    """Each patch's value at all its pixels: [..., y, x] to [..., high, wide].

    Example:
        >>> over_pixels(torch.tensor([[1, 2]]), (1, 4))
        tensor([[1, 1, 2, 2]])
    """
    rows, columns = patches.shape[-2:]
    return patches[..., cells(size[0], rows), :][..., cells(size[1], columns)]


def checked_heat(caller: str, heat: xr.DataArray, images: int) -> Float[Tensor, "sample y x"]:
    """The values of maps that were given, one for each image.

    Raises:
        ArgumentError: the dims or the number of maps are wrong, or a value is no number.
    """
    if set(heat.dims) != {SAMPLE, Y, X} or heat.sizes[SAMPLE] != images:
        raise ArgumentError(
            f"{caller}: heat has {dict(heat.sizes)} and must have '{SAMPLE}', '{Y}' and '{X}', "
            f"with one map for each of the {images} images."
        )
    values = torch.from_numpy(heat.transpose(SAMPLE, Y, X).values.astype("float64"))
    if not bool(values.isfinite().all()):
        raise ArgumentError(f"{caller}: heat has NaN or infinity, so patches have no order.")
    return values
