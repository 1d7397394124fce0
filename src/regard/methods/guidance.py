"""Guidance by weaker self-attention: steer away from a worse prediction of the same model.

Both methods make one more forward pass of the conditional branch in each step, with self-attention
perturbed in some layers, and steer away from its prediction (see `Extra`); so each step costs about
half as much again with classifier-free guidance, and twice as much without.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError
from regard.methods.guide import Extra, Guide
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where
from regard.tap import AttentionCall, Edit

ENDLESS = 9999.0
"""A blur this wide, in patches, is the mean over the whole image."""

TRAIN_TIMESTEPS = 1000
"""Of the schedulers that `adaptive` was defined for: their timesteps count from 1000 down."""

WHERE = ("steps", "layers", "stage")


@method(where=WHERE)
def perturbed_attention_guidance(
    scale: float = 3.0, *, adaptive: float = 0.0, where: Where = EVERYWHERE
) -> Plan:
    """Perturbed-attention guidance: steer away from the prediction with identity self-attention.

    A scale of 0 disables it.

    Args:
        scale: Guidance scale; 3 is usual with classifier-free guidance, 5 without.
        adaptive: How much the scale falls with each timestep from 1000 down, but not below 0; 0
            keeps it.
        where: Steps, layers and stage; the mid stage if it has neither layers nor a stage.

    Returns:
        A method.

    Raises:
        ArgumentError: a number that is not finite, or ``adaptive`` below 0; in a run, as for
            `drop`, or none of the layers attends from image to image.
        UnknownName: in a run, a layer that is not there.

    Example:
        >>> perturbed_attention_guidance(5.0, where=Where(layers="mid_block")).recipe()
        {'method': 'perturbed-attention-guidance', 'scale': 5.0, 'where': {'layers': 'mid_block'}}

    Source:
        Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance",
        arXiv 2403.17377, equations 14 to 16.
    """
    caller = "perturbed_attention_guidance"
    _check_scale(caller, scale)
    if not 0 <= _or_nan(adaptive) < math.inf:
        raise ArgumentError(
            f"{caller}: adaptive is {shown(adaptive)} and must be 0 or more and finite. "
            f"0 keeps the scale."
        )

    def fading(step: int, timestep: float) -> float:
        return max(0.0, scale - adaptive * (TRAIN_TIMESTEPS - timestep)) if adaptive else scale

    return _guided_away(where, caller, fading, lambda call: call.identity(), off=scale == 0)


@method(where=WHERE)
def smoothed_energy_guidance(
    scale: float = 3.0, *, sigma: float = math.inf, where: Where = EVERYWHERE
) -> Plan:
    """Smoothed-energy guidance: steer away from the prediction with blurred self-attention queries.

    The queries are blurred by a Gaussian. A scale of 0 disables it.

    Args:
        scale: Guidance scale; 3 is usual.
        sigma: Of the Gaussian that blurs the queries, in patches; above 9999 they all become their
            mean.
        where: Steps, layers and stage; the mid stage if it has neither layers nor a stage.

    Returns:
        A method.

    Raises:
        ArgumentError: ``scale`` is not finite, ``sigma`` not above 0; in a run, as for `drop`, or
            none of the layers attends from image to image.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> smoothed_energy_guidance(sigma=1.0).recipe()
        {'method': 'smoothed-energy-guidance', 'sigma': 1.0}

    Source:
        Hong (2024), "Smoothed Energy Guidance", arXiv 2408.00760. Blurred queries are blurred
        scores, which are linear in them.
    """
    caller = "smoothed_energy_guidance"
    _check_scale(caller, scale)
    if not _or_nan(sigma) > 0:
        raise ArgumentError(
            f"{caller}: sigma is {shown(sigma)} and must be above 0. Towards 0 nothing is blurred; "
            f"inf is the mean."
        )
    return _guided_away(
        where, caller, lambda step, timestep: scale, smoothing(sigma), off=not scale
    )


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
                f"Fix the layout of {call.model}."
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


def _guided_away(
    where: Where, caller: str, scale: Callable[[int, float], float], perturb: Edit, *, off: bool
) -> Plan:
    """Guidance away from the prediction in which some layers' self-attention is perturbed."""
    if where.layers is None and where.stage is None:
        where = replace(where, stage="mid")

    def plan(run: Run) -> Changes:
        select = where.select_in(run, caller, query="image", key="image")
        if off:
            return Changes()
        extra = Extra(scale, [(select, perturb)], where.span, who=caller)
        return Changes(guide=Guide(extra=extra), first_step=where.first_step)

    return plan


def _or_nan(value: Any) -> float:
    number = number_or_none(value)
    return math.nan if number is None else number


def _check_scale(caller: str, scale: float) -> None:
    value = number_or_none(scale)
    if value is None or not math.isfinite(value):
        raise ArgumentError(
            f"{caller}: scale is {shown(scale)} and must be a finite number. 0 changes nothing."
        )
