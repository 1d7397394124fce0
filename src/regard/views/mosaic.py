"""Many maps beside the images they belong to, on one scale."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from regard.axes import X, Y
from regard.errors import ArgumentError, AxisError
from regard.views.colour import ATTENTION

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

GAP = 0.08  # between panels, in panels
INCH = 0.72  # a panel


def mosaic(
    maps: Sequence[Sequence[xr.DataArray]],
    *,
    images: Sequence[np.ndarray] = (),
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    top: float | None = None,
    own: bool = False,
) -> "matplotlib.figure.Figure":
    """Rows of maps, each row after its image; all on one colour scale from 0.

    Args:
        maps: Rows of maps with the dims ``y`` and ``x``, as many in each row; grids may differ,
            panels are alike. ``attrs["units"]`` of the first names the colour bar.
        images: One for each row, uint8 [y, x] or [y, x, 3]; none if left out.
        rows: Names of the rows.
        columns: Names of the columns of maps.
        title: Written above.
        top: The end of the colour scale; what is above it looks like it. By default the value
            below which 99.5 of 100 patches lie, so that a single one does not darken the rest.
        own: Whether each map has a scale of its own, from its least to its greatest value. For
            maps that have different units; then there is no colour bar.

    Returns:
        A figure that belongs to no window: save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: there is no map, or a row has fewer than another; or names or images are
            not as many.
        AxisError: a map has other dims than ``y`` and ``x``.

    Example:
        >>> heat = xr.DataArray([[0.0, 1.0]], dims=["y", "x"], attrs={"units": "share"})
        >>> mosaic([[heat, heat]], columns=["first", "last"]).axes[1].get_ylabel()
        'share'
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    _check(maps, images, rows, columns)
    every = np.concatenate([each.values.ravel() for row in maps for each in row])
    most = float(np.quantile(every, 0.995)) if top is None else top
    norm = Normalize(0.0, most if most > 0 else 1.0)
    first = 1 if len(images) else 0
    across, down = len(maps[0]) + first, len(maps)
    figure = Figure(figsize=(1.9 + INCH * across, 0.9 + INCH * down), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, each in enumerate(maps):
        if len(images):
            axes.imshow(images[row], extent=_frame(row, 0), cmap="gray", vmin=0, vmax=255)
        for column, heat in enumerate(each):
            values = heat.transpose(Y, X).values
            scale = Normalize() if own else norm
            axes.imshow(values, extent=_frame(row, column + first), cmap=ATTENTION, norm=scale)
    axes.set_xlim(-GAP, across)
    axes.set_ylim(down, -GAP)
    axes.set_aspect("equal")
    _name(axes, ["image"] * first + [str(name) for name in columns], rows, title)
    if not own:
        end = "max" if top is None or every.max() > most else "neither"
        bar = figure.colorbar(
            ScalarMappable(norm, ATTENTION), ax=axes, fraction=0.03, pad=0.02, extend=end
        )
        bar.set_label(str(maps[0][0].attrs.get("units", "attention weight")), fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _name(
    axes: "matplotlib.axes.Axes", columns: Sequence[str], rows: Sequence[str], title: str
) -> None:
    axes.set_xticks(np.arange(len(columns)) + 0.46, columns, fontsize=8, parse_math=False)
    axes.set_yticks(np.arange(len(rows)) + 0.46, rows, fontsize=8, parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)


def _frame(row: int, column: int) -> tuple[float, float, float, float]:
    return float(column), column + 1 - GAP, row + 1 - GAP, float(row)


def _check(
    maps: Sequence[Sequence[xr.DataArray]],
    images: Sequence[np.ndarray],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    if not maps or not maps[0] or len({len(each) for each in maps}) > 1:
        raise ArgumentError(
            f"mosaic: the rows have {[len(each) for each in maps]} maps and must all have as many, "
            f"at least one."
        )
    for what, given, wanted in (
        ("images", images, len(maps)),
        ("rows", rows, len(maps)),
        ("columns", columns, len(maps[0])),
    ):
        if len(given) not in (0, wanted):
            raise ArgumentError(f"mosaic: {what} are {len(given)} and must be {wanted}, or none.")
    for each in (heat for row in maps for heat in row):
        if set(each.dims) != {Y, X}:
            raise AxisError(
                f"mosaic: a map has the dims {each.dims} and needs ('{Y}', '{X}'). "
                f"Choose or average the others first."
            )
