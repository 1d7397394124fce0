"""Part 3: how far patches attend, how evenly, and how heads differ, layer by layer."""

import numpy as np
import pandas as pd
import torch
import xarray as xr

from regard.axes import HEAD, HEAD2, KEY, LAYER, QUERY, SAMPLE
from regard.experiments.studies.finding import Finding
from regard.experiments.studies.hypotheses import DISTANCE_RISES, HEADS_ALIKE
from regard.experiments.studies.looking import Dense, even_distance, everything, read_all
from regard.experiments.studies.setting import Setting, Size
from regard.experiments.studies.statistics import peak_of, side_by_side, spread_of, told, trend_of
from regard.measures.heads import CLOSE, head_clusters, head_redundancy
from regard.measures.reach import positions
from regard.stats.estimates import Estimate, mean_of
from regard.tap import Tap
from regard.views.curves import curves
from regard.views.report import Plate, Section

KINDS = {"js": "bits", "cosine": "1", "generalised": "1"}
"""Ways to count head diversity, and their units."""


def read_depth(setting: Setting) -> xr.Dataset:
    """All attention of a balanced sample, as numbers per image.

    Returns:
        Over sample and layer: js, cosine and generalised diversity of heads; over head also
        distance (share of the diagonal), entropy (bits), evenness, columns (concentration) and
        apart (mean divergence from the other heads, bits).
    """
    numbers = setting.sample(setting.budget.sampled)
    setting.meter.begin(f"reading all attention of {len(numbers)} images")
    found = read_all(setting, numbers, everything)
    # The mean over pairs of heads of the divergence is the diversity, and is not computed twice.
    others = max(1, setting.shape.heads - 1)
    apart = found["divergence"].sum(HEAD2) / others
    apart = apart.where(setting.shape.heads > 1)
    return found.drop_vars("divergence").assign(apart=apart, js=apart.mean(HEAD))


def read_clusters(setting: Setting) -> tuple[xr.Dataset, pd.DataFrame]:
    """Heads that repeat others or do nothing: the share in each image, and clusters over all.

    Returns:
        ``redundant`` over sample and layer, and a table of clusters: layer, head, cluster,
        degenerate.
    """
    numbers = setting.sample(setting.budget.clustered)
    setting.meter.begin(f"comparing the heads in {len(numbers)} images")
    shares = read_all(setting, numbers, _redundancy)
    pooled = Dense(_clusters)
    # Queries of several images are laid end to end: a cluster is then one over all of them.
    few = numbers[: min(len(numbers), POOLED)]
    with torch.no_grad(), Tap(setting.vision.model, observe=[pooled]):
        setting.vision.forward(setting.pixels(few))
    table = pooled.result().isel({SAMPLE: 0}).to_dataframe().reset_index()
    return shares, table[[LAYER, HEAD, "cluster", "degenerate"]]


POOLED = 10
"""Images over which heads are put into clusters."""


def part(
    setting: Setting, depth: xr.Dataset, whole: xr.Dataset, redundant: xr.Dataset,
    clusters: pd.DataFrame,
) -> Section:  # fmt: skip
    """The part of the report."""
    diagonal = diagonal_of(setting)
    spreads = {name: spread_of(depth[name]) for name in ("distance", "entropy", "columns", "apart")}
    pixels = spread_of(depth["distance"] * diagonal)
    even = even_distance(setting.shape.grid)
    diversity = {kind: spread_of(depth[kind]) for kind in KINDS}
    diversity["js_answer"] = spread_of(whole["diversity"])
    repeated = spread_of(redundant["redundant"])
    most = peak_of(repeated)
    text = (
        f"Of {depth.sizes[SAMPLE]} images, as many of each class, every row of every patch is "
        f"read. Attention distance is the mean distance to the patches attended to, as a share of "
        f"the distance of two corners ({diagonal:.3g} pixels); even attention, the same to all "
        f"patches, has {even:.3g} ({even * diagonal:.3g} pixels), so no head near that value "
        f"attends far. Entropy is in bits, at most "
        f"{np.log2(np.prod(setting.shape.grid)):.3g}. Both leave out attention to special tokens.",
        f"Head diversity is computed per query and then averaged: the mean Jensen-Shannon "
        f"divergence of two heads in bits, 1 minus their mean cosine, and the divergence of all "
        f"heads at once as a share of its maximum. A head is redundant if it lies within {CLOSE:g} "
        f"bits of another, is even, or attends to one patch: in layer {most} that is "
        f"{told(repeated, layer=most)} of the heads, the most of all layers.",
    )
    plates = {
        "distance": Plate(
            curves(spreads["distance"], LAYER, title="Attention distance of one head",
                   across="layer", up="share of the diagonal", baseline=("even attention", even)),
            f"How far patches attend in each layer, by head, mean over images with 95 % intervals; "
            f"dashed, even attention over all patches ({even:.3g}).",
        ),
        "entropy": Plate(
            curves(spreads["entropy"], LAYER, title="Entropy of one head", across="layer",
                   up="bits"),
            "How widely the attention of patches is spread in each layer, by head.",
        ),
        "diversity": Plate(
            curves(_stacked(diversity), LAYER, title="Head diversity", across="layer",
                   up="bits (js), or share"),
            "How different the heads of a layer are; js_answer is js for the row of the answer "
            "alone, over the whole test set.",
        ),
        "redundant": Plate(
            curves(repeated, LAYER, title="Redundant heads", across="layer", up="share of heads"),
            "The share of heads that repeat another or do nothing, mean over images.",
        ),
    }  # fmt: skip
    layers = side_by_side(**diversity, redundant=repeated)
    tables = {
        "diversity": layers,
        "depth": side_by_side(distance=spreads["distance"], distance_px=pixels,
                              **{name: spreads[name] for name in ("entropy", "columns", "apart")}),
        "clusters": clusters,
    }  # fmt: skip
    return Section("Distance, entropy and heads with depth", text, tables, plates)


