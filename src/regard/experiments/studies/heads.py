"""Part 6: which heads matter to the prediction, and are they those that look special?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.nn import functional

from regard.axes import HEAD, LAYER, SAMPLE
from regard.experiments.studies.finding import Finding
from regard.experiments.studies.hypotheses import SPECIAL_MATTERS
from regard.experiments.studies.setting import Setting
from regard.experiments.studies.statistics import peak_of, ranks, side_by_side, spread_of, told
from regard.stats.estimates import correlation_of
from regard.stats.means import holm
from regard.tap import AttentionCall, Edit, Tap
from regard.views.curves import curves, matrix, scatter
from regard.views.report import Plate, Section

SPECIAL = {
    "focus": "focus of the answer",
    "apart": "divergence from the layer's other heads (bits)",
    "columns": "column concentration",
}
"""What makes a head look special, and its name in a table."""


@dataclass(frozen=True, eq=False)
class Without:
    """What is lost without each head, and without all heads of a layer.

    Attributes:
        heads: loss (rise of the cross-entropy, nats) and accuracy (points lost), over sample,
            layer and head.
        layers: The same over sample and layer.
        accuracy: Of the unmodified model on these images, over sample, 0 or 100.
    """

    heads: xr.Dataset
    layers: xr.Dataset
    accuracy: xr.DataArray


def silence(layer: str, heads: Sequence[int]) -> Edit:
    """An edit that sets the output of some heads of one layer to 0.

    Args:
        layer: Its path.
        heads: Which of its heads.
    """

    def edit(call: AttentionCall) -> None:
        if call.layer == layer:
            call.scale_heads(dict.fromkeys(heads, 0.0))

    return edit


def read_without(setting: Setting) -> Without:
    """Classify a balanced sample again without each head, and without each layer's heads."""
    shape, numbers = setting.shape, setting.sample(setting.budget.ablated)
    every = range(shape.heads)
    gone = [(layer, [head]) for layer in shape.layers for head in every]
    gone += [(layer, list(every)) for layer in shape.layers]
    setting.meter.begin(f"classifying {len(numbers)} images without each of {len(gone)} parts")
    parts = [_losses(setting, part, pixels, gone) for part, pixels in setting.batches(numbers)]
    values = np.concatenate(parts, axis=2)  # (loss, right), (unmodified, without each), sample
    change = np.stack([values[0, 1:] - values[0, :1], 100 * (values[1, :1] - values[1, 1:])])
    single = len(shape.layers) * shape.heads
    heads = change[:, :single].reshape(2, len(shape.layers), shape.heads, -1)
    return Without(
        _labelled(heads, (LAYER, HEAD, SAMPLE)),
        _labelled(change[:, single:], (LAYER, SAMPLE)),
        xr.DataArray(100 * values[1, 0], dims=SAMPLE),
    )


def head_table(without: Without, whole: xr.Dataset, depth: xr.Dataset) -> pd.DataFrame:
    """One row per head: what is lost without it, what makes it special, and how special it is."""
    table = side_by_side(
        loss=spread_of(without.heads["loss"]), accuracy_lost=spread_of(without.heads["accuracy"])
    )
    for name, values in (("focus", whole["focus"]), ("apart", depth["apart"]),
                         ("columns", depth["columns"])):  # fmt: skip
        means = values.mean(SAMPLE).to_dataframe(name).reset_index()[[LAYER, HEAD, name]]
        table = table.merge(means, on=[LAYER, HEAD], validate="one_to_one")
    return table.assign(special=ranks([table[name].to_numpy() for name in SPECIAL]))


