"""Part 1: the whole test set. Predictions, and what the token they are read from attends to."""

from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from regard.axes import HEAD, KEY, LAYER, QUERY, SAMPLE
from regard.experiments.studies.finding import Finding
from regard.experiments.studies.hypotheses import FOCUS_RISES
from regard.experiments.studies.looking import AnswerRows, answer_maps, numbered
from regard.experiments.studies.setting import Setting
from regard.experiments.studies.statistics import peak_of, side_by_side, spread_of, told, trend_of
from regard.measures.agreement import head_diversity
from regard.measures.artefacts import sink_mass
from regard.measures.spread import attention_focus, coverage, entropy
from regard.stats.correlation import pearson_of_rows
from regard.stats.estimates import mean_of
from regard.tap import Tap
from regard.views.curves import curves, dots, matrix
from regard.views.mosaic import mosaic
from regard.views.report import Plate, Section

LAYER2 = "layer2"


def read_whole(setting: Setting) -> xr.Dataset:
    """Predictions and attention of each image of the test set.

    Memory: a few hundred numbers an image; rows of attention are not kept.

    Returns:
        Over sample: number, label, predicted, right, probability and, of the mean map of the last
        layer's heads, focus_last, coverage_last, entropy_last and map (y, x); over layer and head
        also focus, coverage and elsewhere (share that goes to no patch); over layer diversity of
        the heads; over two layers likeness (Pearson) of their mean maps.
    """
    budget = setting.budget
    numbers = np.sort(setting.sample(min(budget.images, len(setting.data))))
    setting.meter.begin(f"classifying {len(numbers):,} images")
    rows, parts = AnswerRows(), []
    for part, pixels in setting.batches(numbers):
        with torch.no_grad(), Tap(setting.vision.model, observe=[rows]):
            shares = setting.logits(pixels).softmax(-1)
        labels = setting.data.labels[part]
        best = shares.max(-1)
        predicted = best.indices.numpy()
        found = _of_batch(rows.taken(), setting)
        for name, values in (
            ("number", part), ("label", labels), ("predicted", predicted),
            ("right", predicted == labels), ("probability", best.values.numpy()),
        ):  # fmt: skip
            found[name] = (SAMPLE, values)
        parts.append(found)
    layers = np.arange(len(setting.shape.layers))
    return numbered(xr.concat(parts, SAMPLE)).assign_coords({LAYER2: layers})


def part(setting: Setting, whole: xr.Dataset) -> Section:
    """The part of the report."""
    spreads = {
        "focus": spread_of(whole["focus"]),
        "coverage": spread_of(whole["coverage"]),
        "elsewhere": spread_of(whole["elsewhere"]),
    }
    classes, likeness = class_table(setting, whole), whole["likeness"].mean(SAMPLE)
    accuracy = spread_of(whole["right"] * 100.0, bounds=(0.0, 100.0))
    share, who = setting.budget.coverage, reader_of(setting)
    last = {name: spread_of(whole[f"{name}_last"]) for name in ("focus", "coverage")}
    text = (
        f"Of {whole.sizes[SAMPLE]:,} test images {told(accuracy)} % are classified correctly. What "
        f"{who} attends to is measured by focus (0 for even attention, 1 for a single patch) and "
        f"coverage (the share of patches that together have {share:.0%} of its attention). Of the "
        f"mean map of the last layer's heads focus is {told(last['focus'])} and coverage "
        f"{told(last['coverage'])}; attention to tokens other than patches is left out.",
        _elsewhere(whole, who),
    )
    plates = {
        "focus": Plate(
            _by_head(spreads["focus"], "Focus of one head", "focus"),
            "Focus of each head's attention by layer, mean over images with 95 % intervals.",
        ),
        "coverage": Plate(
            _by_head(spreads["coverage"], "Coverage of one head", "share of patches"),
            f"Coverage: the share of patches that has {share:.0%} of the attention.",
        ),
        "classes-focus": Plate(
            dots(classes, "class", "focus", title="Focus of the last layer's map",
                 across="focus of the map of all heads together"),
            "Focus of the mean map of the last layer, by class.",
        ),
        "classes-coverage": Plate(
            dots(classes, "class", "coverage", title="Coverage of the last layer",
                 across="share of patches"),
            "Coverage of the mean map of the last layer, by class.",
        ),
        "classes-maps": Plate(
            class_maps(setting, whole),
            "Mean map of the last layer over all images of a class, beside the mean image.",
        ),
        "layers-alike": Plate(
            matrix(likeness.rename({LAYER2: "other layer"}), title="Similarity of the layers' maps",
                   units="Pearson correlation", form="{:.2f}"),
            "Correlation of two layers' maps (mean of heads) in the same image, mean over "
            "images.",
        ),
    }  # fmt: skip
    tables = {
        "classes": classes,
        "layers-heads": side_by_side(**spreads),
        "images": image_table(setting, whole),
        "images-heads": head_columns(whole),
    }
    return Section("What the prediction attends to, over the whole test set", text, tables, plates)


