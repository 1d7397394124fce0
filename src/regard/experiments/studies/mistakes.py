"""Part 5: does attention differ in misclassified images?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from regard.axes import HEAD, LAYER, SAMPLE
from regard.experiments.studies.finding import Finding
from regard.experiments.studies.hypotheses import WRONG_IN_CLASS, WRONG_LESS_FOCUSED
from regard.experiments.studies.looking import even_distance, reach_and_spread, read_all
from regard.experiments.studies.setting import Numbers, Setting
from regard.experiments.studies.statistics import right_of_class, spread_of
from regard.stats.estimates import Estimate, difference_of, mean_of
from regard.stats.means import holm
from regard.views.curves import curves, dots
from regard.views.report import Plate, Section

LAST = {"focus_last": "focus", "coverage_last": "coverage", "entropy_last": "entropy (bits)"}
"""Of the last layer's map of the prediction, read over the whole test set."""

DEEP = {
    "distance": "distance (share of the diagonal)",
    "evenness": "evenness of patches (share of the most entropy)",
}
"""Of all patches, read for matched images only."""


def read_matched(setting: Setting, whole: xr.Dataset) -> xr.Dataset:
    """Distance and evenness of misclassified images and of correct ones of the same classes.

    Returns:
        distance and evenness over sample and layer (mean of heads), and ``right`` over sample.
    """
    numbers, right = matched(whole, setting.budget.matched)
    setting.meter.begin(f"comparing {len(numbers)} correctly and wrongly classified images")
    if not len(numbers):
        return xr.Dataset({name: ((SAMPLE, LAYER), np.empty((0, 1))) for name in DEEP}).assign(
            right=(SAMPLE, np.empty(0, bool))
        )
    found = read_all(setting, numbers, reach_and_spread).mean(HEAD)
    return found.assign(right=(SAMPLE, right))


def matched(whole: xr.Dataset, most: int) -> tuple[Numbers, np.ndarray]:
    """Misclassified images, as many correct ones of the same classes, and which are correct.

    Example:
        >>> seen = {"number": [4, 5, 6], "label": [0, 0, 1], "right": [True, False, True]}
        >>> matched(xr.Dataset({name: ("sample", values) for name, values in seen.items()}), 9)
        (array([5, 4]), array([False,  True]))
    """
    numbers, labels = whole["number"].values, whole["label"].values
    right = whole["right"].values.astype(bool)
    partners = {label: list(np.flatnonzero(right & (labels == label))) for label in set(labels)}
    pairs = []
    for wrong in np.flatnonzero(~right):
        if len(pairs) < most and partners[labels[wrong]]:
            pairs.append((wrong, partners[labels[wrong]].pop(0)))
    if not pairs:
        return numbers[:0], right[:0]
    wrongs, rights = np.array(pairs).T
    return numbers[np.concatenate([wrongs, rights])], np.arange(2 * len(pairs)) >= len(pairs)


def part(setting: Setting, whole: xr.Dataset, pairs: xr.Dataset) -> Section:
    """The part of the report."""
    table, classes = difference_table(whole, pairs), class_table(setting.data.names, whole)
    right = whole["right"].values.astype(bool)
    text = (
        f"{right.sum():,} images are classified correctly and {(~right).sum():,} wrongly. Hard "
        f"classes may differ as a whole, so wrong images are also compared with correct ones of "
        f"their own class (within class). Distance and evenness are means over layers and heads of "
        f"{pairs.sizes[SAMPLE] // 2} wrong images and as many correct ones of the same classes. "
        f"p is Holm-adjusted over all rows. Even attention over all patches has a distance of "
        f"{even_distance(setting.shape.grid):.3g} of the diagonal.",
        f"{signs_of(classes)} A mean over classes that disagree says little of any of them.",
    )
    tables = {"mistakes": table, "mistakes-classes": classes}
    plates = {
        "mistakes": Plate(
            dots(_scaled(table), "of", "difference", title="Correct minus wrong", at=0.0,
                 across="standard deviations over images"),
            "By how much correct images lie above wrong ones, in standard deviations of each "
            "measure, with 95 % intervals.",
        )
    }  # fmt: skip
    if len(classes):
        plates["mistakes-classes"] = Plate(
            dots(classes, "class", "difference", title="Correct minus wrong, by class", at=0.0,
                 across="focus of the last layer's map"),
            "How much more focused the map of the last layer is where the prediction is correct, "
            "with 95 % intervals; classes with fewer than five of either have none.",
        )  # fmt: skip
    if right.any() and not right.all():
        plates["mistakes-layers"] = Plate(
            curves(_by_layer(whole, right), LAYER, title="Focus of correct and wrong predictions",
                   across="layer", up="focus"),
            "Focus in each layer (mean of heads), by whether the prediction is correct.",
        )  # fmt: skip
    return Section("Correct and wrong predictions", text, tables, plates)


