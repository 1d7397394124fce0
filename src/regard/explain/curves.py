"""Deletion and insertion: the answer while patches go or come, the hottest first."""

from collections.abc import Iterator

import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from regard.arguments import whole
from regard.axes import SAMPLE
from regard.explain.maps import checked_heat
from regard.explain.patches import substrate_of, without
from regard.explain.question import BATCH, Classes, Model, Pixels, Question, Score, asked

SHARE = "share"
"""Dim of a curve: the share of patches that were deleted, or inserted."""


def deletion(
    model: Model,
    pixels: Pixels,
    heat: xr.DataArray,
    target: Classes = None,
    *,
    score: Score | None = None,
    substrate: str = "blur",
    steps: int | None = None,
) -> xr.DataArray:
    """The answer while patches are deleted, the hottest first; an early fall is good.

    Args:
        model: An image classifier of transformers, the name or folder of one, what `regard.load`
            gives, or any module if ``score`` is given.
        pixels: [sample, channel, y, x], as the model takes them.
        heat: A map for each image, over sample, y and x. Equal patches go row by row.
        target: The class, one an image; those predicted for the whole images if left out.
        score: A number for each image in place of a class probability.
        substrate: What is put in place: 'blur', 'mean' of each channel, or 'zero' (after
            normalisation). Numbers of different substrates cannot be compared.
        steps: In how many steps; one patch at a time if left out.

    Returns:
        The class probability over sample and ``share``, the share of patches gone; see `area`.

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> pixels = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]])
        >>> heat = xr.DataArray(pixels[:, 0].numpy(), dims=["sample", "y", "x"])
        >>> def total(pixels): return pixels.sum((1, 2, 3))
        >>> from torch import nn
        >>> model = nn.Identity().eval()
        >>> curve = deletion(model, pixels, heat, score=total, substrate="zero")
        >>> curve.values.round(3)
        array([[1. , 0.6, 0.3, 0.1, 0. ]])
        >>> area(curve).values.round(3)
        array([0.375])

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models", arXiv 1806.07421, section 4.1; here by patches.
    """
    question = asked("deletion", model, pixels, target, score)
    return answer_curve(question, heat, substrate=substrate, steps=steps, inserting=False)


def insertion(
    model: Model,
    pixels: Pixels,
    heat: xr.DataArray,
    target: Classes = None,
    *,
    score: Score | None = None,
    substrate: str = "blur",
    steps: int | None = None,
) -> xr.DataArray:
    """The answer while patches are put back, the hottest first; an early rise is good.

    Args:
        model: As for `deletion`.
        pixels: [sample, channel, y, x], as the model takes them.
        heat: A map for each image, over sample, y and x. Equal patches go row by row.
        target: The class, one an image; those predicted for the whole images if left out.
        score: A number for each image in place of a class probability.
        substrate: What the images are at first, as for `deletion`.
        steps: In how many steps; one patch at a time if left out.

    Returns:
        The class probability over sample and ``share``, the share of patches put back; see `area`.

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> pixels = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]])
        >>> heat = xr.DataArray(pixels[:, 0].numpy(), dims=["sample", "y", "x"])
        >>> def total(pixels): return pixels.sum((1, 2, 3))
        >>> from torch import nn
        >>> model = nn.Identity().eval()
        >>> area(insertion(model, pixels, heat, score=total, substrate="zero")).values.round(3)
        array([0.625])

    Source:
        Petsiuk et al. (2018), as for `deletion`.
    """
    question = asked("insertion", model, pixels, target, score)
    return answer_curve(question, heat, substrate=substrate, steps=steps, inserting=True)


def area(curve: xr.DataArray) -> xr.DataArray:
    """The area under a curve of `deletion` or `insertion`: its mean height.

    Args:
        curve: Over ``share``, from 0 to 1.

    Returns:
        The dims of ``curve`` less ``share``, in the unit of the curve.

    Example:
        >>> curve = xr.DataArray([1.0, 0.0, 0.0], dims="share", coords={"share": [0.0, 0.5, 1.0]})
        >>> area(curve).item()
        0.25

    Source:
        The trapezoid rule.
    """
    return curve.integrate(SHARE).assign_attrs(curve.attrs)


def answer_curve(
    question: Question, heat: xr.DataArray, *, substrate: str, steps: int | None, inserting: bool
) -> xr.DataArray:
    """The answer over sample and share, for a question that was checked."""
    values = checked_heat(question.caller, heat, len(question.pixels))
    patches = values[0].numel()
    if steps is not None:
        steps = whole(steps, "steps", question.caller, least=1)
    counts = torch.linspace(0, patches, min(steps or patches, patches) + 1).round().long()
    ranks = values.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    filled = substrate_of(question.caller, question.pixels, substrate)
    device = question.pixels.device
    curve = _curve(question, ranks.view_as(values).to(device), counts.to(device), filled, inserting)
    return xr.DataArray(
        curve.cpu().double().numpy(),
        dims=(SAMPLE, SHARE),
        coords={SHARE: counts.numpy() / patches},
        name="insertion" if inserting else "deletion",
        attrs={
            "units": "probability" if question.score is None else "answer",
            "substrate": substrate,
        },
    )


def _curve(
    question: Question,
    ranks: Int[Tensor, "sample y x"],
    counts: Int[Tensor, " count"],
    filled: Tensor,
    inserting: bool,
) -> Float[Tensor, "sample count"]:
    """The answer at each count; variants of all images together fill the batches."""
    answers = []
    for of, count in _pairs(len(ranks), counts):
        changed = ranks[of] < count[:, None, None]
        gone = ~changed if inserting else changed
        variants = without(question.pixels[of], gone, filled[of])
        answers.append(question.answers(variants, of, probability=question.score is None))
    return torch.cat(answers).unflatten(0, (len(ranks), len(counts)))


def _pairs(images: int, counts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    of = torch.arange(images).repeat_interleave(len(counts))
    return zip(of.split(BATCH), counts.repeat(images).split(BATCH), strict=True)
