"""Integrated gradients: along the way from a baseline to the input, what did each part add?"""

from collections.abc import Callable

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from regard.arguments import whole
from regard.errors import ArgumentError
from regard.explain.maps import labelled, pooled
from regard.explain.patches import SUBSTRATES, substrate_of
from regard.explain.question import Classes, Model, Pixels, Score, asked

AT_ONCE = 16
"""Points of the way in one evaluation: gradients keep the whole graph in memory."""


def integrated_gradients(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    baseline: str | Tensor = "zero",
    steps: int = 32,
    grid: tuple[int, int] | None = None,
) -> xr.DataArray:
    """What each patch adds to the class on the way from a baseline to the image; it sums to that.

    The patches of one map sum to the change of the answer from baseline to image; how far they are
    off is in ``attrs``.

    Args:
        model: An image classifier of transformers, the name or folder of one, what `regard.load`
            gives, or any module if ``score`` is given.
        pixels: [sample, channel, y, x], as the model takes them.
        target: The class, one an image; the predicted ones if left out.
        score: A number for each image in place of a logit.
        baseline: Where the way begins: 'zero' (grey, after normalisation), 'mean' (each channel's),
            'blur', or pixels that broadcast to the images, such as those of black.
        steps: Midpoints of the integral.
        grid: Rows and columns of patches; None asks the model's attention.

    Returns:
        A map for each image over patches, in units of the answer (logits). The attr
        ``completeness_error`` is the most that any map is off, ``answer_change`` the change of
        each image's answer, both in that unit.

    Raises:
        ArgumentError: an argument lies outside what it may be.

    Example:
        >>> pixels = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> def squares(pixels): return (pixels**2).sum((1, 2, 3))
        >>> from torch import nn
        >>> heat = integrated_gradients(nn.Identity().eval(), pixels, score=squares, grid=(2, 2))
        >>> heat.values
        array([[[ 1.,  4.],
                [ 9., 16.]]])

    Source:
        Sundararajan, Taly and Yan (2017), "Axiomatic Attribution for Deep Networks", arXiv
        1703.01365, section 3; here by the midpoint rule.
    """
    question = asked("integrated_gradients", model, pixels, target, score)
    shape, start = question.grid(grid), _baseline(question.pixels, baseline)
    gradients, errors, changes = [], [], []
    for sample in range(len(question.pixels)):
        of = torch.tensor([sample])

        def answer(points: Tensor, of: Tensor = of) -> Tensor:
            return question.answer(points, of.expand(len(points)))

        parts, change = integrated(answer, start[sample], question.pixels[sample], steps=steps)
        gradients.append(parts.sum(0))
        errors.append(abs(float(parts.double().sum()) - change))
        changes.append(change)
    return labelled(
        pooled(torch.stack(gradients).double(), shape),
        "integrated_gradients",
        unit="answer",
        class_agnostic=False,
        options={
            "baseline": baseline if isinstance(baseline, str) else "given",
            "steps": steps,
            "grid": shape,
        },
        completeness_error=max(errors),
        answer_change=changes,
    )


def integrated(
    answer: Callable[[Tensor], Tensor],
    start: Float[Tensor, "*shape"],
    stop: Float[Tensor, "*shape"],
    *,
    steps: int,
) -> tuple[Float[Tensor, "*shape"], float]:
    """The difference of two inputs times the mean gradient on the straight way between them.

    Args:
        answer: From points, [point, *shape], to one number each.
        start: Where the way begins.
        stop: Where it ends.
        steps: Midpoints.

    Returns:
        What each element adds, and by how much the answer changes.

    Raises:
        ArgumentError: steps is less than 1.

    Example:
        >>> linear = lambda points: points @ torch.tensor([2.0, -1.0])
        >>> integrated(linear, torch.zeros(2), torch.ones(2), steps=1)
        (tensor([ 2., -1.]), 1.0)
    """
    steps = whole(steps, "steps", "integrated_gradients", least=1)
    total = torch.zeros_like(start)
    for part in ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps).split(AT_ONCE):
        at = part.to(start).reshape(-1, *(1,) * start.ndim)
        points = (start + at * (stop - start)).detach().requires_grad_()
        with torch.enable_grad():
            total += torch.autograd.grad(answer(points).sum(), points)[0].sum(0)
    with torch.no_grad():
        first, last = (float(answer(end[None])[0]) for end in (start, stop))
    return (stop - start) * total / steps, last - first


def _baseline(pixels: Tensor, baseline: str | Tensor) -> Tensor:
    if isinstance(baseline, str):
        return substrate_of("integrated_gradients", pixels, baseline)
    try:
        return baseline.to(pixels).expand(pixels.shape)
    except RuntimeError as failed:
        raise ArgumentError(
            f"integrated_gradients: the baseline is {tuple(baseline.shape)} and must broadcast to "
            f"{tuple(pixels.shape)}, or be one of {', '.join(SUBSTRATES)}."
        ) from failed