def findings(whole: xr.Dataset) -> list[Finding]:
    """Whether focus rises with depth."""
    layers = spread_of(whole["focus"].mean(HEAD))
    ends = layers[LAYER].values[[0, -1]]
    highest = peak_of(layers)
    facts = (
        f"Focus of single heads, averaged, is {told(layers, layer=ends[0])} in layer {ends[0]}, "
        f"{told(layers, layer=ends[1])} in layer {ends[1]}, and highest in layer {highest} "
        f"({told(layers, layer=highest)})."
    )
    measured = mean_of(trend_of(whole["focus"].mean(HEAD)), bound=FOCUS_RISES.bound)
    return [Finding(FOCUS_RISES, measured, "images", facts)]


def reader_of(setting: Setting) -> str:
    """What the prediction is read from, in words."""
    return "the CLS token" if setting.shape.readout == "cls" else "the mean of all patches"


def class_table(setting: Setting, whole: xr.Dataset) -> pd.DataFrame:
    """Accuracy, focus and coverage of each class, with intervals."""
    rows = []
    for label, name in enumerate(setting.data.names):
        one = whole.isel({SAMPLE: np.flatnonzero(whole["label"].values == label)})
        if one.sizes[SAMPLE] < 2:
            continue
        spreads = {
            "accuracy": spread_of(one["right"] * 1.0, bounds=(0.0, 1.0)),
            "focus": spread_of(one["focus_last"]),
            "coverage": spread_of(one["coverage_last"]),
        }
        row: dict[str, Any] = {"class": name, "images": one.sizes[SAMPLE]}
        for column, spread in spreads.items():
            row[column] = float(spread["mean"])
            row |= {f"{column}_{end}": float(spread[end]) for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def image_table(setting: Setting, whole: xr.Dataset) -> pd.DataFrame:
    """One row per image: class, prediction, focus and coverage of the last layer and by layer."""
    names = np.array(setting.data.names)
    table = pd.DataFrame(
        {
            "number": whole["number"].values,
            "class": names[whole["label"].values],
            "predicted": names[whole["predicted"].values],
            "right": whole["right"].values,
            "probability": whole["probability"].values,
            "focus": whole["focus_last"].values,
            "coverage": whole["coverage_last"].values,
        }
    )
    for name in ("focus", "coverage"):
        by_layer = whole[name].mean(HEAD).transpose(SAMPLE, LAYER)
        columns = [f"{name}_layer{layer}" for layer in by_layer[LAYER].values]
        table[columns] = by_layer.values
    return table


def head_columns(whole: xr.Dataset) -> pd.DataFrame:
    """One row per image, one column per measure, layer and head."""
    parts = [pd.DataFrame({"number": whole["number"].values})]
    for name in ("focus", "coverage"):
        values = whole[name].transpose(SAMPLE, LAYER, HEAD)
        columns = [f"{name}_{layer}_{head}" for layer in values[LAYER].values
                   for head in values[HEAD].values]  # fmt: skip
        flat = values.values.reshape(len(values), -1)
        parts.append(pd.DataFrame(flat, columns=columns))
    return pd.concat(parts, axis=1)


def class_maps(setting: Setting, whole: xr.Dataset) -> Any:
    """The mean map of each class beside its mean image."""
    maps, images, names = [], [], []
    for label, name in enumerate(setting.data.names):
        here = np.flatnonzero(whole["label"].values == label)
        if len(here):
            numbers = whole["number"].values[here]
            maps.append([whole["map"].isel({SAMPLE: here}).mean(SAMPLE, keep_attrs=True)])
            images.append(np.rint(setting.data.images[numbers].mean(0)).astype(np.uint8))
            names.append(name)
    return mosaic(maps, images=images, rows=names, columns=["mean map"])


def _of_batch(rows: xr.DataArray, setting: Setting) -> xr.Dataset:
    prefix, share = setting.shape.prefix, setting.budget.coverage
    mean = rows.mean(HEAD)
    last = mean.isel({LAYER: -1})
    patches = mean.isel({KEY: slice(prefix, None)}).transpose(SAMPLE, LAYER, KEY).values
    found = xr.Dataset(
        {
            "focus": attention_focus(rows, prefix=prefix),
            "coverage": coverage(rows, share=share, prefix=prefix),
            "elsewhere": sink_mass(rows, prefix=prefix),
            "diversity": head_diversity(rows.expand_dims(QUERY), prefix=prefix),
            "likeness": ((SAMPLE, LAYER, LAYER2), pearson_of_rows(patches)),
            "focus_last": attention_focus(last, prefix=prefix),
            "coverage_last": coverage(last, share=share, prefix=prefix),
            "entropy_last": entropy(last, prefix=prefix),
        }
    ).drop_attrs()
    found["map"] = answer_maps(last, setting.shape.grid, prefix)
    return found


def _elsewhere(whole: xr.Dataset, who: str) -> str:
    by_layer = spread_of(whole["elsewhere"].mean(HEAD))
    most = peak_of(by_layer)
    return (
        f"Attention of {who} that goes to no patch, but to special tokens, is highest in layer "
        f"{most}: {told(by_layer, layer=most)} of all, mean of heads. Layers and heads are counted "
        f"from 0, as in code."
    )


def _by_head(spread: xr.Dataset, title: str, up: str) -> Any:
    return curves(spread, LAYER, title=title, across="layer", up=up)
