"""Maps of attention times its gradient: where the model looked for one class."""

from collections.abc import Sequence

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from regard.arguments import whole
from regard.errors import ArgumentError
from regard.explain.layers import (
    Flow,
    Layer,
    Product,
    Query,
    checked_layer,
    chosen,
    layers_in_graph,
    layers_of,
    read_maps,
)
from regard.explain.question import Classes, Model, Pixels, Question, Score, asked


def relevance(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    start_layer: int = 0,
    query: Query = None,
) -> xr.DataArray:
    """Generic attention relevance: what each patch adds to the class through all layers, >= 0.

    The layers' attention, weighted by its gradient where both agree in sign, is added up along the
    residual stream. It is relevance, not attention: rows do not sum to 1.

    Args:
        model: An image classifier of transformers, or any module the tap knows if ``score`` is
            given.
        pixels: [sample, channel, y, x], as the model takes them.
        target: The class, one an image; the predicted ones if left out.
        score: A number for each image in place of a logit.
        start_layer: The first layer of the sum. Much-copied code for CLIP takes the last alone.
        query: 'cls', 'mean' of all patches, 'probe' or a patch (row, column); None for what the
            model reads its answer from.

    Returns:
        A map for each image over patches.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such query.
        NothingObserved: the model has no attention among image tokens.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
        >>> config = ViTConfig(image_size=4, patch_size=2, num_hidden_layers=2, **sizes)
        >>> model = ViTForImageClassification(config).eval()
        >>> bool((relevance(model, torch.ones(1, 3, 4, 4), torch.tensor([1])) >= 0).all())
        True

    Source:
        Chefer, Gur and Wolf (2021), "Generic Attention-model Explainability for Interpreting
        Bi-Modal and Encoder-Decoder Transformers", arXiv 2103.15679, section 3, rules 5 and 6.
    """
    question = asked("relevance", model, pixels, target, score)

    def of(images: Tensor) -> Product:
        layers, answer = layers_in_graph(question, images)
        gradients = gradients_of(answer, [layer.weights for layer in layers])
        if not 0 <= start_layer < len(layers):
            raise ArgumentError(
                f"relevance: start_layer is {start_layer}, and the model has layers "
                f"0..{len(layers) - 1}."
            )
        parts = [
            positive(layer.weights.detach() * gradient)
            for layer, gradient in zip(layers, gradients, strict=True)
        ]
        return added_up(parts[start_layer:]), layers[-1].layout

    options = {"start_layer": start_layer}
    return read_maps(question, of, query, options, unit="relevance", class_agnostic=False)


def attention_gradients(
    model: Model,
    pixels: Pixels,
    target: Classes = None,
    *,
    score: Score | None = None,
    layer: int | str = -1,
    steps: int = 16,
    query: Query = None,
) -> xr.DataArray:
    """Attention attribution: what one layer's weights add to the class as they grow from nothing.

    Integrated gradients of the answer by one layer's attention, from 0 to what it is; of each
    head's the positive part, then the mean.

    Args:
        model: As for `relevance`.
        pixels: [sample, channel, y, x], as the model takes them.
        target: The class, one an image; the predicted ones if left out.
        score: A number for each image in place of a logit.
        layer: Place in running order, -1 the last, a path, or whole names in it.
        steps: Midpoints of the integral; one evaluation each.
        query: As for `relevance`.

    Returns:
        As `relevance`. The attr ``completeness_error`` is the most that any image's integral, over
        all heads and weights, is off from the change of the answer.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: there is no such layer or query.
        NothingObserved: the model has no attention among image tokens.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
        >>> config = ViTConfig(image_size=4, patch_size=2, num_hidden_layers=2, **sizes)
        >>> model = ViTForImageClassification(config).eval()
        >>> heat = attention_gradients(model, torch.ones(1, 3, 4, 4), steps=8)
        >>> heat.attrs["completeness_error"] < 1e-3
        True

    Source:
        Hao et al. (2021), "Self-Attention Attribution: Interpreting Information Interactions
        Inside Transformer", arXiv 2004.11207, section 3. Differs from the paper: the midpoint rule,
        and the mean of the heads' positive parts.
    """
    steps = whole(steps, "steps", "attention_gradients", least=1)
    layer = checked_layer("attention_gradients", layer)
    question = asked("attention_gradients", model, pixels, target, score)
    errors: list[Tensor] = []

    def of(images: Tensor) -> Product:
        one = chosen(question.caller, layers_of(question, images), layer)
        integral = _grown(question, images, one, steps)
        change = (
            _scaled(question, images, one.name, 1.0)[1]
            - (_scaled(question, images, one.name, 0.0)[1])
        )
        errors.append((integral.sum((1, 2, 3)) - change).detach().abs())
        return positive(integral), one.layout

    options = {"layer": layer, "steps": steps}
    heat = read_maps(question, of, query, options, unit="relevance", class_agnostic=False)
    return heat.assign_attrs(completeness_error=float(torch.cat(errors).max()))


def gradients_of(answer: Float[Tensor, " sample"], by: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Of each image's answer, in one pass: images do not meet, so their sum will do."""
    # By grad_outputs, since a sum would not be tracked where gradients are switched off.
    return torch.autograd.grad(answer, by, torch.ones_like(answer))


def positive(product: Tensor) -> Flow:
    """Rule 5: the mean over heads of the positive part, [sample, query, key] in float64."""
    return product.double().clamp(min=0.0).mean(1)


def added_up(parts: list[Flow]) -> Flow:
    """Rule 6: R = R + A R from the identity on; a part that pools reads R at the end.

    Example:
        >>> half = torch.full((1, 2, 2), 0.5)
        >>> added_up([half, half])[0]
        tensor([[2.5000, 1.5000],
                [1.5000, 2.5000]])
    """
    flow = torch.eye(parts[0].shape[-1], dtype=parts[0].dtype, device=parts[0].device)
    for part in parts:
        square = part.shape[-2] == part.shape[-1]
        flow = flow + part @ flow if square else part @ flow
    return flow.expand(len(parts[0]), -1, -1)


def _grown(question: Question, images: Tensor, layer: Layer, steps: int) -> Tensor:
    """A times the mean of dy/d(tA) at the midpoints of t in 0..1."""
    total = torch.zeros_like(layer.weights)
    for step in range(steps):
        weights, answer = _scaled(question, images, layer.name, (step + 0.5) / steps)
        total += gradients_of(answer, [weights])[0]
    return layer.weights * total / steps


def _scaled(question: Question, images: Tensor, name: str, factor: float) -> tuple[Tensor, Tensor]:
    """The weights of a layer times a factor, and the answer with them."""

    def change(at: str, weights: Tensor) -> Tensor:
        return (weights * factor).detach().requires_grad_() if at == name else weights

    layers, answer = layers_in_graph(question, images, change)
    return chosen(question.caller, layers, name).weights, answer
