"""Part 4: the same model on smaller and larger images, by interpolated positions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import xarray as xr

from regard.axes import HEAD, LAYER, SAMPLE, X, Y
from regard.experiments.studies.examples import names_of
from regard.experiments.studies.finding import Finding, Hypothesis
from regard.experiments.studies.hypotheses import (
    LARGER_SURVIVES,
    MAPS_SURVIVE,
    SMALLER_SURVIVES,
)
from regard.experiments.studies.looking import (
    AnswerRows,
    answer_maps,
    even_distance,
    reach_and_spread,
    read_all,
)
from regard.experiments.studies.setting import Numbers, Setting, Size
from regard.experiments.studies.statistics import side_by_side, spread_of, told
from regard.stats.correlation import pearson_of_rows
from regard.stats.estimates import mean_of
from regard.tap import Tap
from regard.trace import resize
from regard.views.curves import curves, dots
from regard.views.mosaic import mosaic
from regard.views.report import Plate, Section

SIZE = "size"


@dataclass(frozen=True, eq=False)
class Shown:
    """One size: predictions and maps.

    Attributes:
        size: Rows and columns in pixels.
        right: Over sample, 0 or 1.
        maps: Over sample, y and x: the last layer's, mean of heads, in multiples of an even share.
        depth: Over sample, layer and head: distance (share of the diagonal) and evenness.
    """

    size: Size
    right: xr.DataArray
    maps: xr.DataArray
    depth: xr.Dataset

    @property
    def name(self) -> str:
        """Pixels a side, or rows by columns."""
        return name_of(self.size)


def name_of(size: Size) -> str:
    """A size in words.

    Example:
        >>> name_of((28, 28)), name_of((28, 56))
        ('28 px', '28x56 px')
    """
    return f"{size[0]} px" if size[0] == size[1] else f"{size[0]}x{size[1]} px"


def sizes_of(setting: Setting) -> list[Size]:
    """The model's own size and its multiples, in whole patches, sorted; none twice."""
    own, patch = setting.vision.size, setting.vision.patch
    found = {own}
    for scale in setting.budget.scales:
        rows, columns = (
            max(1, round(side * scale / p)) * p for side, p in zip(own, patch, strict=True)
        )
        found.add((rows, columns))
    return sorted(found)


def read_sizes(setting: Setting) -> list[Shown]:
    """Predictions, maps and attention at every size, the smallest first."""
    budget, every = setting.budget, sizes_of(setting)
    for size in every:
        setting.vision.interpolated(size)  # a model that cannot is refused before hours are spent
    return [
        _read(setting, size, setting.sample(budget.resized), setting.sample(budget.resized_dense))
        for size in every
    ]


def likeness(shown: Shown, own: Shown) -> xr.DataArray:
    """How similar each image's map is to that at the model's own size, on its grid: Pearson."""
    grid = (own.maps.sizes[Y], own.maps.sizes[X])
    here = resize(shown.maps, grid).transpose(SAMPLE, Y, X).values.reshape(len(shown.maps), -1)
    there = own.maps.transpose(SAMPLE, Y, X).values.reshape(len(here), -1)
    pairs = pearson_of_rows(np.stack([here, there.astype(here.dtype)], axis=1))
    return xr.DataArray(pairs[:, 0, 1], dims=SAMPLE)


def part(setting: Setting, every: list[Shown]) -> Section:
    """The part of the report."""
    own = _own(setting, every)
    table = size_table(setting, every)
    lines = {name: _lines(every, name) for name in ("distance", "evenness")}
    how = setting.vision.interpolation(every[-1].size)
    even = even_distance(setting.shape.grid)
    text = (
        f"{len(own.right):,} images were resized and given to the same model; "
        f"its position embeddings ({own.name}) were interpolated by the library "
        f"({how.get('mode', 'not at all')}). Distances are shares of the diagonal and evenness is "
        f"entropy as a share of its maximum, so that grids of different sizes compare.",
        "A map is compared with the one at the model's own size, patch by patch on its grid, by "
        "Pearson correlation: 1 the same, 0 unrelated.",
    )  # fmt: skip
    numbers = setting.sample(min(len(own.right), len(setting.data.names)))
    rows = range(len(numbers))
    plates = {
        "sizes-accuracy": Plate(
            dots(table, SIZE, "accuracy", title="Accuracy at other sizes", across="share correct"),
            "Accuracy at each size, with 95 % intervals.",
        ),
        "sizes-maps": Plate(
            mosaic([[each.maps.isel({SAMPLE: n}) for each in every] for n in rows],
                   images=list(setting.data.images[numbers]), rows=names_of(setting, numbers),
                   columns=[each.name for each in every]),
            "What the prediction attends to in the last layer (mean of heads), the same images at "
            "each size.",
        ),
        "sizes-distance": Plate(
            curves(lines["distance"], LAYER, title="Attention distance at other sizes",
                   across="layer", up="share of the diagonal", baseline=("even attention", even)),
            f"How far patches attend, mean of heads; dashed, even attention over all patches "
            f"({even:.3g} at the model's own size, and nearly so at the others).",
        ),
        "sizes-evenness": Plate(
            curves(lines["evenness"], LAYER, title="Evenness at other sizes", across="layer",
                   up="share of the most entropy"),
            "How evenly patches attend, mean of heads.",
        ),
    }  # fmt: skip
    layers = side_by_side(**lines)
    return Section("Other resolutions", text, {"sizes": table, "sizes-layers": layers}, plates)


