"""Vision transformers of transformers, ready for images: resize, normalise, name the class."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.data.pictures import as_rgb
from regard.errors import ArgumentError, DataError
from regard.models.preparation import (
    PROCESSOR,
    Preparation,
    Size,
    given,
    middle,
    pair,
    preparation,
    shortest,
)

# torch is imported where a tensor is made: bundled models are listed without it.
Tensor = Any

INTERPOLATION = {
    "dinov2": "bicubic",
    "dinov2_with_registers": "bicubic, antialiased",
    "dinov3_vit": "none: rotary positions",
}
"""What transformers does to position embeddings off the training grid, by the type of the model."""


@dataclass(frozen=True, eq=False, repr=False)
class Vision:
    """A vision transformer with all that it needs to look at an image.

    Attributes:
        model: The module of transformers: on the CPU, float32, in evaluation mode.
        name: The name or folder under which it was opened, else that of its class.
        labels: What it can call an image, in the order of its logits; empty for an encoder.
        channels: 1 for grey images, 3 for colour.
        patch: Rows and columns of a patch in pixels.
        preparation: How an image is resized and normalised.
        trained: Rows and columns of the images that its position embeddings were made for.
    """

    model: Any
    name: str
    labels: tuple[str, ...]
    channels: int
    patch: Size
    preparation: Preparation
    trained: Size

    def __repr__(self) -> str:
        rows, columns = self.grid()
        what = f"{len(self.labels)} classes" if self.labels else "an encoder"
        return f"Vision({self.name}: {what}, {rows}x{columns} patches of {_by(self.patch)} pixels)"

    @property
    def tapped(self) -> Any:
        """What a `Tap` is opened on."""
        return self.model

    @property
    def size(self) -> Size:
        """Rows and columns in pixels to which images are brought."""
        return self.preparation.size

    @property
    def mean(self) -> tuple[float, ...]:
        """What is taken from each channel, in shares of full scale."""
        return self.preparation.mean

    @property
    def std(self) -> tuple[float, ...]:
        """What each channel is then divided by."""
        return self.preparation.std

    def grid(self, size: Size | None = None) -> Size:
        """Rows and columns of patches in images of a size, the model's own by default.

        Of the model's own sizes, such as 384 pixels for patches of 14, the library leaves out what
        is no whole patch, at the right and below.

        Raises:
            ArgumentError: a side is no multiple of the patch, and the size not the model's own.
        """
        rows, columns = size or self.size
        high, wide = self.patch
        own = (rows, columns) in (self.size, self.trained) and rows >= high and columns >= wide
        if not own and (min(rows, columns) < 1 or rows % high or columns % wide):
            near = [
                max(p, round(s / p) * p) for s, p in zip((rows, columns), self.patch, strict=True)
            ]
            raise ArgumentError(
                f"{self.name}: the size is {_by((rows, columns))} and both sides must be multiples "
                f"of the patch, {_by(self.patch)} pixels. The nearest is {_by(near)}."
            )
        return rows // high, columns // wide

    def interpolated(self, size: Size | None = None) -> bool:
        """Whether images of this size lie off the grid that the positions were trained on.

        Raises:
            ArgumentError: that grid is not square, which the library cannot interpolate.
        """
        kind = getattr(self.model.config, "model_type", "")
        if INTERPOLATION.get(kind, "").startswith("none"):
            return False
        grid, own = self.grid(size), self.grid(self.trained)
        if grid != own and own[0] != own[1]:
            raise ArgumentError(
                f"{self.name}: the library interpolates positions from square grids only, and this "
                f"model was trained on {_by(own)} patches. Use {_by(self.trained)} pixels."
            )
        return grid != own

    def interpolation(self, size: Size | None = None) -> dict[str, Any]:
        """How positions get onto the grid of this size, as plain values; empty if they need not."""
        if not self.interpolated(size):
            return {}
        kind = getattr(self.model.config, "model_type", "")
        return {
            "from": list(self.grid(self.trained)),
            "to": list(self.grid(size)),
            "mode": INTERPOLATION.get(kind, "bicubic"),
            "by": f"transformers, {type(self.model).__name__}",
        }

    def covered(self, size: Size | None = None) -> Size:
        """Rows and columns in pixels that lie in patches; the rest of an image is not seen."""
        rows, columns = self.grid(size)
        return rows * self.patch[0], columns * self.patch[1]

    def seen(self, image: Any, size: Size | None = None) -> Image.Image:
        """The part of an image that the model is shown, at its resolution, before normalising.

        Args:
            image: PIL, or uint8 [y, x] or [y, x, 3].
            size: Rows and columns in pixels. Given, the whole image is brought to it; left out,
                the model's own preparation is followed, which may cut the margins off.

        Returns:
            An image of mode RGB, or L for a model of grey images.

        Raises:
            DataError: the image is no image of 8 bits a channel, or transparent.
            ArgumentError: the size does not suit the patches.
        """
        self.grid(size)
        whole = as_rgb(image).convert("L" if self.channels == 1 else "RGB")
        rows, columns = size or self.size
        how = self.preparation
        if size is None and how.shortest is not None:
            return middle(shortest(whole, how.shortest, how.resample), (columns, rows))
        if whole.size == (columns, rows):
            return whole
        return whole.resize((columns, rows), how.resample)

    def pixels(self, images: Sequence[Any] | np.ndarray, size: Size | None = None) -> Tensor:
        """Images as the model takes them.

        Args:
            images: Each as `seen` takes it.
            size: As in `seen`.

        Returns:
            float32 [sample, channel, y, x], normalised.

        Raises:
            DataError: as `seen`, or the folder does not say how images are normalised.
        """
        import torch

        if not self.mean:
            raise DataError(
                f"{self.name}: there is no {PROCESSOR}, so it is unknown which pixels the model "
                f"takes. Save its image processor in its folder, or give it with processor=."
            )
        arrays = [np.asarray(self.seen(each, size), np.float32) for each in images]
        stacked = np.stack(arrays).reshape(len(arrays), *arrays[0].shape[:2], self.channels)
        shares = stacked / np.float32(255)
        normal = (shares - np.float32(self.mean)) / np.float32(self.std)
        return torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2)))

    def forward(self, pixels: Tensor, **options: Any) -> Any:
        """The model's own output; positions are interpolated, by the library, where they must be.

        Args:
            pixels: float [sample, channel, y, x], normalised.
            options: More for the model, such as ``output_attentions``.
        """
        size = (pixels.shape[-2], pixels.shape[-1])
        if self.interpolated(size) and _asks_to_interpolate(self.model):
            options["interpolate_pos_encoding"] = True
        return self.model(pixel_values=pixels, **options)

    def logits(self, pixels: Tensor) -> Tensor:
        """One score per class: [sample, class], in the order of ``labels``; differentiable.

        Raises:
            ArgumentError: the model names no classes.
        """
        if not self.labels:
            raise ArgumentError(
                f"{self.name}: {type(self.model).__name__} names no classes. Use "
                f"Vision.forward for what it gives, or open a model for image classification."
            )
        scores: Tensor = self.forward(pixels).logits
        return scores


def sees_pictures(network: Any) -> bool:
    """Whether a network of transformers takes images in patches and needs nothing else."""
    config = getattr(network, "config", None)
    vision = getattr(config, "vision_config", config)
    return (
        getattr(network, "main_input_name", "") == "pixel_values"
        and _needs(network) <= {"pixel_values"}
        and hasattr(vision, "patch_size")
        and hasattr(vision, "image_size")
    )


def vision(
    network: Any, folder: Path | None = None, *, name: str | None = None, processor: Any = None
) -> Vision:
    """Make a network of transformers ready for images.

    Args:
        network: A vision transformer, or a model with a vision tower, such as ``CLIPModel``.
        folder: Where its ``preprocessor_config.json`` is.
        name: What to call it; by default as it was opened, else by its class.
        processor: An image processor of transformers, or what its ``to_dict`` gives, in place of
            the file.

    Returns:
        A `Vision`.

    Raises:
        ArgumentError: the network takes no images in patches.
        DataError: the processor's file says something that is not understood.
    """
    tower = network if sees_pictures(network) else getattr(network, "vision_model", None)
    if tower is None or not sees_pictures(tower):
        raise ArgumentError(
            f"vision: {type(network).__name__} takes no images in patches. Give a vision "
            f"transformer of transformers, such as 'fashion-vit' or the folder of a ViT."
        )
    config = getattr(tower.config, "vision_config", tower.config)
    if hasattr(config, "num_frames"):
        raise ArgumentError(
            f"vision: {type(network).__name__} takes videos of {config.num_frames} frames, and one "
            f"image is none. Give a vision transformer for images."
        )
    trained = pair(config.image_size)
    classes = getattr(tower.config, "id2label", None) or {}
    named = "ForImageClassification" in type(tower).__name__
    return Vision(
        model=tower,
        name=name or str(getattr(network, "regard_name", type(network).__name__)),
        labels=tuple(classes[i] for i in sorted(classes)) if named else (),
        channels=int(getattr(config, "num_channels", 3)),  # BLIP says none: it takes colour only
        patch=pair(config.patch_size),
        preparation=preparation(folder, trained)
        if processor is None
        else given(processor, trained),
        trained=trained,
    )


def _needs(network: Any) -> set[str]:
    """What a forward must be given, and the ids of a text, which a model may do without."""
    parameters = inspect.signature(network.forward).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = {each.name for each in parameters if each.kind in plain and each.default is each.empty}
    return needed | {each.name for each in parameters if each.name == "input_ids"}


def _asks_to_interpolate(model: Any) -> bool:
    # A classifier over a tower hands on what it does not name itself.
    parts = (model, getattr(model, "vision_model", model))
    asked = (inspect.signature(part.forward).parameters for part in parts)
    return any("interpolate_pos_encoding" in parameters for parameters in asked)


def _by(sides: Sequence[int]) -> str:
    return f"{sides[0]}x{sides[1]}"
