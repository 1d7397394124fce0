import numpy as np
import pytest
import torch
import xarray as xr
from diffusers import DDIMScheduler

import tiny
from regard.errors import ArgumentError, AxisError
from regard.explain.time_rollout import step_factors, time_rollout


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_what_a_step_keeps_and_adds_is_what_the_scheduler_does(prediction, place):
    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    scheduler.set_timesteps(8)
    timestep = scheduler.timesteps[place]
    output, sample = tiny.noise(1, 2), tiny.noise(1, 2, seed=1)
    kept, added = step_factors(scheduler, timestep)
    expected = scheduler.step(output, timestep, sample).prev_sample
    torch.testing.assert_close(kept * sample + added * output, expected, atol=1e-5, rtol=0)


def test_rollout_over_time_by_hand():
    maps = xr.DataArray([[1.0, 0.0], [0.0, 1.0]], dims=["step", "token"])
    # 0.5 of the first, of which 0.75 is left after the second
    np.testing.assert_allclose(time_rollout(maps, rho=[0.5, 0.25]), [0.375, 0.25])


def test_rollout_of_patches_over_time_is_a_product():
    swap, stay = np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
    maps = xr.DataArray([swap, swap], dims=["step", "query", "key"])
    half = 0.5 * stay + 0.5 * swap
    np.testing.assert_allclose(
        time_rollout(maps, rho=[0.5, 0.25]), (0.75 * stay + 0.25 * swap) @ half
    )


def test_rho_is_taken_from_the_maps_and_checked():
    maps = xr.DataArray([1.0, 1.0], dims="step", coords={"rho": ("step", [0.5, 0.5])})
    assert time_rollout(maps).item() == 0.75
    with pytest.raises(ArgumentError, match="have no coordinate 'rho'"):
        time_rollout(maps.drop_vars("rho"))
    with pytest.raises(ArgumentError, match=r"rho is \[nan, 0.5\].*The scheduler has no alphas"):
        time_rollout(maps, rho=[float("nan"), 0.5])
    with pytest.raises(AxisError, match="no dim 'step'"):
        time_rollout(maps.rename(step="layer"))
