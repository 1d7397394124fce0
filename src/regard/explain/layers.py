"""The attention of an image transformer, layer by layer, and how to read a map from a product."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from regard.arguments import pair, whole
from regard.errors import ArgumentError, NothingObserved
from regard.explain.maps import labelled
from regard.explain.question import Question
from regard.layers import LayerInfo, one_layer
from regard.tap import AttentionCall, Segment, Tap, TokenLayout

IMAGES = 16
"""Images at a time where the maps of all layers are kept: 16 of ViT-B/16 take 360 MB."""

Query = str | tuple[int, int] | None
"""Who looks: 'cls', 'mean', 'probe' or a patch (row, column); None for what the model reads."""

Weights = Float[Tensor, "sample head query key"]
Flow = Float[Tensor, "sample query key"]
Product = tuple[Flow, TokenLayout]
"""What each query has of each input token, and what both are."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The attention of one layer among image tokens.

    Attributes:
        name: Dotted path.
        weights: Rows sum to 1 over the keys.
        layout: What queries and keys are.
    """

    name: str
    weights: Weights
    layout: TokenLayout

    @property
    def pools(self) -> bool:
        """Whether learned queries read the image here, instead of image tokens each other."""
        return self.weights.shape[-2] != self.weights.shape[-1]


@torch.no_grad()
def layers_of(question: Question, images: Tensor) -> list[Layer]:
    """The layers in running order, as the model computes them.

    Raises:
        ArgumentError: the model's layout is unknown, or it was evaluated twice.
        NothingObserved: the model has no attention among image tokens.
    """
    seen: list[Layer] = []

    def look(call: AttentionCall) -> None:
        if among_image_tokens(call, question.caller):
            seen.append(Layer(_name(call), call.probs(), call.known_layout(question.caller)))

    with Tap(question.model, observe=[look]):
        question.answer(question.pixels[images], images)
    return _checked(question, seen)


def layers_in_graph(
    question: Question,
    images: Tensor,
    change: Callable[[str, Tensor], Tensor] = lambda name, weights: weights,
) -> tuple[list[Layer], Float[Tensor, " sample"]]:
    """The layers as tensors that the answer can be differentiated by, and the answer.

    The softmax is explicit (eager) here, since a fused kernel shows no weights.

    Args:
        question: What is asked.
        images: Which of its images.
        change: What to do to the weights of a layer before they are used; gets its name.

    Returns:
        The layers in running order, and one number an image.

    Raises:
        ArgumentError: the model's layout is unknown, or it was evaluated twice.
        NothingObserved: the model has no attention among image tokens.
    """
    seen: list[Layer] = []

    def edit(call: AttentionCall) -> None:
        if not among_image_tokens(call, question.caller):
            return

        def keep(weights: Tensor) -> Tensor:
            # A leaf where nothing before it is tracked, so that frozen models can be explained.
            used = weights if weights.requires_grad else weights.detach().requires_grad_()
            used = change(_name(call), used)
            seen.append(Layer(_name(call), used, call.known_layout(question.caller)))
            return used

        call.map_probs(keep)

    with torch.enable_grad(), Tap(question.model, edit=[edit]):
        answer = question.answer(question.pixels[images], images)
    return _checked(question, seen), answer


def among_image_tokens(call: AttentionCall, caller: str) -> bool:
    """Whether image tokens, or a probe that pools them, attend to image tokens."""
    layout = call.known_layout(caller)
    return any(layout.has(query=name, key="image") for name in ("image", "probe"))


def chosen(caller: str, layers: Sequence[Layer], which: Any) -> Layer:
    """One layer, as `regard.layers` has it called: by its path, whole names in it or its number.

    Raises:
        ArgumentError: there is no such place, or several layers are called so.
        UnknownName: no layer is called so.
    """
    there = [_info(layer) for layer in layers]
    return layers[there.index(one_layer(there, which, caller=caller))]


def checked_layer(caller: str, which: Any) -> str | int:
    """What was said of one layer, before the model runs.

    Raises:
        ArgumentError: it is neither a name nor a whole number.
    """
    if isinstance(which, str):
        return which
    return whole(which, "layer", caller, cure="Or give the path of a layer, or names in it.")


def checked_query(caller: str, query: Any) -> Query:
    """Who looks, before the model runs.

    Raises:
        ArgumentError: it is neither a name nor the row and column of a patch.
    """
    if query is None or isinstance(query, str):
        return query
    return pair(query, "query", caller, least=0, cure="Or give a name, such as 'cls' or 'mean'.")


def _info(layer: Layer) -> LayerInfo:
    image = layer.layout.keys_of("image").grid
    grid = "" if image is None else f"{image[0]}x{image[1]}"
    return LayerInfo(layer.name, "pool" if layer.pools else "self", "", grid)


def read_maps(
    question: Question,
    product: Callable[[Tensor], Product],
    query: Query,
    options: Mapping[str, Any],
    *,
    unit: str,
    class_agnostic: bool,
) -> xr.DataArray:
    """A map for each image, read from the product over the layers, some images at a time.

    Args:
        question: What is asked.
        product: From the numbers of some images to their product.
        query: Who looks.
        options: What the product was made with, for the attrs.
        unit: Of the map.
        class_agnostic: Whether it is the same for all classes.

    Returns:
        sample, y, x; the attr ``readout`` says who looks.
    """
    query = checked_query(question.caller, query)
    parts, read_from = [], ""
    for images in torch.arange(len(question.pixels)).split(IMAGES):
        flow, layout = product(images)
        parts.append(readout(question.caller, flow, layout, query))
        read_from = reader(layout) if query is None else str(query)
    return labelled(
        torch.cat(parts),
        question.caller,
        unit=unit,
        class_agnostic=class_agnostic,
        options={**options, "query": query},
        readout=read_from,
    )


def readout(
    caller: str, flow: Flow, layout: TokenLayout, query: Query
) -> Float[Tensor, "sample y x"]:
    """The row of one query, or the mean of all patches', over the patches.

    Args:
        caller: The function's name, for messages.
        flow: What each query has of each input token.
        layout: The queries of the last layer, and the input tokens as keys.
        query: Who looks; None takes the probe, the class token or the mean, as the model has them.

    Returns:
        A map for each image.

    Raises:
        UnknownName: the model has no such query.
        ArgumentError: there is no such patch, or the image tokens have no grid.
    """
    image = layout.keys_of("image")
    if image.grid is None:
        raise ArgumentError(f"{caller}: the {len(image)} image tokens have no grid.")
    rows = flow[:, _rows(caller, layout, query)].mean(1)
    return rows[:, image.slice].unflatten(-1, image.grid)


def reader(layout: TokenLayout) -> str:
    """What the model reads its answer from: 'probe', 'cls' or, with neither, 'mean'."""
    names = {segment.name for segment in layout.queries}
    return next((name for name in ("probe", "cls") if name in names), "mean")


def _rows(caller: str, layout: TokenLayout, query: Query) -> slice:
    name = reader(layout) if query is None else query
    if isinstance(name, str):
        return layout.queries_of("image" if name == "mean" else name).slice
    image: Segment = layout.queries_of("image")
    high, wide = image.grid or (0, 0)
    row, column = name
    if not (0 <= row < high and 0 <= column < wide):
        raise ArgumentError(
            f"{caller}: query is patch ({row}, {column}), and the grid has rows 0..{high - 1} and "
            f"columns 0..{wide - 1}."
        )
    start = image.start + row * wide + column
    return slice(start, start + 1)


def _name(call: AttentionCall) -> str:
    return call.layer if call.index == 0 else f"{call.layer}#{call.index}"


def _checked(question: Question, seen: list[Layer]) -> list[Layer]:
    if not seen:
        raise NothingObserved(
            f"{question.caller}: {type(question.model).__name__} has no attention among image "
            f"tokens. integrated_gradients and occlusion need none."
        )
    if len({layer.name for layer in seen}) < len(seen):
        raise ArgumentError(
            f"{question.caller}: the model ran more than once for one answer. Let score run it "
            f"once for each batch of images."
        )
    return seen
