"""Guidance by a worse evaluation: what comes out is pushed from what weaker self-attention makes.

Both methods evaluate the prompt's half once more in each step, with self-attention perturbed in
some layers, and push away from that (see `Extra`); so each step costs about half as much again
with guidance on, and twice as much with it off.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError
from regard.methods.guide import Extra, Guide
from regard.methods.method import Changes, Plan, Run, method
from regard.methods.where import Layers, Steps, Where
from regard.tap import AttentionCall, Edit

ENDLESS = 9999.0
"""A blur this wide, in patches, is the mean over the whole picture."""

NOISE_LEVELS = 1000
"""Of the schedulers that `adaptive` was defined for: they count noise from 1000 down."""


@method
def perturbed_attention_guidance(
    scale: float = 3.0,
    *,
    adaptive: float = 0.0,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
) -> Plan:
    """Push away from the picture whose patches attend to themselves alone: 0 changes nothing.

    Args:
        scale: How far to push; 3 is usual with guidance, 5 without.
        adaptive: How much the scale falls with each noise level from 1000 down, but not below 0;
            0 keeps it.
        layers: As for `drop`.
        stage: ``down``, ``mid`` or ``up``; ``mid`` where neither layers nor a stage is given.
        steps: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: a number that is not finite, or ``adaptive`` below 0; or as for `drop`; in a
            run, none of the layers attends from image to image.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> perturbed_attention_guidance(5.0, layers="mid_block").recipe()
        {'method': 'perturbed-attention-guidance', 'scale': 5.0, 'layers': 'mid_block'}

    Source:
        Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance",
        arXiv 2403.17377, equations 14 to 16.
    """
    who = "perturbed_attention_guidance"
    _check_scale(who, scale)
    if not 0 <= _or_nan(adaptive) < math.inf:
        raise ArgumentError(
            f"{who}: adaptive is {shown(adaptive)} and must be 0 or more and finite. "
            f"0 keeps the scale."
        )

    def fading(step: int, level: float) -> float:
        return max(0.0, scale - adaptive * (NOISE_LEVELS - level)) if adaptive else scale

    return _pushing(_where(who, layers, stage, steps), fading, lambda call: call.identity(), scale)


@method
def smoothed_energy_guidance(
    scale: float = 3.0,
    *,
    sigma: float = math.inf,
    layers: Layers = None,
    stage: str | None = None,
    steps: Steps = None,
) -> Plan:
    """Push away from the picture whose patches ask what their neighbours ask: 0 changes nothing.

    Args:
        scale: How far to push; 3 is usual.
        sigma: Of the Gaussian that blurs the queries, in patches; above 9999 each patch asks what
            all ask on average.
        layers: As for `perturbed_attention_guidance`.
        stage: As for `perturbed_attention_guidance`.
        steps: As for `drop`.

    Returns:
        A method.

    Raises:
        ArgumentError: ``scale`` is not finite, ``sigma`` not above 0; or as for `drop`; in a run,
            none of the layers attends from image to image.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer that computes its scores in the open.

    Example:
        >>> smoothed_energy_guidance(sigma=1.0).recipe()
        {'method': 'smoothed-energy-guidance', 'sigma': 1.0}

    Source:
        Hong (2024), "Smoothed Energy Guidance", arXiv 2408.00760. Blurred queries are blurred
        scores, which are linear in them.
    """
    who = "smoothed_energy_guidance"
    _check_scale(who, scale)
    if not _or_nan(sigma) > 0:
        raise ArgumentError(
            f"{who}: sigma is {shown(sigma)} and must be above 0. Towards 0 nothing is blurred; "
            f"inf is the mean."
        )
    where = _where(who, layers, stage, steps)
    return _pushing(where, lambda step, level: scale, smoothing(sigma), scale)


def smoothing(sigma: float) -> Edit:
    """An edit that blurs the queries of image patches over their grid; text stays as it is.

    Args:
        sigma: As for `blurred`.

    Raises:
        ArgumentError: while running, the patches have no grid.
    """

    def smooth(call: AttentionCall) -> None:
        image = call.known_layout("smoothed_energy_guidance").queries_of("image")
        if image.grid is None:
            raise ArgumentError(
                f"smoothed_energy_guidance: the {len(image)} patches of {call.layer} have no grid. "
                f"Mend the layout of {call.model}."
            )
        grid = image.grid

        def blur(queries: Tensor) -> Tensor:
            return blurred(queries.unflatten(-2, grid), sigma).flatten(-3, -2)

        call.map_queries(blur, rows=image.slice)

    return smooth


def blurred(grid: Tensor, sigma: float) -> Tensor:
    """A grid of vectors under a Gaussian, its edges mirrored.

    Args:
        grid: [..., y, x, width].
        sigma: In cells, above 0; above 9999 every cell becomes the mean. The kernel has 6 sigma
            cells, as many as the side at most, made odd.

    Returns:
        As many numbers.

    Example:
        >>> blurred(torch.tensor([[[0.0], [0.0], [3.0]]]), float("inf"))[0, :, 0]
        tensor([1., 1., 1.])
    """
    if sigma > ENDLESS:
        return grid.mean((-3, -2), keepdim=True).expand_as(grid)
    rows, columns = (_line(grid, side, sigma) for side in (-3, -2))
    return torch.einsum("ab,cd,...bdw->...acw", rows, columns, grid)


# Inside


def _line(grid: Tensor, side: int, sigma: float) -> Tensor:
    """A Gaussian along one side of a grid, as the matrix [cell, cell] that blurs it."""
    count = grid.shape[side]
    reach = min(math.ceil(6 * sigma), count) // 2  # made odd: as many cells on either side
    steps = torch.arange(-reach, reach + 1, device=grid.device)
    bell = torch.exp(-((steps.double() / sigma) ** 2) / 2)
    source = (torch.arange(count, device=grid.device)[:, None] + steps).abs()
    source = torch.where(source < count, source, 2 * (count - 1) - source)
    line = bell.new_zeros(count, count).scatter_add_(1, source, bell.expand_as(source))
    return (line / bell.sum()).to(grid.dtype)


def _where(who: str, layers: Layers, stage: str | None, steps: Steps) -> Where:
    middle = "mid" if layers is None and stage is None else stage
    return Where(who, steps, layers, middle)


def _pushing(
    where: Where, scale: Callable[[int, float], float], perturb: Edit, most: float
) -> Plan:
    """A push from the evaluation in which some layers' self-attention is perturbed."""

    def plan(run: Run) -> Changes:
        chosen = where.select_in(run, query="image", key="image")
        if most == 0:
            return Changes()
        extra = Extra(scale, [(chosen, perturb)], where.span, who=where.who)
        return Changes(guide=Guide(extra=extra), first_step=where.first_step)

    return plan


def _or_nan(value: Any) -> float:
    found = number_or_none(value)
    return math.nan if found is None else found


def _check_scale(who: str, scale: float) -> None:
    value = number_or_none(scale)
    if value is None or not math.isfinite(value):
        raise ArgumentError(
            f"{who}: scale is {shown(scale)} and must be a finite number. 0 changes nothing."
        )
