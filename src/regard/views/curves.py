"""Charts of numbers with their intervals: lines, dots, a scatter and a matrix.

They take means and ends that were computed elsewhere and plot them, on one scale per chart.
"""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from regard.errors import ArgumentError, AxisError
from regard.views.colour import ATTENTION

if TYPE_CHECKING:  # importing what draws figures takes a third of a second
    import matplotlib.axes
    import matplotlib.figure

# Okabe and Ito (2008), "Color Universal Design", without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#4D4D4D")
INK, QUIET = "#333333", "#8A8A8A"
BAND = 0.18
"""Opacity of an interval: two of them still show both."""

LABEL = 36
"""Characters of a row's label in a line."""


def curves(
    values: xr.Dataset,
    over: str,
    *,
    title: str = "",
    across: str = "",
    up: str = "",
    from_zero: bool = True,
    baseline: tuple[str, float] | None = None,
) -> "matplotlib.figure.Figure":
    """Lines with their intervals as bands.

    Args:
        values: ``mean``, ``low`` and ``high`` over ``over`` and at most one more dim, whose labels
            name the lines. Where an end is NaN there is no band.
        over: The dim that runs to the right, by its coordinate, or 0, 1, 2 ... without.
        title: Written above.
        across: What runs to the right.
        up: What runs up, with its unit.
        from_zero: Whether the scale begins at 0 where no value is negative.
        baseline: Name and value of what all lines are to be compared with, as a dashed line.

    Returns:
        A figure that belongs to no window: save it with ``figure.savefig(path)``.

    Raises:
        AxisError: there is no dim ``over``, or more than one other.
        ArgumentError: mean, low or high is missing.

    Example:
        >>> line = {end: ("layer", [0.1, 0.2]) for end in ("mean", "low", "high")}
        >>> curves(xr.Dataset(line), "layer", up="focus").axes[0].get_ylabel()
        'focus'
    """
    _check_spread(values, "curves")
    others = [dim for dim in values["mean"].dims if dim != over]
    if over not in values["mean"].dims or len(others) > 1:
        raise AxisError(
            f"curves: the values have the dims {values['mean'].dims} and need '{over}' and at most "
            f"one more. Average or choose the others first."
        )
    figure, axes = _figure(title, across, up)
    names = [str(name) for name in values[others[0]].values] if others else [""]
    for number, name in enumerate(names):
        one = values.isel({others[0]: number}) if others else values
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(one[over], one["low"], one["high"], color=colour, alpha=BAND, lw=0)
        # After seven lines colours come again, with another stroke.
        stroke = ("-", "--", ":")[number // len(COLOURS) % 3]
        axes.plot(one[over], one["mean"], stroke, color=colour, lw=1.8, label=name)
        if one.sizes[over] <= 24:
            axes.plot(one[over], one["mean"], "o", color=colour, ms=3.5)
    if baseline is not None:
        axes.axhline(baseline[1], ls=(0, (5, 3)), color="#555555", lw=1.2, label=baseline[0])
    if others or baseline is not None:
        heading = str(others[0]) if others else None
        axes.legend(title=heading, fontsize=8, title_fontsize=8, frameon=False, ncols=2)
    if from_zero and float(values["low"].fillna(values["mean"]).min()) >= 0:
        axes.set_ylim(bottom=0)
    if values[over].dtype.kind in "iu" and values.sizes[over] <= 24:
        axes.set_xticks(values[over].values)
    return figure


def dots(
    table: pd.DataFrame,
    label: str,
    value: str,
    *,
    title: str = "",
    across: str = "",
    at: float | None = None,
) -> "matplotlib.figure.Figure":
    """One dot with its interval per row of a table, the first row on top.

    Args:
        table: With the columns ``label``, ``value``, and ``value`` with ``_low`` and ``_high``.
        label: The column that names the rows; long names get several lines.
        value: The column that places the dots.
        title: Written above.
        across: What runs to the right, with its unit.
        at: The place of a line to compare with, such as 0.

    Returns:
        A figure, as `curves`.

    Raises:
        ArgumentError: a column is missing, or there is no row.

    Example:
        >>> table = pd.DataFrame({"of": ["cat"], "x": [2.0], "x_low": [1.0], "x_high": [3.0]})
        >>> [each.get_text() for each in dots(table, "of", "x").axes[0].get_yticklabels()]
        ['cat']
    """
    for column in (label, value, f"{value}_low", f"{value}_high"):
        if column not in table or not len(table):
            raise ArgumentError(
                f"dots: the table has {len(table)} rows and the columns {list(table.columns)}; it "
                f"needs '{column}' and at least one row."
            )
    names = [textwrap.fill(str(name), LABEL) for name in table[label]]
    lines = max(name.count("\n") for name in names) + 1
    figure, axes = _figure(title, across, "", height=1.3 + max(0.27, 0.17 * lines) * len(table))
    places = np.arange(len(table))
    axes.hlines(places, table[f"{value}_low"], table[f"{value}_high"], color=COLOURS[0], lw=1.6)
    axes.plot(table[value], places, "o", color=COLOURS[0], ms=5)
    if at is not None:
        axes.axvline(at, color=QUIET, lw=1, ls="--", zorder=0)
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    return figure


def scatter(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    *,
    title: str = "",
    across: str = "",
    up: str = "",
    labels: Sequence[str] = (),
    depth: Sequence[int] | Sequence[float] | np.ndarray | None = None,
    depth_of: str = "",
) -> "matplotlib.figure.Figure":
    """One point for each pair of two rows.

    Args:
        x: Where it lies across.
        y: Where it lies up; as many.
        title: Written above.
        across: What x is, with its unit.
        up: What y is, with its unit.
        labels: Written beside the points, in order; empty for none.
        depth: What colours the points, such as their layer.
        depth_of: What that is.

    Returns:
        A figure, as `curves`.

    Raises:
        ArgumentError: the rows differ in length.

    Example:
        >>> scatter([0.0, 1.0], [1.0, 2.0], across="focus").axes[0].get_xlabel()
        'focus'
    """
    if len(x) != len(y) or len(labels) not in (0, len(x)):
        raise ArgumentError(
            f"scatter: x has {len(x)} values, y {len(y)} and labels {len(labels)}. Give as many."
        )
    figure, axes = _figure(title, across, up)
    colours = {"c": COLOURS[0]} if depth is None else {"c": depth, "cmap": "viridis"}
    points = axes.scatter(x, y, s=26, edgecolors="white", linewidths=0.5, **colours)
    for at in zip(x, y, labels, strict=False):
        axes.annotate(
            at[2], at[:2], (3, 3), textcoords="offset points", fontsize=7, color=INK,
            parse_math=False,
        )  # fmt: skip
    if depth is not None:
        bar = figure.colorbar(points, ax=axes, pad=0.02)
        bar.set_label(depth_of, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def matrix(
    values: xr.DataArray, *, title: str = "", units: str | None = None, form: str = "{:.2g}"
) -> "matplotlib.figure.Figure":
    """A table of numbers as coloured cells with the numbers in them, the first row on top.

    Args:
        values: Two dims; their coordinates, or 0, 1, 2 ..., label rows and columns. One colour
            scale from the least to the greatest; where values are negative, 0 is white.
        title: Written above.
        units: Names the colour bar; ``attrs["units"]`` when left out.
        form: How a number is written.

    Returns:
        A figure, as `curves`.

    Raises:
        AxisError: there are not two dims.

    Example:
        >>> values = xr.DataArray([[0.0, 1.0]], dims=["head", "layer"])
        >>> matrix(values).axes[0].get_xlabel()
        'layer'
    """
    if values.ndim != 2:
        raise AxisError(f"matrix: the values have the dims {values.dims} and need two.")
    rows, columns = values.shape
    figure, axes = _figure(
        title, str(values.dims[1]), str(values.dims[0]), width=2.2 + 0.5 * columns,
        height=1.4 + 0.36 * rows,
    )  # fmt: skip
    known = values.values[np.isfinite(values.values)]
    most = float(np.abs(known).max()) if known.size else 1.0
    signed = bool(known.size and known.min() < 0)
    drawn = axes.imshow(
        values.values, cmap="RdBu_r" if signed else ATTENTION, aspect="auto",
        vmin=-most if signed else None, vmax=most,
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(values.values):
        red, green, blue, _ = drawn.cmap(drawn.norm(value))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axes.text(
            column, row, form.format(value), ha="center", va="center", fontsize=7,
            color="white" if dark else "black",
        )  # fmt: skip
    for axis, dim in ((axes.set_xticks, 1), (axes.set_yticks, 0)):
        axis(np.arange(values.shape[dim]), [str(name) for name in values[values.dims[dim]].values])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    label = units if units is not None else str(values.attrs.get("units", ""))
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _figure(
    title: str, across: str, up: str, *, width: float = 6.4, height: float = 3.8
) -> tuple["matplotlib.figure.Figure", "matplotlib.axes.Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    axes.set_xlabel(across, fontsize=9, parse_math=False)
    axes.set_ylabel(up, fontsize=9, parse_math=False)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E8E8E8", lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _check_spread(values: xr.Dataset, caller: str) -> None:
    for name in ("mean", "low", "high"):
        if name not in values:
            raise ArgumentError(
                f"{caller}: the values have no '{name}'; they have {list(values.data_vars)}. "
                f"regard.stats.intervals gives all three."
            )
