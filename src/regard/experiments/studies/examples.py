"""Part 2: example images, one of each class, and what each layer and head attends to."""

import numpy as np
import torch
import xarray as xr

from regard.axes import HEAD, LAYER, SAMPLE
from regard.experiments.studies.looking import AnswerRows, answer_maps, numbered
from regard.experiments.studies.setting import Numbers, Setting
from regard.experiments.studies.whole import reader_of
from regard.explain import explanations
from regard.tap import Tap
from regard.views.mosaic import mosaic
from regard.views.report import Plate, Section

HEADS_OF = 3
"""Images of which every head is shown."""


def one_of_each(whole: xr.Dataset) -> Numbers:
    """The first correctly classified image of each class; the first of all if none is."""
    labels, right = whole["label"].values, whole["right"].values
    chosen = []
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        known = here[right[here]]
        chosen.append(known[0] if len(known) else here[0])
    return whole["number"].values[chosen]


def maps_of(setting: Setting, numbers: Numbers) -> xr.DataArray:
    """What the prediction attends to: over sample, layer, head, y and x, even attention is 1."""
    rows = AnswerRows()
    with torch.no_grad(), Tap(setting.vision.model, observe=[rows]):
        setting.vision.forward(setting.pixels(numbers))
    maps = answer_maps(rows.taken(), setting.shape.grid, setting.shape.prefix)
    return numbered(maps.to_dataset(name="map"))["map"].assign_attrs(maps.attrs)


def part(setting: Setting, whole: xr.Dataset) -> Section:
    """The part of the report."""
    setting.meter.begin("plotting examples")
    numbers = one_of_each(whole)
    maps, names = maps_of(setting, numbers), names_of(setting, numbers)
    images = list(setting.data.images[numbers])
    layers = list(maps[LAYER].values)
    mean = maps.mean(HEAD, keep_attrs=True)
    sheet = mosaic(
        [[mean.isel({SAMPLE: n, LAYER: layer}) for layer in layers] for n in range(len(numbers))],
        images=images, rows=names, columns=[f"layer {layer}" for layer in layers],
    )  # fmt: skip
    few = range(min(HEADS_OF, len(numbers)))
    heads = mosaic(
        [[maps.isel({SAMPLE: n, HEAD: head, LAYER: layer}) for layer in layers]
         for n in few for head in maps[HEAD].values],
        images=[images[n] for n in few for _ in maps[HEAD].values],
        rows=[f"{names[n]}, head {head}" for n in few for head in maps[HEAD].values],
        columns=[f"layer {layer}" for layer in layers],
    )  # fmt: skip
    who = reader_of(setting)
    text = (
        f"One correctly classified image of each class. Each map shows what {who} attends to, "
        f"patch by patch, in multiples of an even share.",
    )
    plates = {
        "examples-layers": Plate(sheet, f"What {who} attends to in each layer, mean of heads."),
        "examples-heads": Plate(heads, f"Each head of each layer, for {len(few)} images."),
        "examples-rollout": Plate(
            _rollout_sheet(setting, numbers, names),
            "The last layer's attention beside rollout, which follows attention through all "
            "layers; each map on its own scale, from its least to its greatest value.",
        ),
    }
    return Section("Examples: layer by layer, head by head", text, {}, plates)


def names_of(setting: Setting, numbers: Numbers) -> list[str]:
    """The classes of some images, by name."""
    return [setting.data.names[label] for label in setting.data.labels[numbers]]


def _rollout_sheet(setting: Setting, numbers: Numbers, names: list[str]) -> object:
    pixels, methods = setting.pixels(numbers), ("attention", "rollout")
    found = {name: explanations.get(name)(setting.vision.model, pixels) for name in methods}
    return mosaic(
        [[found[name].isel({SAMPLE: n}).drop_vars("prefix_mass") for name in methods]
         for n in range(len(numbers))],
        images=list(setting.data.images[numbers]), rows=names,
        columns=["last layer", "rollout"], own=True,
    )  # fmt: skip
