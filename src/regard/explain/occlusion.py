"""Occlusion: how much the answer falls when a patch is hidden."""

import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from regard.errors import ArgumentError
from regard.explain.maps import labelled
from regard.explain.patches import substrate_of, without
from regard.explain.question import BATCH, Classes, Model, Pixels, Question, Score, asked


def occlusion(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    substrate: str = "mean",
    window: int = 1,
    grid: tuple[int, int] | None = None,
) -> xr.DataArray:
    """How much the answer falls when the patches around one place are hidden; 0 no change.

    Args:
        model: An image classifier of transformers, the name or folder of one, what `regard.load`
            gives, or any module if ``score`` is given.
        pixels: [sample, channel, y, x], as the model takes them.
        target: The class, one an image; the predicted ones if left out.
        score: A number for each image in place of a logit.
        substrate: What is put in place: 'mean' of each channel, 'blur' or 'zero' (after
            normalisation).
        window: Side of the square that is hidden around each patch, in patches; odd.
        grid: Rows and columns of patches; None asks the model's attention.

    Returns:
        A map for each image over patches, in units of the answer (logits).

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> pixels = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> def total(pixels): return pixels.sum((1, 2, 3))
        >>> from torch import nn
        >>> model = nn.Identity().eval()
        >>> occlusion(model, pixels, score=total, substrate="zero", grid=(2, 2)).values
        array([[[1., 2.],
                [3., 4.]]])

    Source:
        Zeiler and Fergus (2014), "Visualizing and Understanding Convolutional Networks", arXiv
        1311.2901, section 4.2; here on the model's own patches, and by logits.
    """
    if window < 1 or window % 2 == 0:
        raise ArgumentError(f"occlusion: window is {window} and must be odd and 1 or more.")
    question = asked("occlusion", model, pixels, target, score)
    shape = question.grid(grid)
    filled = substrate_of("occlusion", question.pixels, substrate)
    whole = question.answers(question.pixels)
    drops = [
        whole[sample] - _hidden(question, filled, sample, shape, window)
        for sample in range(len(question.pixels))
    ]
    return labelled(
        torch.stack(drops),
        "occlusion",
        unit="answer",
        class_agnostic=False,
        options={"substrate": substrate, "window": window, "grid": shape},
    )


def _hidden(
    question: Question, filled: Tensor, sample: int, grid: tuple[int, int], window: int
) -> Float[Tensor, "y x"]:
    """The answer with each square hidden in turn."""
    answers = [
        question.answers(
            without(
                question.pixels[sample].expand(len(gone), -1, -1, -1),
                gone,
                filled[sample].expand(len(gone), -1, -1, -1),
            ),
            torch.full((len(gone),), sample),
        )
        for gone in squares(grid, window).to(filled.device).split(BATCH)
    ]
    return torch.cat(answers).unflatten(0, grid)


def squares(grid: tuple[int, int], window: int) -> Bool[Tensor, "place y x"]:
    """For each patch the square of patches around it, cut at the border.

    Example:
        >>> squares((1, 3), 3).int().tolist()
        [[[1, 1, 0]], [[1, 1, 1]], [[0, 1, 1]]]
    """
    places = grid[0] * grid[1]
    single = torch.eye(places).unflatten(1, grid)[:, None]
    return functional.max_pool2d(single, window, 1, window // 2)[:, 0] > 0
