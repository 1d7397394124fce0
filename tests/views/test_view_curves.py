import numpy as np
import pandas as pd
import pytest
import xarray as xr

from regard.errors import ArgumentError, AxisError
from regard.views import curves, dots, matrix, scatter


def spread(mean, dims, **coords):
    mean = np.asarray(mean, float)
    ends = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}
    return xr.Dataset({name: (dims, values) for name, values in ends.items()}, coords)


def test_a_line_for_each_label_with_its_band():
    values = spread([[0.2, 0.4], [0.6, 0.8]], ("head", "layer"), head=[0, 1], layer=[3, 4])
    (axes,) = curves(values, "layer", title="focus", across="layer", up="share").axes
    lines = [line for line in axes.lines if line.get_label() in ("0", "1")]
    assert [line.get_ydata().tolist() for line in lines] == [[0.2, 0.4], [0.6, 0.8]]
    assert lines[0].get_xdata().tolist() == [3, 4]
    band = axes.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.5, 0.9))
    assert axes.get_legend().get_title().get_text() == "head"
    assert axes.get_xticks().tolist() == [3, 4]
    assert axes.get_ylim()[0] == 0


def test_a_scale_with_negative_values_does_not_begin_at_0():
    (axes,) = curves(spread([-0.5, 0.5], ("layer",)), "layer").axes
    assert axes.get_ylim()[0] < -0.5
    assert axes.get_legend() is None


def test_an_interval_that_is_unknown_is_not_drawn():
    values = spread([0.2, 0.4], ("layer",))
    values["low"][:] = values["high"][:] = np.nan
    assert curves(values, "layer").axes[0].lines[0].get_ydata().tolist() == [0.2, 0.4]


def test_what_is_no_line_is_refused():
    with pytest.raises(AxisError, match="need 'layer' and at most one more"):
        curves(spread(np.zeros((2, 2, 2)), ("a", "b", "layer")), "layer")
    with pytest.raises(AxisError, match="have the dims \\('a',\\) and need 'layer'"):
        curves(spread([1.0], ("a",)), "layer")
    with pytest.raises(ArgumentError, match="have no 'low'; they have \\['mean'\\]"):
        curves(xr.Dataset({"mean": ("layer", [1.0])}), "layer")


def table():
    return pd.DataFrame(
        {"of": ["$a", "b"], "x": [1.0, 2.0], "x_low": [0.5, np.nan], "x_high": [1.5, np.nan]}
    )


def test_rows_are_dots_from_the_top_with_their_intervals():
    (axes,) = dots(table(), "of", "x", at=0.0).axes
    assert [each.get_text() for each in axes.get_yticklabels()] == ["$a", "b"]
    assert axes.yaxis_inverted()
    (ends,) = [path.vertices[:, 0].tolist() for path in axes.collections[0].get_paths()[:1]]
    assert ends == [0.5, 1.5]
    assert axes.lines[0].get_xdata().tolist() == [1.0, 2.0]
    assert axes.lines[1].get_xdata() == [0.0, 0.0]


def test_long_names_get_several_lines_and_as_much_room():
    long = "animals, attend-and-excite carriers=true scale_factor=5.0"
    short, tall = (dots(table().assign(of=["a", name]), "of", "x") for name in ("b", long))
    label = tall.axes[0].get_yticklabels()[1].get_text()
    assert label.split() == long.split()
    assert max(map(len, label.splitlines())) <= 36
    assert tall.get_figheight() > short.get_figheight()


def test_a_table_without_intervals_is_refused():
    with pytest.raises(ArgumentError, match="it needs 'x_high'"):
        dots(table().drop(columns="x_high"), "of", "x")
    with pytest.raises(ArgumentError, match="has 0 rows"):
        dots(table().head(0), "of", "x")


def test_a_point_for_each_pair_named_and_coloured():
    figure = scatter([0.0, 1.0], [2.0, 3.0], labels=["0.1", "a$b"], depth=[5, 6], depth_of="layer")
    axes, bar = figure.axes
    assert axes.collections[0].get_offsets().tolist() == [[0.0, 2.0], [1.0, 3.0]]
    assert [each.get_text() for each in axes.texts] == ["0.1", "a$b"]
    assert bar.get_ylabel() == "layer"
    with pytest.raises(ArgumentError, match="x has 2 values, y 1 and labels 0"):
        scatter([0.0, 1.0], [2.0])


def test_cells_show_their_number_and_white_is_0_where_there_are_signs():
    values = xr.DataArray([[-0.2, 0.1]], dims=["head", "layer"], coords={"layer": [7, 8]})
    axes, bar = matrix(values, units="nats", form="{:.1f}").axes
    assert [each.get_text() for each in axes.texts] == ["-0.2", "0.1"]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["7", "8"]
    assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == (-0.2, 0.2)
    assert bar.get_ylabel() == "nats"
    with pytest.raises(AxisError, match="and need two"):
        matrix(values[0])


def test_numbers_can_be_read_on_their_cells():
    # Black on the bright end of the colour map, white on the dark one.
    axes = matrix(xr.DataArray([[0.0, 1.0]], dims=["head", "layer"])).axes[0]
    assert [each.get_color() for each in axes.texts] == ["white", "black"]
