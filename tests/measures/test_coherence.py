import numpy as np
import xarray as xr

from regard.measures.coherence import coherence, coherence_lift


def grid(values, **coords):
    return xr.DataArray(np.asarray(values), coords=coords, dims=["query", "key"])


LEFT = xr.DataArray(np.indices((4, 4))[1] < 2, dims=["y", "x"])  # patches 0 and 2 of 2x2


def test_even_attention_stays_on_an_object_by_chance():
    even = grid(np.full((4, 4), 0.25))
    got = coherence(even, LEFT, (2, 2))
    assert got.item() == got.attrs["chance"] == 0.5
    assert coherence_lift(even, LEFT, (2, 2)).item() == 1


def test_an_object_that_looks_only_at_itself_is_wholly_coherent():
    block = grid(np.kron(np.ones((2, 2)), np.eye(2)) / 2)  # 0, 2 and 1, 3 look at each other
    assert coherence(block, LEFT, (2, 2)).item() == 1
    assert coherence(block, ~LEFT, (2, 2)).item() == 1
    assert coherence(block, LEFT.T.rename(y="x", x="y"), (2, 2)).item() == 0.5


def test_registers_are_left_out_of_coherence():
    block = np.kron(np.ones((2, 2)), np.eye(2)) / 4
    weights = np.zeros((6, 6))
    weights[:, :2] = 0.25
    weights[2:, 2:] = block
    weights[:2, 2:] = 0.125
    assert coherence(grid(weights), LEFT, (2, 2), prefix=2).item() == 1


def test_only_the_queries_that_were_kept_are_asked():
    weights = grid(np.eye(4)[[1, 2]], query=[0, 2])  # patch 0 looks away, patch 2 at itself
    assert coherence(weights, LEFT, (2, 2)).item() == 0.5
    assert np.isnan(coherence(weights, ~LEFT, (2, 2)))


def test_several_objects_are_measured_at_once():
    both = xr.concat([LEFT, ~LEFT], "object")
    got = coherence(grid(np.eye(4)), both, (2, 2))
    assert got.dims == ("object",)
    assert got.values.tolist() == [1, 1]
