"""Rollout over the denoising steps: how much of each step's outcome is new."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from regard.axes import KEY, QUERY, STEP
from regard.errors import ArgumentError, AxisError
from regard.tap import Tap

RHO = "rho"
"""Coordinate: the share of a step's outcome that is new."""


def time_rollout(maps: xr.DataArray, *, rho: Sequence[float] | None = None) -> xr.DataArray:
    """Shares at the end of all steps, each step mixing what is new with what was there.

    For words, R = (1 - rho) R + rho M at each step, from R = 0; for patches, over ``query`` and
    ``key``, R = ((1 - rho) I + rho S) R, from R = I.

    Args:
        maps: Over step, the first step first; for words any other dims, as `word_rollout` returns
            them; for patches ``query`` and ``key``.
        rho: How much of each step's outcome is new, in 0..1; if left out, the coordinate ``rho``.

    Returns:
        The dims of ``maps`` less step.

    Raises:
        AxisError: ``maps`` has no ``step``.
        ArgumentError: rho is missing, is not one number a step, or lies outside 0..1.

    Example:
        >>> maps = xr.DataArray([1.0, 0.0], dims="step")
        >>> time_rollout(maps, rho=[0.5, 0.2]).item()
        0.4

    Source:
        Song, Meng and Ermon (2021), "Denoising Diffusion Implicit Models", arXiv 2010.02502, eq.
        12, for what a step keeps and adds; the rollout over them is ours.
    """
    if STEP not in maps.dims:
        raise AxisError(f"time_rollout: the array has no dim '{STEP}'; it has {maps.dims}.")
    shares = _checked_rho(maps, rho)
    layers = maps.drop_vars([RHO, "timestep"], errors="ignore").transpose(STEP, ...)
    if not {QUERY, KEY} <= set(maps.dims):
        total = xr.zeros_like(layers.isel({STEP: 0}, drop=True))
        for place, share in enumerate(shares):
            total = (1 - share) * total + share * layers.isel({STEP: place}, drop=True)
        return total.rename("time_rollout").assign_attrs(maps.attrs)
    layers = layers.transpose(STEP, QUERY, KEY)
    flow = np.eye(layers.sizes[KEY])
    for share, layer in zip(shares, layers.values, strict=True):
        flow = (1 - share) * flow + share * layer @ flow
    return xr.DataArray(flow, dims=(QUERY, KEY), name="time_rollout", attrs=maps.attrs)


def _checked_rho(maps: xr.DataArray, rho: Sequence[float] | None) -> np.ndarray:
    given = maps.coords.get(RHO) if rho is None else np.asarray(rho, dtype=float)
    if given is None:
        raise ArgumentError(
            "time_rollout: the maps have no coordinate 'rho'. Give rho=, one number a step."
        )
    values = np.asarray(given, dtype=float)
    if values.shape != (maps.sizes[STEP],) or not ((values >= 0) & (values <= 1)).all():
        raise ArgumentError(
            f"time_rollout: rho is {values.tolist()} and must be a number in 0..1 for each of the "
            f"{maps.sizes[STEP]} steps. NaN? The scheduler has no alphas: give rho=."
        )
    return values


class Rhos:
    """How much of each step's outcome is new, noted while a scheduler begins the step."""

    def __init__(self, scheduler: Any, tap: Tap) -> None:
        self._scheduler, self._tap = scheduler, tap
        self.found: dict[int, float] = {}

    def noting(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """A wrapper of ``scheduler.step``."""

        def noted(output: Tensor, timestep: Any, sample: Tensor, *args: Any, **options: Any) -> Any:
            old, new = step_factors(self._scheduler, timestep)
            kept, added = abs(old) * sample.norm().item(), abs(new) * output.norm().item()
            share = added / (kept + added) if kept + added > 0 else float("nan")
            self.found.setdefault(self._tap.step, share)
            return step(output, timestep, sample, *args, **options)

        return noted


def step_factors(scheduler: Any, timestep: Any) -> tuple[float, float]:
    """What a deterministic step multiplies the latent and the model's output by.

    With alpha the share of signal now and beta the one after the step (cumulative), for predicted
    noise a = sqrt(beta / alpha), b = sqrt(1 - beta) - sqrt(beta (1 - alpha) / alpha); for predicted
    velocity a = sqrt(alpha beta) + sqrt((1 - alpha)(1 - beta)), b = sqrt(alpha (1 - beta)) -
    sqrt(beta (1 - alpha)).

    Returns:
        a and b; NaN for schedulers without alphas, and for other predictions.
    """
    alphas = getattr(scheduler, "alphas_cumprod", None)
    kind = scheduler.config.get("prediction_type")
    if alphas is None or kind not in ("epsilon", "v_prediction"):
        return float("nan"), float("nan")
    later = scheduler.timesteps.tolist()
    later = later[later.index(int(timestep)) + 1 :]
    end = getattr(scheduler, "final_alpha_cumprod", torch.tensor(1.0))
    alpha, beta = float(alphas[int(timestep)]), float(alphas[int(later[0])] if later else end)
    if kind == "v_prediction":
        kept = (alpha * beta) ** 0.5 + ((1 - alpha) * (1 - beta)) ** 0.5
        return kept, (alpha * (1 - beta)) ** 0.5 - (beta * (1 - alpha)) ** 0.5
    kept = (beta / alpha) ** 0.5 if alpha > 0 else float("nan")
    return kept, (1 - beta) ** 0.5 - kept * (1 - alpha) ** 0.5
