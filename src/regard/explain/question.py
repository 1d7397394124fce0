"""What is asked about each image: one number of a model, which an explanation takes apart."""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.arguments import indices, shown, whole_or_none
from regard.errors import ArgumentError, NothingObserved
from regard.models import Vision, vision_of
from regard.tap import AttentionCall, Tap

Images = Float[Tensor, "sample channel high wide"]
Target = Int[Tensor, " sample"]
Score = Callable[[Tensor], Tensor]
"""From images, [sample, channel, y, x], to one number each, [sample]."""

Model = nn.Module | str | os.PathLike[str] | Vision
"""An image classifier, or the name or folder of one."""

Pixels = Any
"""A tensor [sample, channel, y, x] as the model takes it, or images where a name is given."""

Classes = Tensor | Sequence[int] | int | None
"""The number of a class for each image, or one for all; None for the predicted ones."""

BATCH = 64
"""Images in one evaluation of the model where no gradient is kept."""


@dataclass(frozen=True, eq=False)
class Question:
    """A number for each of some images.

    Attributes:
        caller: The function's name, for messages.
        model: The model.
        pixels: The images, as the model takes them.
        target: The class asked about, one an image; None where ``score`` says what is asked.
        score: A number of one's own in place of a logit.
    """

    caller: str
    model: nn.Module
    pixels: Images
    target: Target | None
    score: Score | None

    def answer(
        self, pixels: Tensor, of: Tensor | None = None, *, probability: bool = False
    ) -> Float[Tensor, " variant"]:
        """The number for variants of the images, in the graph.

        Args:
            pixels: [variant, channel, y, x].
            of: Which image each is a variant of; as many as there are, in order, if left out.
            probability: The share of the class in place of its logit; not with ``score``.

        Returns:
            [variant].

        Raises:
            ArgumentError: ``score`` returned something else than one number an image.
        """
        if self.target is None:
            assert self.score is not None, "a question without a target has a score"
            return _one_each(self.caller, self.score(pixels), len(pixels))
        target = self.target if of is None else self.target[of]
        logits = logits_of(self.model, pixels)
        values = logits.softmax(-1) if probability else logits
        return values.gather(1, target[:, None])[:, 0]

    @torch.no_grad()
    def answers(
        self, pixels: Tensor, of: Tensor | None = None, *, probability: bool = False
    ) -> Float[Tensor, " variant"]:
        """`answer` for many images, some at a time, without a graph."""
        of = torch.arange(len(pixels)) if of is None else of
        parts = zip(pixels.split(BATCH), of.split(BATCH), strict=True)
        return torch.cat([self.answer(part, at, probability=probability) for part, at in parts])

    def grid(self, given: tuple[int, int] | None = None) -> tuple[int, int]:
        """Rows and columns of patches: those given, or those of the model's attention.

        Raises:
            ArgumentError: the images are smaller than the grid, or the model's layout is unknown.
            NothingObserved: the model has no attention over image tokens.
        """
        size = tuple(self.pixels.shape[-2:])
        found = _seen_grid(self) if given is None else given
        if min(found) < 1 or found[0] > size[0] or found[1] > size[1]:
            raise ArgumentError(
                f"{self.caller}: the grid is {found[0]} x {found[1]} and must have 1 to "
                f"{size[0]} rows and 1 to {size[1]} columns, as many as there are pixels."
            )
        return found


def asked(
    caller: str, model: Model, pixels: Pixels, target: Classes, score: Score | None
) -> Question:
    """The question, checked before anything is explained.

    Args:
        caller: The function's name, for messages.
        model: An image classifier of transformers, the name or folder of one, what `regard.load`
            gives, or any module if ``score`` is given.
        pixels: The images, as the model takes them; for a name, a folder or what `regard.load`
            gives also images as `regard.look_at` takes them, which are then prepared.
        target: The class asked about, one an image or one for all; the predicted ones if left out.
        score: A number of one's own in place of a logit.

    Returns:
        The question.

    Raises:
        UnknownName: there is no model of this name.
        DataError: a folder holds no model, or an image cannot be read.
        ArgumentError: the model is no module or in training mode, the pixels are no finite images,
            a class is not there, or both a target and a score are given.
    """
    named = isinstance(model, str | os.PathLike | Vision)
    vision = vision_of(model) if named else None
    module = module_of(caller, model if vision is None else vision)
    if module.training:
        raise ArgumentError(
            f"{caller}: {type(module).__name__} is in training mode, in which answers are random. "
            f"Call model.eval() first."
        )
    pixels = _checked_pixels(caller, vision, pixels)
    if score is None:
        classes = _checked_target(caller, module, pixels, target)
        return Question(caller, module, pixels, classes, None)
    if not callable(score):
        raise ArgumentError(
            f"{caller}: score is {shown(score)} and must be a function from images to one number "
            f"each."
        )
    if target is not None:
        raise ArgumentError(
            f"{caller}: got both target and score. Give one: score says itself what is asked."
        )
    return Question(caller, module, pixels, None, score)