def size_table(setting: Setting, every: list[Shown]) -> pd.DataFrame:
    """One row per size: accuracy, what is lost, how similar maps are, distance and evenness."""
    own, rows = _own(setting, every), []
    for each in every:
        spreads = {
            "accuracy": spread_of(each.right, bounds=(0.0, 1.0)),
            "lost": spread_of(own.right - each.right),
            "likeness": spread_of(likeness(each, own)),
            "distance": spread_of(each.depth["distance"].mean((LAYER, HEAD))),
            "evenness": spread_of(each.depth["evenness"].mean((LAYER, HEAD))),
        }
        row = {
            SIZE: each.name,
            "grid": "{}x{}".format(*setting.vision.grid(each.size)),
            "interpolated": "yes" if setting.vision.interpolated(each.size) else "no",
        }
        for name, spread in spreads.items():
            row |= {name: float(spread["mean"]), f"{name}_low": float(spread["low"]),
                    f"{name}_high": float(spread["high"])}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def findings(setting: Setting, every: list[Shown]) -> list[Finding]:
    """Whether accuracy and maps survive a third more or less of size."""
    own = _own(setting, every)
    place = every.index(own)
    found = []
    if place > 0:
        found.append(_survives(SMALLER_SURVIVES, every[place - 1], own))
    if place + 1 < len(every):
        larger = every[place + 1]
        found.append(_survives(LARGER_SURVIVES, larger, own))
        alike = likeness(larger, own)
        others = ", ".join(
            f"{told(spread_of(likeness(each, own)))} at {each.name}"
            for each in every if each not in (own, larger)
        )  # fmt: skip
        facts = (
            f"Maps at {larger.name} correlate with those at {own.name} by {told(spread_of(alike))}."
        )
        facts += f" Elsewhere: {others}." if others else ""
        measured = mean_of(alike.values, bound=MAPS_SURVIVE.bound)
        found.append(Finding(MAPS_SURVIVE, measured, "images", facts))
    return found


def _survives(hypothesis: Hypothesis, shown: Shown, own: Shown) -> Finding:
    lost = 100 * (own.right - shown.right).values
    before, after = (told(spread_of(100 * each.right)) for each in (own, shown))
    facts = f"Accuracy is {before} % at {own.name} and {after} % at {shown.name}."
    return Finding(hypothesis, mean_of(lost, bound=hypothesis.bound), "images", facts)


def _own(setting: Setting, every: list[Shown]) -> Shown:
    return next(each for each in every if each.size == setting.vision.size)


def _lines(every: list[Shown], name: str) -> xr.Dataset:
    spreads = [spread_of(each.depth[name].mean(HEAD)) for each in every]
    return xr.concat(spreads, xr.DataArray([each.name for each in every], dims=SIZE, name=SIZE))


def _read(setting: Setting, size: Size, numbers: Numbers, few: Numbers) -> Shown:
    setting.meter.begin(f"resizing {len(numbers):,} images to {name_of(size)}")
    rows, right, maps = AnswerRows(), [], []
    for part_, pixels in setting.batches(numbers, size=size):
        with torch.no_grad(), Tap(setting.vision.model, observe=[rows]):
            named = setting.logits(pixels).argmax(-1).numpy()
        right.append(named == setting.data.labels[part_])
        last = rows.taken().isel({LAYER: -1}).mean(HEAD)
        maps.append(answer_maps(last, setting.vision.grid(size), setting.shape.prefix))
    depth = read_all(setting, few, reach_and_spread, size=size)
    hits = xr.DataArray(np.concatenate(right).astype(np.float64), dims=SAMPLE)
    return Shown(size, hits, xr.concat(maps, SAMPLE), depth)
