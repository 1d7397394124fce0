"""Part 7: does the prediction depend on the patches that explanations highlight?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from regard.axes import SAMPLE
from regard.experiments.studies.budget import GRADIENTS, METHODS
from regard.experiments.studies.examples import names_of
from regard.experiments.studies.finding import Finding
from regard.experiments.studies.hypotheses import BETTER_THAN_CHANCE, ROLLOUT_BETTER
from regard.experiments.studies.setting import Setting
from regard.experiments.studies.statistics import spread_of, told
from regard.explain import area, deletion, explanations, insertion
from regard.stats.estimates import mean_of
from regard.stats.means import holm
from regard.views.curves import curves, dots
from regard.views.mosaic import mosaic
from regard.views.report import Plate, Section

METHOD = "explanation"
CHANCE = "chance"
"""The mean of random orders of the patches."""

CURVES = {"deletion": deletion, "insertion": insertion}


@dataclass(frozen=True, eq=False)
class Tested:
    """Maps of some images, and the class probability as patches are deleted or inserted.

    Attributes:
        numbers: Of the images.
        maps: Over sample, y and x, by explanation.
        curves: ``deletion`` and ``insertion``: the class probability over explanation (the last
            is 'chance'), sample and share.
    """

    numbers: np.ndarray
    maps: dict[str, xr.DataArray]
    curves: xr.Dataset

    @property
    def gaps(self) -> xr.Dataset:
        """How much better than chance: deletion falls, insertion rises earlier; over sample."""
        areas = self.areas
        chance = areas.sel({METHOD: CHANCE}, drop=True)
        return xr.Dataset(
            {"deletion": chance["deletion"] - areas["deletion"],
             "insertion": areas["insertion"] - chance["insertion"]}
        )  # fmt: skip

    @property
    def areas(self) -> xr.Dataset:
        """The areas under the curves, over explanation and sample."""
        return self.curves.map(area)


def read_tested(setting: Setting) -> Tested:
    """Explain some images by every method, and delete and insert patches in that order."""
    budget, model = setting.budget, setting.vision.model
    numbers = setting.sample(budget.explained)
    costs = {
        "integrated_gradients": GRADIENTS,
        "occlusion": setting.shape.grid[0] * setting.shape.grid[1],
    }
    pixels, maps = setting.pixels(numbers), {}
    for name in METHODS:
        setting.meter.begin(f"explaining {len(numbers)} images by {name}")
        maps[name] = explanations.get(name)(model, pixels)
        setting.meter.add(costs.get(name, 0) * len(numbers))
    rng = np.random.default_rng(budget.seed)
    like = maps[METHODS[0]]
    orders = [like.copy(data=rng.random(like.shape)) for _ in range(budget.orders)]

    def answers(heat: xr.DataArray) -> xr.Dataset:
        found = {kind: curve(model, pixels, heat, steps=budget.steps)
                 for kind, curve in CURVES.items()}  # fmt: skip
        setting.meter.add(2 * (budget.steps + 1) * len(numbers))
        return xr.Dataset(found)

    parts = []
    for name, heat in maps.items():
        setting.meter.begin(f"deleting patches in the order of {name}")
        parts.append(answers(heat))
    setting.meter.begin("deleting patches in random orders")
    parts.append(xr.concat([answers(each) for each in orders], "order").mean("order"))
    names = xr.DataArray([*maps, CHANCE], dims=METHOD, name=METHOD)
    return Tested(numbers, maps, xr.concat(parts, names))


def part(setting: Setting, tested: Tested) -> Section:
    """The part of the report."""
    table = faith_table(tested)
    numbers = tested.numbers[: len(setting.data.names)]
    best = table.loc[table["deletion_gap"].idxmax(), METHOD]
    text = (
        f"{len(tested.numbers)} images are explained by {len(METHODS)} methods. Patches are "
        f"blurred, the highest first, and the probability of the predicted class is recorded "
        f"(deletion: the lower its area the better), or restored in a blurred image "
        f"(insertion: the higher the better). A gap is how much better that is than the mean of "
        f"{setting.budget.orders} random orders of the same image; p is Holm-adjusted over "
        f"all rows.",
        f"By deletion the most faithful is {best}. Attention and rollout are the same for every "
        f"class: they do not depend on the prediction.",
    )
    plates = {
        "faith-gaps": Plate(
            dots(table, METHOD, "deletion_gap", at=0.0, title="Better than random orders",
                 across="deletion gap: area of random orders minus its own"),
            "The deletion gap of each explanation, with 95 % intervals over images.",
        ),
        "faith-deletion": Plate(
            curves(_curve(tested, "deletion"), "share", title="Deletion",
                   across="share of patches deleted", up="probability of the predicted class"),
            "Class probability as patches are deleted, the highest first: an early fall is good.",
        ),
        "faith-insertion": Plate(
            curves(_curve(tested, "insertion"), "share", title="Insertion",
                   across="share of patches inserted", up="probability of the predicted class"),
            "Class probability as patches are inserted, the highest first: an early rise is good.",
        ),
        "faith-maps": Plate(
            mosaic([[tested.maps[name].isel({SAMPLE: n}).drop_vars("prefix_mass", errors="ignore")
                     for name in METHODS] for n in range(len(numbers))],
                   images=list(setting.data.images[numbers]), rows=names_of(setting, numbers),
                   columns=[name.replace("_", "\n") for name in METHODS], own=True),
            "The maps of all explanations, each on its own scale from its lowest to its highest "
            "value, as their units differ.",
        ),
    }  # fmt: skip
    return Section("Can the maps be trusted?", text, {"faithfulness": table}, plates)


def faith_table(tested: Tested) -> pd.DataFrame:
    """One row per explanation: areas and gaps with intervals, p against chance."""
    areas, gaps, rows = tested.areas, tested.gaps, []
    for name, heat in tested.maps.items():
        row: dict[str, object] = {
            METHOD: name,
            "class_agnostic": bool(heat.attrs.get("class_agnostic", False)),
        }
        for kind in CURVES:
            row[kind] = float(areas[kind].sel({METHOD: name}).mean())
            gap = mean_of(gaps[kind].sel({METHOD: name}).values)
            row |= {f"{kind}_gap": gap.value, f"{kind}_gap_low": gap.low,
                    f"{kind}_gap_high": gap.high, f"{kind}_p": gap.p}  # fmt: skip
        row["completeness_error"] = float(heat.attrs.get("completeness_error", np.nan))
        rows.append(row)
    table = pd.DataFrame(rows)
    adjusted = holm(np.concatenate([table[f"{kind}_p"] for kind in CURVES])).reshape(
        len(CURVES), -1
    )
    for kind, p in zip(CURVES, adjusted, strict=True):
        table[f"{kind}_p"] = p
    return table.rename(columns={f"{kind}_p": f"{kind}_p_holm" for kind in CURVES})


def findings(tested: Tested) -> list[Finding]:
    """Whether attention beats chance, and rollout beats attention, by deletion."""
    areas = tested.areas["deletion"]
    of = {str(name): areas.sel({METHOD: name}) for name in areas[METHOD].values}
    means = {name: told(spread_of(values.drop_vars(METHOD))) for name, values in of.items()}
    better = (of["attention"] - of["rollout"]).values
    return [
        Finding(
            BETTER_THAN_CHANCE, mean_of((of[CHANCE] - of["attention"]).values), "images",
            f"The area under deletion is {means['attention']} by the last layer's attention and "
            f"{means[CHANCE]} by random orders; the lower the better.",
        ),
        Finding(
            ROLLOUT_BETTER, mean_of(better), "images",
            f"The area under deletion is {means['rollout']} by rollout and {means['attention']} by "
            f"the last layer's attention; rollout is better in {np.mean(better > 0):.0%} of "
            f"{len(better)} images.",
        ),
    ]  # fmt: skip


def _curve(tested: Tested, kind: str) -> xr.Dataset:
    return spread_of(tested.curves[kind])