def module_of(caller: str, model: Model) -> nn.Module:
    """The module itself, opened if a name or a folder is given.

    Raises:
        UnknownName: there is no model of this name.
        DataError: the folder holds no model.
        ArgumentError: it is no module.
    """
    if isinstance(model, str | os.PathLike):
        model = vision_of(model)
    found = model.model if isinstance(model, Vision) else model
    if not isinstance(found, nn.Module):
        raise ArgumentError(
            f"{caller}: model is {shown(model)} and must be an image classifier of transformers, "
            f"or the name or folder of one, such as 'fashion-vit'."
        )
    return found


def _checked_pixels(caller: str, vision: Vision | None, pixels: Pixels) -> Tensor:
    if not torch.is_tensor(pixels):
        if vision is None:
            raise ArgumentError(
                f"{caller}: pixels is {shown(pixels)} and must be a tensor [sample, channel, y, x] "
                f"of floats. Images themselves are taken with the name of a model, or with what "
                f"regard.load gives."
            )
        images = list(pixels) if isinstance(pixels, list | tuple) else [pixels]
        if not images:
            raise ArgumentError(f"{caller}: there is no image. Give at least one.")
        return vision.pixels(images)
    if pixels.ndim != 4 or len(pixels) == 0 or not pixels.is_floating_point():
        raise ArgumentError(
            f"{caller}: pixels are {tuple(pixels.shape)} of {pixels.dtype} and must be "
            f"[sample, channel, y, x] of floats, at least one. Add the axis with pixels[None]."
        )
    if not bool(pixels.isfinite().all()):
        raise ArgumentError(f"{caller}: pixels have NaN or infinity. Give finite pixels.")
    return pixels.detach()


def logits_of(model: nn.Module, pixels: Tensor) -> Float[Tensor, "sample label"]:
    """What a classifier of transformers says; off its training grid by its own interpolation."""
    options: dict[str, Any] = {}
    size = getattr(getattr(model, "config", None), "image_size", None)
    wanted = (size, size) if isinstance(size, int) else tuple(size or ())
    takes = inspect.signature(model.forward).parameters
    if wanted and wanted != tuple(pixels.shape[-2:]) and "interpolate_pos_encoding" in takes:
        options["interpolate_pos_encoding"] = True
    return model(pixel_values=pixels, **options).logits


@torch.no_grad()
def predictions(model: nn.Module, pixels: Tensor) -> Target:
    """The class of the largest logit, one an image."""
    return torch.cat([logits_of(model, part).argmax(-1) for part in pixels.split(BATCH)])


def _checked_target(caller: str, model: nn.Module, pixels: Tensor, target: Classes) -> Target:
    if "pixel_values" not in inspect.signature(model.forward).parameters:
        raise ArgumentError(
            f"{caller}: {type(model).__name__} takes no pixel_values, so it is no image classifier "
            f"of transformers. Say with score= how a number is made of an image."
        )
    try:
        with torch.no_grad():
            labels = logits_of(model, pixels[:1]).shape[-1]
    except (AttributeError, TypeError, ValueError, RuntimeError) as failed:
        raise ArgumentError(
            f"{caller}: {type(model).__name__} gives no logits for pixels of "
            f"{tuple(pixels.shape[1:])}: {' '.join(str(failed).split())[:160]}. Give a classifier "
            f"and pixels as it takes them, or say with score= how a number is made of an image."
        ) from failed
    if target is None:
        return predictions(model, pixels)
    target = _as_classes(caller, target, len(pixels))
    if target.shape != (len(pixels),) or target.is_floating_point():
        raise ArgumentError(
            f"{caller}: target is {tuple(target.shape)} of {target.dtype} and must be the number "
            f"of a class for each of the {len(pixels)} images."
        )
    wrong = [int(each) for each in target if not 0 <= each < labels]
    if wrong:
        raise ArgumentError(f"{caller}: the model has classes 0..{labels - 1}, not {wrong[0]}.")
    return target.long().to(pixels.device)


def _as_classes(caller: str, target: Any, images: int) -> Tensor:
    """Numbers of classes as a tensor: one for all images, or one each."""
    if torch.is_tensor(target) and target.ndim:
        return target
    found = indices(target, "target", caller)
    if isinstance(found, slice) or found is None:
        raise ArgumentError(
            f"{caller}: target is {shown(target)} and must be the number of a class for each of "
            f"the {images} images, or one for all."
        )
    alone = whole_or_none(target) is not None
    return torch.tensor(found * images if alone else found)


def _one_each(caller: str, values: Tensor, images: int) -> Tensor:
    if values.shape != (images,):
        raise ArgumentError(
            f"{caller}: score returned {tuple(values.shape)} for {images} images and must return "
            f"one number for each, [{images}]."
        )
    return values


def _seen_grid(question: Question) -> tuple[int, int]:
    found: list[tuple[int, int]] = []

    def read(call: AttentionCall) -> None:
        grids = [s.grid for s in call.known_layout(question.caller).keys if s.name == "image"]
        found.extend(grid for grid in grids if grid is not None)

    with torch.no_grad(), Tap(question.model, observe=[read]):
        question.answer(question.pixels[:1], torch.zeros(1, dtype=torch.long))
    if not found:
        raise NothingObserved(
            f"{question.caller}: {type(question.model).__name__} has no attention over a grid of "
            f"image tokens. Give grid=(rows, columns)."
        )
    return found[0]
