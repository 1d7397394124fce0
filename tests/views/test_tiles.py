from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regard.errors import ArgumentError
from regard.trace import Trace, toy_trace
from regard.views.tiles import Averaging, Tiles, fit_of, peaks_of, quantised, tiles_of, word_maps


def values_of(tiles: Tiles, layer: str) -> np.ndarray:
    low, span = (part[layer][..., None, None] for part in (tiles.lows, tiles.spans))
    values = low + tiles.layers[layer] / 255.0 * span
    places, peaks = tiles.peaks[layer]
    values.ravel()[places] = peaks
    return values


@settings(deadline=None)
@given(arrays(np.float64, (2, 3, 3), elements=st.floats(0.0, 1.0)))
def test_a_value_is_off_by_at_most_half_a_step_of_its_own_map(values):
    tile, low, span = quantised(values)
    back = low[:, None, None] + tile / 255.0 * span[:, None, None]
    assert (np.abs(back - values).max(axis=(1, 2)) <= span / 510 + 1e-12).all()


def test_a_faint_map_is_as_exact_as_a_strong_one():
    strong = np.array([[0.0, 0.4], [0.6, 1.0]])
    (one, two), _, _ = quantised(np.stack([strong, strong / 1000]))
    assert one.tolist() == two.tolist() == [[0, 102], [153, 255]]


def test_a_sink_is_kept_apart_and_the_rest_is_as_exact_as_without_it():
    values = np.linspace(0.0, 0.5, 64).reshape(1, 8, 8)
    values[0, 4, 4] = 40.0
    tile, low, span = quantised(values)
    places, peaks = peaks_of(values)
    # The 98th percentile: the 62nd of 64 values; the one of the sink is the greatest.
    assert span.item() == pytest.approx(62 / 63 * 0.5)
    assert dict(zip(places.tolist(), peaks.tolist(), strict=True)) == {36: 40.0, 63: 0.5}
    rest = np.delete(np.arange(64), places)
    back = low[:, None, None] + tile / 255.0 * span[:, None, None]
    assert np.abs((back - values).ravel()[rest]).max() <= 0.5 / 510 + 1e-12


def test_a_word_of_two_tokens_is_their_sum(trace: Trace):
    grass = trace.tokens_of("grass")
    assert len(grass) == 2
    tiles = tiles_of(trace.layers, word_maps([grass]), Averaging())
    for name, maps in trace.word_maps.items():
        both = maps.sel(token=grass).sum("token").values
        assert np.abs(values_of(tiles, name)[:, :, 0] - both).max() < 1e-3


def test_over_the_budget_heads_are_averaged_first_and_then_steps(trace: Trace):
    cat = [trace.tokens_of("cat")]
    # One word on 656 patches: 78,720 bytes whole, 19,680 without heads, 656 a step.
    assert fit_of(trace.layers, 1, 78_720) == Averaging()
    assert fit_of(trace.layers, 1, 78_719) == Averaging(heads_averaged=True)
    fit = fit_of(trace.layers, 1, 6_600)
    assert fit.bytes_of(trace.layers, 1) == 6_560
    merged = tiles_of(trace.layers, word_maps(cat), fit)
    assert merged.steps == tuple((step, step + 1, step + 2) for step in range(0, 30, 3))
    name, maps = next(iter(trace.word_maps.items()))
    expected = maps.sel(token=cat[0][0], step=[3, 4, 5]).mean(("step", "head")).values
    assert np.abs(values_of(merged, name)[1, 0, 0] - expected).max() < 1e-3


def test_layers_seen_at_other_steps_are_refused():
    toy = toy_trace()
    (first, maps), (second, rest) = toy.layers.items()
    mixed = replace(toy, layers={first: maps, second: rest.isel(step=[0])})
    with pytest.raises(ArgumentError, match="seen at different steps"):
        fit_of(mixed.layers, 1, 1000)
