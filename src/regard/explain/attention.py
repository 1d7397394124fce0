"""Maps made of attention alone: they say where the model looked, not for which class."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from regard.arguments import indices
from regard.axes import HEAD, KEY, QUERY, SAMPLE, X, Y
from regard.errors import ArgumentError
from regard.explain.layers import (
    Layer,
    Product,
    Query,
    checked_layer,
    chosen,
    layers_of,
    read_maps,
)
from regard.explain.question import Classes, Model, Pixels, Question, Score, asked
from regard.measures.flow import rollout as flow_of_layers


def attention(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    layer: int | str = -1,
    heads: Sequence[int] | None = None,
    query: Query = None,
) -> xr.DataArray:
    """Where one layer looked for its answer, in shares of attention: 0 nowhere, 1 only there.

    Args:
        model: An image classifier of transformers, or any module the tap knows if ``score`` is
            given.
        pixels: [sample, channel, y, x], as the model takes them.
        target: Changes nothing: attention is the same for all classes.
        score: Runs the model for images, in place of its logits.
        layer: Place in running order, -1 the last, a path, or whole names in it.
        heads: Which heads to average; all if left out.
        query: Who looks: 'cls', 'mean' of all patches, 'probe' or a patch (row, column); None for
            what the model reads its answer from.

    Returns:
        A map for each image over patches, in shares of attention, not renormalised; the coordinate
        ``prefix_mass`` is the share that went to tokens that are no patches.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such layer or query.
        NothingObserved: the model has no attention among image tokens.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
        >>> config = ViTConfig(image_size=4, patch_size=2, num_hidden_layers=2, **sizes)
        >>> model = ViTForImageClassification(config).eval()
        >>> heat = attention(model, torch.zeros(1, 3, 4, 4))
        >>> round(heat.sum().item() + heat.prefix_mass.item(), 5)
        1.0

    Source:
        Caron et al. (2021), "Emerging Properties in Self-Supervised Vision Transformers", section
        4.2.2 (attention of the class token in the last layer); here the mean over heads.
    """
    layer, heads = checked_layer("attention", layer), _checked_heads("attention", heads)
    question = asked("attention", model, pixels, target, score)

    def of(layers: list[Layer]) -> Product:
        one = chosen("attention", layers, layer)
        return _heads("attention", one, heads).mean(1), one.layout

    options = {"layer": layer, "heads": heads}
    return _of_shares(question, of, query, options)


def rollout(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    fusion: str = "mean",
    residual: float = 0.5,
    discard: float = 0.0,
    start_layer: int = 0,
    query: Query = None,
) -> xr.DataArray:
    """Attention followed through all layers back to the patches, in shares: 0 nothing, 1 all.

    The product over layers of the fused heads, each mixed with the identity for the residual
    connection, every row summing to 1. It is the same for all classes.

    Args:
        model: As for `attention`.
        pixels: [sample, channel, y, x], as the model takes them.
        target: Changes nothing.
        score: As for `attention`.
        fusion: How heads become one: 'mean', 'max' or 'min'.
        residual: The share that passes each layer by, through the residual connection.
        discard: The share of the least weights of each layer that is set to 0; never those of the
            class token and registers as keys.
        start_layer: The first layer of the product; -1 is the last alone.
        query: As for `attention`.

    Returns:
        As `attention`.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such query.
        NothingObserved: the model has no attention among image tokens.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
        >>> config = ViTConfig(image_size=4, patch_size=2, num_hidden_layers=2, **sizes)
        >>> model = ViTForImageClassification(config).eval()
        >>> rollout(model, torch.zeros(2, 3, 4, 4)).shape
        (2, 2, 2)

    Source:
        Abnar and Zuidema (2020), "Quantifying Attention Flow in Transformers", arXiv 2005.00928,
        section 3; the product is `regard.measures.flow.rollout`.
    """
    question = asked("rollout", model, pixels, target, score)
    options: dict[str, Any] = {
        "fusion": fusion,
        "residual": residual,
        "discard": discard,
        "start_layer": start_layer,
    }

    def of(layers: list[Layer]) -> Product:
        return _rolled(layers, **options)

    return _of_shares(question, of, query, options)


def _of_shares(
    question: Question,
    of: Callable[[list[Layer]], Product],
    query: Query,
    options: dict[str, Any],
) -> xr.DataArray:
    heat = read_maps(
        question,
        lambda images: of(layers_of(question, images)),
        query,
        options,
        unit="attention weight",
        class_agnostic=True,
    )
    return heat.assign_coords(prefix_mass=(SAMPLE, 1.0 - heat.sum((Y, X)).values))


def _checked_heads(caller: str, heads: Any) -> list[int] | None:
    found = indices(heads, "heads", caller)
    if isinstance(found, slice):
        raise ArgumentError(f"{caller}: heads is {heads} and must be numbers, such as [0, 1].")
    return found


def _heads(caller: str, layer: Layer, heads: Sequence[int] | None) -> Tensor:
    if heads is None:
        return layer.weights
    there = layer.weights.shape[1]
    if not heads or min(heads) < -there or max(heads) >= there:
        raise ArgumentError(
            f"{caller}: heads are {list(heads)} and must be some of 0..{there - 1}, as many as "
            f"{layer.name} has."
        )
    return layer.weights[:, list(heads)]


def _rolled(layers: list[Layer], **options: Any) -> Product:
    """The product over the layers; one that pools reads it with its probe at the end."""
    mixing = [
        xr.DataArray(layer.weights.double().cpu().numpy(), dims=(SAMPLE, HEAD, QUERY, KEY))
        for layer in layers
        if not layer.pools
    ]
    prefix = layers[0].layout.keys_of("image").start
    flow = torch.from_numpy(flow_of_layers(mixing, prefix=prefix, **options).values)
    last = layers[-1]
    if last.pools:
        flow = last.weights.double().cpu().mean(1) @ flow
    return flow, last.layout