def class_table(names: Sequence[str], whole: xr.Dataset) -> pd.DataFrame:
    """One row per class with correct and wrong predictions: focus of each, and difference."""
    labels, right = whole["label"].values, whole["right"].values.astype(bool)
    focus = whole["focus_last"].values.astype(np.float64)
    rows = []
    for label, name in enumerate(names):
        ours, theirs = focus[right & (labels == label)], focus[~right & (labels == label)]
        if len(ours) and len(theirs):
            found = difference_of(ours, theirs)
            rows.append(
                {
                    "class": name, "right": ours.mean(), "wrong": theirs.mean(),
                    "difference": ours.mean() - theirs.mean(), "difference_low": found.low,
                    "difference_high": found.high, "wrong_images": len(theirs),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def signs_of(classes: pd.DataFrame) -> str:
    """In how many classes which of the two is more focused, in words.

    Example:
        >>> signs_of(pd.DataFrame({"difference": [0.1, -0.2, 0.3]}))
        'In 2 of 3 classes correct predictions are more focused, in 1 wrong ones.'
    """
    if not len(classes):
        return "No class has correct and wrong predictions."
    more, less = int((classes["difference"] > 0).sum()), int((classes["difference"] < 0).sum())
    return (
        f"In {more} of {len(classes)} classes correct predictions are more focused, in {less} "
        f"wrong ones."
    )


def findings(whole: xr.Dataset) -> list[Finding]:
    """Whether wrong predictions are less focused, in all and within their class."""
    right, focus = whole["right"].values.astype(bool), whole["focus_last"].values
    overall, inside = compare(focus, whole["label"].values, right)
    facts = (
        f"Mean focus of the last layer's map (of all heads together) is "
        f"{focus[right].mean():.3g} over {right.sum():,} correct and "
        f"{focus[~right].mean() if (~right).any() else np.nan:.3g} over {(~right).sum():,} "
        f"wrong predictions"
    )
    beside = f"; compared with correct ones of the same class the difference is {inside.value:.3g}"
    beside = beside if np.isfinite(inside.value) else ""
    names = [str(label) for label in range(int(whole["label"].max()) + 1)]
    signs = signs_of(class_table(names, whole))
    return [
        Finding(WRONG_LESS_FOCUSED, overall, "images", f"{facts}. {signs}"),
        Finding(WRONG_IN_CLASS, inside, "images", f"{facts}{beside}. {signs}"),
    ]


def compare(values: np.ndarray, labels: np.ndarray, right: np.ndarray) -> tuple[Estimate, Estimate]:
    """Correct minus wrong: over all images, and against the mean of correct ones of the same class.

    The second takes the means of the correct ones as known, as these are far more.

    Example:
        >>> values, right = np.array([1.0, 2.0, 0.0, 1.0]), np.array([1, 1, 0, 0], bool)
        >>> [each.value for each in compare(values, np.array([0, 1, 0, 1]), right)]
        [1.0, 1.0]
    """
    overall = difference_of(values[right], values[~right])
    beside = right_of_class(values, labels, right) - values
    return overall, mean_of(beside[~right])


def difference_table(whole: xr.Dataset, pairs: xr.Dataset) -> pd.DataFrame:
    """One row per comparison: means, difference with interval, p and Holm-adjusted p."""
    right, labels = whole["right"].values.astype(bool), whole["label"].values
    rows = []
    for name, said in LAST.items():
        values = whole[name].values.astype(np.float64)
        overall, inside = compare(values, labels, right)
        rows.append(_row(said, values, right, overall))
        rows.append(_row(f"{said}, within class", values, right, inside))
    same = pairs["right"].values.astype(bool)
    for name, said in DEEP.items():
        values = pairs[name].mean(LAYER).values.astype(np.float64)
        rows.append(
            _row(f"{said}, matched", values, same, difference_of(values[same], values[~same]))
        )
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def _row(of: str, values: np.ndarray, right: np.ndarray, found: Estimate) -> dict[str, Any]:
    return {
        "of": of,
        "right": values[right].mean() if right.any() else np.nan,
        "wrong": values[~right].mean() if (~right).any() else np.nan,
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "sd": values.std() if len(values) else np.nan,
        "n": found.n,
        "p": found.p,
    }


def _scaled(table: pd.DataFrame) -> pd.DataFrame:
    """Differences in standard deviations, so that measures compare."""
    names = ["difference", "difference_low", "difference_high"]
    return table[["of"]].join(table[names].div(table["sd"].where(table["sd"] > 0), axis=0))


def _by_layer(whole: xr.Dataset, right: np.ndarray) -> xr.Dataset:
    focus = whole["focus"].mean(HEAD)
    groups = {"right": right, "wrong": ~right}
    spreads = [spread_of(focus.isel({SAMPLE: chosen})) for chosen in groups.values()]
    return xr.concat(spreads, xr.DataArray(list(groups), dims="answer", name="answer"))
