"""One row per explanation: does the answer depend on the patches that its maps point at?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from regard.arguments import whole
from regard.errors import ArgumentError
from regard.explain.curves import answer_curve, area
from regard.explain.named import Methods, by_name
from regard.explain.question import Classes, Model, Pixels, Question, Score, asked, predictions


def faithfulness(
    model: Model,
    pixels: Pixels,
    methods: Methods,
    target: Classes = None,
    *,
    labels: Tensor | None = None,
    score: Score | None = None,
    substrate: str = "blur",
    steps: int | None = 20,
    orders: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per explanation: do its maps find what the answer depends on, better than chance?

    Args:
        model: As for `deletion`.
        pixels: [sample, channel, y, x], as the model takes them.
        methods: Names of explanations, or functions by a name of one's own.
        target: The class, one an image; the predicted ones if left out.
        labels: The true class of each image; separates right answers from wrong ones.
        score: A number for each image in place of a class probability.
        substrate: What is put in place of a patch, as for `deletion`.
        steps: Steps of each curve; None takes one patch at a time.
        orders: Random orders of the patches, for the band of chance; 10 or more.
        seed: Of the random orders.

    Returns:
        One row per explanation, means over images. For ``deletion`` and ``insertion`` each: the
        area, ``_normalised`` (by the answer to the whole image; NaN where that is not above 0),
        ``_random`` and ``_random_sd`` (mean and standard deviation over random orders), ``_gap``
        (how much better than random: positive is good for both), and with labels ``_gap_right``
        and ``_gap_wrong``. Also class_agnostic, completeness_error and images. ``attrs`` has the
        settings.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such explanation.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> pixels = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]])
        >>> def total(pixels): return pixels.sum((1, 2, 3))
        >>> def own(model, pixels, target=None, *, score=None):
        ...     return xr.DataArray(pixels[:, 0].numpy(), dims=["sample", "y", "x"])
        >>> settings = {"score": total, "substrate": "zero", "steps": None}
        >>> table = faithfulness(nn.Identity().eval(), pixels, {"own": own}, **settings)
        >>> [round(float(table[name][0]), 3) for name in ("deletion", "insertion")]
        [0.375, 0.625]

    Source:
        Petsiuk et al. (2018), as for `deletion`; the band of random orders and the split are ours.
    """
    orders = whole(orders, "orders", "faithfulness", least=10)
    seed = whole(seed, "seed", "faithfulness", least=0)
    question = asked("faithfulness", model, pixels, target, score)
    groups = _groups(question, labels)
    maps = {
        name: explain(question.model, question.pixels, question.target, score=score)
        for name, explain in by_name(methods).items()
    }
    first = next(iter(maps.values()))
    answers = question.answers(question.pixels, probability=score is None).cpu().double().numpy()
    band = {
        inserting: _random_areas(question, first, orders, seed, substrate, steps, inserting)
        for inserting in (False, True)
    }

    def row(name: str, heat: xr.DataArray) -> dict[str, Any]:
        about: dict[str, Any] = {
            "explanation": name,
            "class_agnostic": heat.attrs.get("class_agnostic"),
            "completeness_error": heat.attrs.get("completeness_error", np.nan),
            "images": len(question.pixels),
        }
        how: dict[str, Any] = {"substrate": substrate, "steps": steps}
        for inserting in (False, True):
            areas = area(answer_curve(question, heat, **how, inserting=inserting)).values
            about |= _columns(areas, answers, band[inserting], groups, inserting)
        return about

    table = pd.DataFrame([row(name, heat) for name, heat in maps.items()])
    table.attrs = {"substrate": substrate, "steps": steps, "orders": orders, "seed": seed}
    return table


def _columns(
    areas: NDArray[np.float64],
    whole: NDArray[np.float64],
    random: NDArray[np.float64],
    groups: Mapping[str, NDArray[np.bool_]],
    inserting: bool,
) -> dict[str, float]:
    name = "insertion" if inserting else "deletion"
    sign = 1 if inserting else -1
    gap = sign * (areas - random.mean(0))
    share = areas / np.where(whole > 0, whole, np.nan)
    known = np.isfinite(share)
    return {
        name: areas.mean(),
        f"{name}_normalised": share[known].mean() if known.any() else np.nan,
        f"{name}_random": random.mean(),
        f"{name}_random_sd": random.mean(1).std(ddof=1),
        f"{name}_gap": gap.mean(),
        **{
            f"{name}_gap_{group}": gap[chosen].mean() if chosen.any() else np.nan
            for group, chosen in groups.items()
        },
    }


def _groups(question: Question, labels: Tensor | None) -> dict[str, NDArray[np.bool_]]:
    if labels is None:
        return {}
    if question.target is None or labels.shape != question.target.shape:
        raise ArgumentError(
            f"{question.caller}: labels are {tuple(labels.shape)} and must be the true class of "
            f"each of the {len(question.pixels)} images; with score there are no classes."
        )
    right = (predictions(question.model, question.pixels).cpu() == labels.cpu()).numpy()
    return {"right": right, "wrong": ~right}


def _random_areas(
    question: Question,
    like: xr.DataArray,
    orders: int,
    seed: int,
    substrate: str,
    steps: int | None,
    inserting: bool,
) -> Float[NDArray, "order sample"]:
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(orders):
        heat = like.copy(data=rng.random(like.shape))
        curve = answer_curve(question, heat, substrate=substrate, steps=steps, inserting=inserting)
        areas.append(area(curve).values)
    return np.stack(areas)