def part(setting: Setting, without: Without, table: pd.DataFrame) -> Section:
    """The part of the report."""
    links = link_table(table)
    losses = spread_of(without.heads["loss"])["mean"].transpose(HEAD, LAYER)
    layers = {name: spread_of(without.layers[name]) for name in ("loss", "accuracy")}
    worst, needed = table.loc[table["loss"].idxmax()], peak_of(layers["loss"])
    text = (
        f"{without.accuracy.sizes[SAMPLE]} images, as many of each class, were classified with "
        f"the output of one head set to 0, before the layer's output projection. Most is lost "
        f"without layer {worst[LAYER]:.0f}, head {worst[HEAD]:.0f}: {_points(worst)} points of "
        f"accuracy. Of whole layers most is lost without layer {needed}: "
        f"{told(layers['accuracy'], layer=needed)} points, of "
        f"{told(spread_of(without.accuracy))} %.",
        "A head looks special by its focus, by how far it is from the other heads of its layer, "
        "and by how much all patches attend to the same few; 'special' is its mean rank by these "
        "three, from 0 to 1. Correlations are Spearman's, over heads, with intervals and p over "
        "heads, p Holm-adjusted for all four.",
    )
    plates = {
        "heads-loss": Plate(
            matrix(losses, title="Loss without a head", units="rise of the loss, nats",
                   form="{:.2f}"),
            "Rise of the cross-entropy when one head is ablated, mean over images.",
        ),
        "heads-layers": Plate(
            curves(layers["accuracy"], LAYER, title="Without a layer's attention", across="layer",
                   up="points of accuracy lost"),
            "What is lost when all heads of a layer are ablated.",
        ),
        "heads-special": Plate(
            _scatter(table),
            "Each head by how special it looks and what is lost without it; labels are layer.head.",
        ),
    }  # fmt: skip
    tables = {
        "heads-links": links,
        "heads": table,
        "heads-whole-layers": side_by_side(loss=layers["loss"], accuracy_lost=layers["accuracy"]),
    }
    return Section("Which heads matter, and which look special", text, tables, plates)


def findings(table: pd.DataFrame) -> list[Finding]:
    """Whether heads that look special matter more."""
    links = link_table(table).set_index("of")["correlation"]
    each = ", ".join(f"{links[said]:.2g} by {said}" for said in SPECIAL.values())
    measured = correlation_of(table["special"].to_numpy(), table["loss"].to_numpy())
    facts = (
        f"Over {len(table)} heads, looking special and the loss without the head correlate by "
        f"{measured.value:.2g} (Spearman); separately {each}."
    )
    return [Finding(SPECIAL_MATTERS, measured, "heads", facts)]


def link_table(table: pd.DataFrame) -> pd.DataFrame:
    """Each way to look special against the loss without the head: correlation, interval, p."""
    rows = []
    for name, said in {**SPECIAL, "special": "special: mean rank"}.items():
        found = correlation_of(table[name].to_numpy(), table["loss"].to_numpy())
        rows.append({"of": said, "correlation": found.value, "correlation_low": found.low,
                     "correlation_high": found.high, "heads": found.n, "p": found.p})  # fmt: skip
    links = pd.DataFrame(rows)
    return links.assign(p_holm=holm(links["p"].to_numpy()))


def _scatter(table: pd.DataFrame) -> Any:
    columns = (table[name].to_numpy() for name in ("special", "loss", LAYER, HEAD))
    special, loss, layers, heads = columns
    return scatter(
        special,
        loss,
        depth=layers,
        depth_of="layer",
        labels=[f"{layer}.{head}" for layer, head in zip(layers, heads, strict=True)],
        title="Do heads that look special matter?",
        across="special: mean rank",
        up="rise of the loss, nats",
    )


def _points(row: Any) -> str:
    return f"{row.accuracy_lost:.3g} [{row.accuracy_lost_low:.3g}, {row.accuracy_lost_high:.3g}]"


def _losses(
    setting: Setting, numbers: np.ndarray, pixels: torch.Tensor, gone: list[tuple[str, list[int]]]
) -> np.ndarray:
    """Loss and correctness, [2, unmodified and without each part, sample]."""
    labels = torch.from_numpy(setting.data.labels[numbers])
    found = []
    for layer, heads in [("", []), *gone]:
        edits = [silence(layer, heads)] if heads else []
        with torch.no_grad(), Tap(setting.vision.model, edit=edits):
            logits = setting.logits(pixels)
        loss = functional.cross_entropy(logits, labels, reduction="none")
        found.append(torch.stack([loss, (logits.argmax(-1) == labels).to(loss)]))
        setting.meter.add(len(numbers))
    return torch.stack(found, 1).double().numpy()


def _labelled(values: np.ndarray, dims: tuple[str, ...]) -> xr.Dataset:
    names = {dim: np.arange(size) for dim, size in zip(dims, values.shape[1:], strict=True)}
    del names[SAMPLE]
    found = {name: (dims, values[n]) for n, name in enumerate(("loss", "accuracy"))}
    return xr.Dataset(found, coords=names)
