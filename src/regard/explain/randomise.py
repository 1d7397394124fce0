"""Sanity checks: an explanation of a model should change when the model does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor, nn

from regard.arguments import whole
from regard.errors import ArgumentError
from regard.explain.alike import complexity, spearman, ssim
from regard.explain.baselines import edges_of
from regard.explain.named import Methods, by_name
from regard.explain.question import Classes, Model, Pixels, Score, asked, logits_of, module_of
from regard.layers import LayerInfo, LayerQuery, chosen
from regard.layers import parts_of as names_or_numbers


def parts_of(model: Model) -> list[str]:
    """The parts of a model that hold weights, from the input to the output.

    A part is a block of a numbered list, or a named part beside it.

    Example:
        >>> parts_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))
        ['0', '2']
    """
    return list(
        dict.fromkeys(_part(name) for name, _ in module_of("parts_of", model).named_parameters())
    )


def _wanted(model: nn.Module, layers: LayerQuery, caller: str) -> list[str]:
    """Parts in the order in which they are named."""
    known = [LayerInfo(name) for name in parts_of(model)]
    named = names_or_numbers(layers, caller) or []
    found = [
        part.path for each in named for part in chosen(known, each, caller=caller, noun="part")
    ]
    return list(dict.fromkeys(found))


@contextmanager
def randomise(model: Model, seed: int = 0, *, layers: LayerQuery = None) -> Iterator[nn.Module]:
    """Put the weights in random order while the block runs; afterwards they are as they were.

    Each tensor of weights is shuffled in itself, so that its mean and spread stay.

    Args:
        model: Any module, or the name or folder of a vision model.
        seed: Of the order.
        layers: Which parts, as `parts_of` names them, by whole names in them or by number; all if
            left out.

    Yields:
        The model.

    Raises:
        UnknownName: the model has no such part.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> before = model.weight.detach().clone()
        >>> with randomise(model):
        ...     shuffled = bool((model.weight.sort()[0] == before.sort()[0]).all())
        >>> shuffled, torch.equal(model.weight, before)
        (True, True)

    Source:
        Adebayo et al. (2018), "Sanity Checks for Saliency Maps", arXiv 1810.03292, section 3.1.
        Differs from the paper: weights are shuffled, not sampled again, so that their scale stays.
    """
    model = module_of("randomise", model)
    wanted = parts_of(model) if layers is None else _wanted(model, layers, "randomise")
    seed = whole(seed, "seed", "randomise", least=0)
    generator = torch.Generator().manual_seed(seed)
    saved: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for name, weights in model.named_parameters():
            # Drawn for all, so that a part is shuffled alike whichever others are.
            order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            if _part(name) in wanted:
                saved.append((weights, weights.detach().clone()))
                with torch.no_grad():
                    weights.copy_(weights.flatten()[order].view_as(weights))
        yield model
    finally:
        with torch.no_grad():
            for weights, before in saved:
                weights.copy_(before)


def model_randomisation(
    model: Model,
    pixels: Pixels,
    methods: Methods,
    target: Classes = None,
    *,
    score: Score | None = None,
    cascade: bool = True,
    layers: LayerQuery = None,
    seed: int = 0,
) -> pd.DataFrame:
    """How alike maps stay while the model loses its weights, from the output down: 1 the same.

    A map that stays alike does not show what the model has learned.

    Args:
        model: An image classifier of transformers, the name or folder of one, what `regard.load`
            gives, or any module if ``score`` is given.
        pixels: [sample, channel, y, x], as the model takes them.
        methods: Names of explanations, or functions by a name of one's own.
        target: The class, one an image; those that the untouched model predicts if left out.
        score: A number for each image in place of a logit.
        cascade: Whether parts above stay shuffled; otherwise one part at a time is.
        layers: The parts in the order in which they are shuffled; if left out all, output first.
        seed: Of the shuffling.

    Returns:
        One row for each explanation and part, means over images: explanation, part, ``spearman``
        and ``ssim`` of absolute values to those of the untouched model, ``complexity_rise`` (of
        the histogram entropy, as a share of it: the efficient test, positive is good), and
        ``edges``, the Spearman correlation of the untouched map with the image's edges. NaN where
        a map is even.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such explanation or part.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).eval()
        >>> pixels = torch.rand(1, 1, 4, 4)
        >>> def score(pixels): return model(pixels)[:, 0]
        >>> def alike(model, pixels, target=None, *, score=None):
        ...     return xr.DataArray(pixels[:, 0].numpy(), dims=["sample", "y", "x"])
        >>> table = model_randomisation(model, pixels, {"alike": alike}, score=score)
        >>> [(part, round(rank, 6)) for part, rank in table[["part", "spearman"]].values]
        [('1', 1.0)]

    Source:
        Adebayo et al. (2018), arXiv 1810.03292, section 3.1; Hedström et al. (2023), arXiv
        2401.06465, for the efficient test.
    """
    question = asked("model_randomisation", model, pixels, target, score)
    model = question.model
    named = by_name(methods)
    order = parts_of(model)[::-1] if layers is None else _wanted(model, layers, question.caller)

    def maps() -> dict[str, xr.DataArray]:
        return {
            name: explain(model, question.pixels, question.target, score=score)
            for name, explain in named.items()
        }

    before = maps()
    rows = []
    for place, part in enumerate(order):
        with randomise(model, seed, layers=order[: place + 1] if cascade else [part]):
            after = maps()
        for name, heat in before.items():
            rows.append({"explanation": name, "part": part, **_compared(heat, after[name])})
    table = pd.DataFrame(rows)
    table["edges"] = table["explanation"].map(
        {name: _edge_likeness(question.pixels, heat) for name, heat in before.items()}
    )
    table.attrs = {"cascade": cascade, "seed": seed, "images": len(question.pixels)}
    return table


def class_sensitivity(
    model: Model,
    pixels: Pixels,
    methods: Methods,
    target: Classes = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """How alike the maps of two classes are: 1 for all that cannot separate classes.

    Args:
        model: An image classifier of transformers, or the name or folder of one.
        pixels: [sample, channel, y, x], as the model takes them.
        methods: Names of explanations, or functions by a name of one's own.
        target: The first class, one an image; the predicted ones if left out.
        seed: Of the choice of the other class.

    Returns:
        One row per explanation, means over images: explanation, class_agnostic, ``spearman`` and
        ``ssim`` of absolute values.

    Raises:
        ArgumentError: the model knows fewer than two classes, or an argument is wrong.
        UnknownName: there is no such explanation.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
        >>> config = ViTConfig(image_size=4, patch_size=2, num_hidden_layers=2, **sizes)
        >>> model = ViTForImageClassification(config).eval()
        >>> table = class_sensitivity(model, torch.rand(1, 3, 4, 4), ["rollout"])
        >>> bool(table["class_agnostic"][0]), round(float(table["spearman"][0]), 6)
        (True, 1.0)

    Source:
        Sixt, Granz and Landgraf (2020), "When Explanations Lie: Why Many Modified BP Attributions
        Fail", arXiv 1912.09818, section 4 (random logit).
    """
    question = asked("class_sensitivity", model, pixels, target, None)
    model = question.model
    assert question.target is not None, "a question without a score has a target"
    with torch.no_grad():
        classes = logits_of(model, question.pixels[:1]).shape[-1]
    if classes < 2:
        raise ArgumentError(f"class_sensitivity: the model has {classes} class and needs two.")
    generator = torch.Generator().manual_seed(whole(seed, "seed", "class_sensitivity", least=0))
    shift = torch.randint(1, classes, question.target.shape, generator=generator)
    other = (question.target + shift.to(question.target.device)) % classes
    rows = []
    for name, explain in by_name(methods).items():
        first, second = (explain(model, question.pixels, each) for each in (question.target, other))
        likeness = _compared(first, second)
        rows.append(
            {
                "explanation": name,
                "class_agnostic": first.attrs.get("class_agnostic"),
                "spearman": likeness["spearman"],
                "ssim": likeness["ssim"],
            }
        )
    return pd.DataFrame(rows)


def _part(name: str) -> str:
    """Up to the first number in a path, or at most two names: 'vit.layers.3', 'vit.embeddings'."""
    names = name.split(".")[:-1]
    for place, each in enumerate(names):
        if each.isdigit():
            return ".".join(names[: place + 1])
    return ".".join(names[:2])


def _compared(first: xr.DataArray, second: xr.DataArray) -> dict[str, float]:
    pairs = list(zip(np.abs(first.values), np.abs(second.values), strict=True))

    def mean(of: Callable[[Any, Any], float]) -> float:
        values = np.array([of(one, other) for one, other in pairs])
        known = values[np.isfinite(values)]
        return float(known.mean()) if known.size else float("nan")

    def rise(one: Any, other: Any) -> float:
        before = complexity(one)
        return (complexity(other) - before) / before if before else float("nan")

    return {"spearman": mean(spearman), "ssim": mean(ssim), "complexity_rise": mean(rise)}


def _edge_likeness(pixels: Tensor, heat: xr.DataArray) -> float:
    found = edges_of(pixels, (heat.sizes["y"], heat.sizes["x"])).numpy()
    return _compared(heat, heat.copy(data=found))["spearman"]
