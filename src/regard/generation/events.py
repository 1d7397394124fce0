"""What happens while images are generated: an event after each step, with a cheap preview."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.data.scenes import scene

Progress = Callable[[int, int], None]
"""Called after each step with the steps done and the steps there are."""

_planes: "WeakKeyDictionary[Any, Tensor]" = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class StepEvent:
    """One denoising step that has ended. Raise `regard.errors.Cancelled` to end the generation.

    Attributes:
        step: Which step ended, from 0.
        total: How many steps there are.
        timestep: The timestep that it began at, as the scheduler has it.
        latents: [image, ...], as the pipeline packs them; not to be changed.
        pipeline: The pipeline that generates.
    """

    step: int
    total: int
    timestep: float
    latents: Tensor
    pipeline: Any

    def preview(self) -> list[Image.Image]:
        """What the latents show so far, one small image each, without running the decoder.

        Each pixel is a linear function of its latent, fitted once per model to what its own
        autoencoder makes of a drawing.

        Returns:
            Images of as many pixels as the latents have cells.
        """
        cells = _unpacked(self.pipeline, self.latents)
        plane = _plane_of(self.pipeline, cells.shape[1])
        colours = torch.einsum("ichw,cr->ihwr", cells, plane[:-1]) + plane[-1]
        pixels = ((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        return [Image.fromarray(each) for each in pixels]


OnStep = Callable[[StepEvent], None]


def part_of(progress: Progress | None, number: int, parts: int) -> Progress:
    """The progress of one of several parts of equal length, as that of the whole."""

    def advance(done: int, steps: int) -> None:
        if progress is not None:
            progress(number * steps + done, parts * steps)

    return advance


# Inside


def _unpacked(pipeline: Any, latents: Tensor) -> Tensor:
    """Latents as [image, channel, y, x] on the CPU; FLUX packs them in squares of two by two."""
    latents = latents.detach().float().cpu()
    if latents.ndim == 4:
        return latents
    images, patches, width = latents.shape
    rows = _rows_of(pipeline, patches)
    packed = latents.reshape(images, rows, patches // rows, width // 4, 2, 2)
    return packed.permute(0, 3, 1, 4, 2, 5).reshape(images, width // 4, 2 * rows, -1)


def _rows_of(pipeline: Any, patches: int) -> int:
    """The rows of packed latents: as many as columns, or the divisor next to that."""
    root = int(patches**0.5)
    return next(rows for rows in range(root, 0, -1) if patches % rows == 0)


def _plane_of(pipeline: Any, channels: int) -> Tensor:
    """From latents and 1 to red, green and blue in -1..1, [channel + 1, 3]."""
    vae = getattr(pipeline, "vae", None)
    if vae is None or not hasattr(vae, "encode"):
        return _grey(channels)
    if vae not in _planes:
        _planes[vae] = _fitted(pipeline, vae)
    return _planes[vae]


@torch.no_grad()
def _fitted(pipeline: Any, vae: Any) -> Tensor:
    from regard.zoo.pixels import to_tensor

    drawings: Sequence[Any] = [scene(index).image for index in range(4)]
    pixels = to_tensor([Image.fromarray(np.asarray(each)) for each in drawings])
    encoded = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode().float().cpu()
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents = (encoded - shift) * vae.config.scaling_factor
    colours = torch.nn.functional.adaptive_avg_pool2d(pixels, latents.shape[-2:])
    known = torch.cat([latents, torch.ones_like(latents[:, :1])], 1)
    rows, wanted = (each.movedim(1, -1).flatten(0, 2) for each in (known, colours))
    solution: Tensor = torch.linalg.lstsq(rows, wanted).solution
    return solution


def _grey(channels: int) -> Tensor:
    """Where there is no autoencoder to fit to, the mean of all channels as grey."""
    return torch.cat([torch.full((channels, 3), 1 / channels), torch.zeros(1, 3)])
