"""How one subject in many scenes is summed up and shown: images, masks, attention, spectra."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

from regard.experiments.result import Kind, Result, paged
from regard.experiments.store import SIDE, Done
from regard.stats.means import bootstrap, paired
from regard.views import Plate, Section, contact_sheet, curves, matrix, report

WAYS = {
    "none": "",
    "share": "share",
    "svd": "svd-consistency",
    "consistory": "consistory",
}
"""What ``consist`` can be asked for, and the method of each."""

MEASURES = (
    "subject_likeness", "background_likeness", "layout_distance", "text_agreement", "lent",
    "lent_background",
)  # fmt: skip


def summary_of(found: Result, level: float, seed: int) -> pd.DataFrame:
    """Means over the scenes of each way, and how the method differs from independent images.

    Args:
        found: The experiment.
        level: Share of such intervals that hold the true mean, between 0 and 1.
        seed: Of the bootstrap, over scenes.

    Returns:
        A row for each way and measure: ``mean`` with its ends, and the paired ``difference`` to
        independent images with its ends; NaN with fewer than five scenes.
    """
    rows, first = [], found.table[found.table["way"] == "none"]
    for way, part in found.table.groupby("way", sort=False):
        for measure in found.measures:
            values = part[measure].to_numpy(float)
            told: dict[str, Any] = {"way": way, "measure": measure}
            if np.isfinite(values).any():
                mean = bootstrap(values, level=level, seed=seed)
                told |= {"mean": mean.mean, "low": mean.low, "high": mean.high}
            before = first[measure].to_numpy(float)
            if way != "none" and (np.isfinite(before) & np.isfinite(values)).any():
                gain = paired(before, values, level=level, seed=seed).interval
                told |= {
                    "difference": gain.mean,
                    "difference_low": gain.low,
                    "difference_high": gain.high,
                }
            rows.append(told)
    return pd.DataFrame(rows)


def figures_of(found: Result) -> Iterator[tuple[str, Any]]:
    """All figures by name: the sheet, masks, each image, attention between images, spectra."""
    scenes, ways = found.recipe["scenes"], found.recipe["ways"]
    done = [(way, scene, found.cases[way, scene]) for way in ways for scene in scenes]
    if not done:
        return
    label = {"none": "independent"}
    images = [each.images[0] for *_, each in done]
    captions = [f"{label.get(way, way)}: {scene}" for way, scene, _ in done]
    how = {"columns": len(scenes), "scale": max(1, SIDE // images[0].shape[1])}
    yield "sheet-scenes", contact_sheet(images, captions, **how)
    masked = [_masked(each) for *_, each in done]
    yield "sheet-subjects", contact_sheet(masked, captions, **how)
    last = [each for way, _, each in done if way == ways[-1]]
    if all("between" in each.arrays for each in last):
        yield "attention", _attention(scenes, found.recipe["anchors"], last)
        yield "layers", _by_layer(last)
    yield from _spectra(found, last)
    for number, (way, _, each) in enumerate(done):
        yield f"image-{way}-{number % len(scenes):02}", Image.fromarray(each.arrays["image"])


def page_of(found: Result, figures: Mapping[str, Any]) -> str:
    """The report as one HTML file.

    Args:
        found: The experiment.
        figures: As `figures_of` gives them, or their PNGs.
    """
    said = {
        "sheet-scenes": "A row for each way, a column for each scene.",
        "sheet-subjects": "Where each image attends to its subject: the rest is dimmed.",
        "attention": "Which image looks at which: the share of a row's attention that goes to the "
        "subject and to the background of each anchor; mean over layers, heads and steps.",
        "layers": "The same by layer, mean over images.",
    }
    plates = {name: Plate(figures[name], text) for name, text in said.items() if name in figures}
    spectra = {
        name: Plate(
            each,
            "Singular values of the first anchor in the middle step, as a share of the largest. "
            "Where a filter cuts, a dot marks the last that is kept.",
        )
        for name, each in figures.items()
        if name.startswith("spectrum")
    }
    pictures = [name for name in plates if name.startswith("sheet")]
    sections = [
        Section("What it looks like", plates={name: plates[name] for name in pictures}),
        Section(
            "Which image looks at which",
            plates={name: each for name, each in plates.items() if name not in pictures},
        ),
        Section("Spectra of keys and values", plates=spectra),
        Section("Each image", tables={"table": found.table}),
    ]
    recipe = found.recipe
    return report(
        f"{recipe['subject']} in {len(recipe['scenes'])} scenes",
        [each for each in sections if each.plates or each.tables],
        summary=found.summary(),
        lead=[
            f"The first {recipe['anchors']} scenes are the anchors, to which the others attend. "
            f"Likeness is the mean cosine to the other scenes of the same way, by "
            f"{recipe['encoder'] or 'no encoder'}; intervals of 95 % are over scenes.",
            *found.notes,
        ],
        recipe={name: recipe[name] for name in ("subject", "ways", "method", "anchors")},
    )


def _masked(done: Done) -> np.ndarray:
    """An image with everything but its subject dimmed."""
    image, mask = done.images[0], done.arrays["mask"].astype(bool)
    size = image.shape[1], image.shape[0]
    plane = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST), bool)
    grey = image.mean(-1, keepdims=True) * 0.5 + 110
    return np.where(plane[..., None], image, grey).clip(0, 255).astype(np.uint8)


def _attention(scenes: Sequence[str], anchors: int, done: Sequence[Done]) -> Any:
    mean = np.stack([each.arrays["between"].mean(0).reshape(-1) for each in done])
    columns = [f"{scenes[at]}:\n{part}" for at in range(anchors) for part in ("subject", "rest")]
    values = xr.DataArray(
        mean, dims=("scene", "anchor"), coords={"scene": list(scenes), "anchor": columns},
        attrs={"units": "share of attention"},
    )  # fmt: skip
    return matrix(values, title="Attention to the anchors")


def _by_layer(done: Sequence[Done]) -> Any:
    layers = done[0].values["between"]
    stacked = np.stack([each.arrays["between"].sum(1) for each in done]).mean(0)
    values = xr.DataArray(
        stacked, dims=("layer", "part"),
        coords={"layer": [_short(name) for name in layers], "part": ["subject", "rest"]},
        attrs={"units": "share of attention"},
    )  # fmt: skip
    return matrix(values, title="Attention to the anchors, by layer")


def _spectra(found: Result, done: Sequence[Done]) -> Iterator[tuple[str, Any]]:
    """A chart of keys and one of values, a line for each layer; the kept number is marked."""
    first = next((each for each in done if "spectrum-key-0" in each.arrays), None)
    if first is None:
        return
    settings = next(iter(found.recipe["method"]), {})
    for what in ("key", "value"):
        lent = first.values["between"] or first.values["spectra"]
        places = [place for place, name in enumerate(first.values["spectra"]) if name in lent]
        names = [_short(first.values["spectra"][place]) for place in places]
        rows = [first.arrays[f"spectrum-{what}-{place}"] for place in places]
        longest = max(len(row) for row in rows)
        padded = np.full((len(rows), longest), np.nan)
        for at, row in enumerate(rows):
            padded[at, : len(row)] = row / max(row[0], 1e-12)
        dims = {"layer": names, "component": np.arange(1, longest + 1)}
        mean = xr.DataArray(padded, dims=("layer", "component"), coords=dims)
        nothing = xr.full_like(mean, np.nan)
        lines = xr.Dataset({"mean": mean, "low": nothing, "high": nothing})
        figure = curves(
            lines,
            "component",
            title=f"Singular values of {what}s",
            across="component",
            up="share of the largest",
        )
        for row, number in zip(padded, _kept(settings, f"{what}s", rows), strict=False):
            figure.axes[0].plot(number, row[number - 1], "o", color="black", ms=4, zorder=5)
        yield f"spectrum-{what}s", figure


def _kept(settings: Mapping[str, Any], what: str, rows: Sequence[np.ndarray]) -> list[int]:
    """How many components of each layer a filter keeps; empty where there is none."""
    if settings.get("method") != "svd-consistency":
        return []
    import torch

    from regard.methods.spectrum import SpectrumFilter
    from regard.methods.svd_consistency import USUAL

    how = SpectrumFilter(**(settings.get(what, USUAL) or {}))
    return [int(how.keeps(torch.from_numpy(row)).sum()) for row in rows]


def _short(layer: str) -> str:
    """A layer's path without what all have in common."""
    return (
        layer.replace(".transformer_blocks", "").replace(".attentions", "").removesuffix(".attn1")
    )


CONSIST = Kind("consistency", summary_of, paged(figures_of, page_of), MEASURES)
"""``regard consist``."""