def findings(setting: Setting, depth: xr.Dataset) -> list[Finding]:
    """Whether distance rises and diversity falls with depth."""
    distance, diversity = depth["distance"].mean(HEAD), depth["js"]
    diagonal = diagonal_of(setting)
    pixels = spread_of(distance * diagonal)
    heads = depth["distance"].mean(SAMPLE) * diagonal
    even = even_distance(setting.shape.grid) * diagonal
    return [
        Finding(
            DISTANCE_RISES, _trend(distance, DISTANCE_RISES.bound), "images",
            f"Mean distance, {_ends(pixels, 'pixels')} Even attention has {even:.3g} pixels, "
            f"single heads {float(heads.min()):.3g} to {float(heads.max()):.3g}.",
        ),
        Finding(
            HEADS_ALIKE, _trend(diversity, HEADS_ALIKE.bound), "images",
            f"Mean Jensen-Shannon divergence of two heads, {_ends(spread_of(diversity), 'bits')}",
        ),
    ]  # fmt: skip


def diagonal_of(setting: Setting) -> float:
    """From one corner patch to the opposite one, in pixels of the model's own size."""
    high, wide = setting.vision.patch
    return float(np.hypot(*positions(setting.shape.grid, (float(high), float(wide)))[-1]))


def _trend(values: xr.DataArray, bound: float) -> Estimate:
    return mean_of(trend_of(values), bound=bound)


def _ends(layers: xr.Dataset, unit: str) -> str:
    first, last = (int(layers[LAYER][place]) for place in (0, -1))
    return (
        f"mean of heads: {told(layers, layer=first)} {unit} in layer {first}, "
        f"{told(layers, layer=last)} in layer {last}; least in layer "
        f"{peak_of(layers, least=True)}, most in layer {peak_of(layers)}."
    )


def _stacked(spreads: dict[str, xr.Dataset]) -> xr.Dataset:
    """Several spreads over layer as the lines of one chart."""
    names = xr.DataArray(list(spreads), dims="kind", name="kind")
    return xr.concat([each.drop_attrs() for each in spreads.values()], names)


def _redundancy(rows: xr.DataArray, grid: Size, prefix: int) -> dict[str, xr.DataArray]:
    each = [
        head_redundancy(rows.isel({SAMPLE: n}), prefix=prefix) for n in range(rows.sizes[SAMPLE])
    ]
    return {"redundant": xr.concat(each, SAMPLE)}


def _clusters(rows: xr.DataArray, grid: Size, prefix: int) -> dict[str, xr.DataArray]:
    values = rows.transpose(HEAD, SAMPLE, QUERY, KEY).values
    flat = values.reshape(len(values), -1, values.shape[-1])
    found = head_clusters(xr.DataArray(flat, dims=(HEAD, QUERY, KEY)), prefix=prefix)
    return {name: found[name].expand_dims(SAMPLE) for name in ("cluster", "degenerate")}
