"""Integrated gradients on the tokens of a prompt: which word drives the denoiser, and where."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from regard.arguments import caller, verb
from regard.axes import TOKEN
from regard.errors import ArgumentError
from regard.explain.integrated import integrated
from regard.generation import Request, Sampling, generate
from regard.models.capture import capture
from regard.models.embedding import TextStates
from regard.models.text_to_image import TextToImage
from regard.trace import resize

Read = Callable[[Tensor], Tensor]
"""From what the denoiser predicts, [point, channel, y, x], to one number each, [point]."""


@dataclass(frozen=True, eq=False)
class DenoiserCall:
    """What the denoiser was given in one evaluation, for one image.

    Attributes:
        denoiser: The module.
        inputs: Its inputs with the prompt, by name, each of one row.
        states: The text with the prompt, [token, width].
        empty: The text without, [token, width].
    """

    denoiser: nn.Module
    inputs: dict[str, Any]
    states: Float[Tensor, "token width"]
    empty: Float[Tensor, "token width"]

    def predicted(self, states: Float[Tensor, "point token width"]) -> Tensor:
        """What the denoiser predicts for other texts, [point, channel, y, x]."""
        inputs = _rows(self.inputs, lambda one: one.expand(len(states), *one.shape[1:]))
        inputs["encoder_hidden_states"] = states
        return self.denoiser(**inputs, return_dict=False)[0]


@verb
def word_gradients(
    model: Any,
    prompt: str,
    *,
    region: xr.DataArray | None = None,
    step: int = 0,
    read: Read | None = None,
    through_encoder: bool = False,
    points: int = 32,
    **sampling: Unpack[Sampling],
) -> xr.DataArray:
    """What each token adds to the guidance of one step: shares that sum to 1, some below 0.

    Integrated gradients from the text of the empty prompt to that of the prompt. What is asked of
    the denoiser is how far its prediction goes the way that the whole prompt makes it go, in the
    region: 0 with the empty prompt, 1 with the prompt.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        region: True where to ask, over ``y`` and ``x``, resized to the latents; everywhere if left
            out.
        step: At which step of the generation.
        read: A number of one's own, from predictions, [point, channel, y, x], to [point].
        through_encoder: Whether to attribute to the words as they enter the text encoder, rather
            than to its states, each of which has heard of the words before it.
        points: Midpoints of the integral.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        Over token, in shares of the guidance, or in the unit of ``read``; the coordinate ``word``
        names what a token spells. The attrs ``completeness_error`` and ``answer_change`` say how
        far the sum is off, and from what.

    Raises:
        PromptError: the prompt is empty or too long.
        ArgumentError: another argument lies outside what it may be, or the prompt moves nothing in
            the region.

    Example:
        >>> from regard.models import load
        >>> shares = word_gradients(load("openmoji"), "a cat", num_inference_steps=1, points=4)
        >>> round(shares.attrs["answer_change"], 4)
        1.0

    Source:
        Sundararajan, Taly and Yan (2017), arXiv 1703.01365, section 3; the question is ours.
    """
    request = Request.of(prompt, sampling)
    model = TextToImage.of(model)
    request = model.decide(request)
    steps, guidance = request.num_inference_steps, request.guidance_scale
    if not 0 <= step < steps:
        raise ArgumentError(f"word_gradients: step is {step} and must lie in 0..{steps - 1}.")
    if guidance <= 1:
        raise ArgumentError(
            f"word_gradients: guidance_scale is {guidance} and must be above 1, to have "
            f"an empty prompt to begin from."
        )
    tokens = model.tokenize(prompt, whole=True).tokens
    call = call_at(model, request, step)
    ask = read if read is not None else _along_guidance(call, region)

    def answer(states: Tensor) -> Tensor:
        return ask(call.predicted(states))

    start, stop = call.empty, call.states
    if through_encoder:
        encode = TextStates.of(model)
        start, stop = (encode.embedded(text) for text in ("", prompt))
        encode.check(stop, call.states)
        parts, change = integrated(lambda at: answer(encode(at)), start, stop, steps=points)
    else:
        parts, change = integrated(answer, start, stop, steps=points)
    shares = parts.double().sum(-1)
    return xr.DataArray(
        shares.cpu().numpy(),
        dims=TOKEN,
        coords={
            TOKEN: [token.index for token in tokens],
            "word": (TOKEN, [token.name for token in tokens]),
        },
        name="word_gradients",
        attrs={
            "units": "share of the guidance" if read is None else "answer",
            "completeness_error": abs(float(shares.sum()) - change),
            "answer_change": change,
            "step": step,
            "points": points,
            "through_encoder": through_encoder,
        },
    )


def call_at(model: TextToImage, request: Request, step: int) -> DenoiserCall:
    """What the denoiser is given at a step, in a generation as it always runs.

    Raises:
        ArgumentError: the denoiser takes no text states, or guides in separate evaluations.
    """
    captured = capture(model, lambda: generate(model, [request]), step=step)
    states = captured.inputs.get("encoder_hidden_states")
    if states is None or captured.labels != ("uncond", "cond"):
        rows = "no text" if states is None else f"{len(states)} rows of text"
        raise ArgumentError(
            f"{caller()}: {type(captured.model).__name__} is given {rows} at a step, and needs "
            f"two: without and with the prompt."
        )
    inputs = captured.branch("cond")
    inputs.pop("return_dict", None)
    return DenoiserCall(captured.model, inputs, states[1], states[0])


def _rows(inputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The inputs with their rows changed; what has no rows stays."""
    if isinstance(inputs, dict):
        return {name: _rows(value, change) for name, value in inputs.items()}
    return change(inputs) if torch.is_tensor(inputs) and inputs.ndim else inputs


def _along_guidance(call: DenoiserCall, region: xr.DataArray | None) -> Read:
    with torch.no_grad():
        both = call.predicted(torch.stack([call.empty, call.states]))
    where = _mask(both, region)
    way = (both[1] - both[0]) * where
    length = (way**2).sum()
    if not length > 0:
        raise ArgumentError(
            "word_gradients: the prompt changes nothing in the region. Is the region empty, or the "
            "prompt one that the model does not read?"
        )
    return lambda predicted: ((predicted - both[0]) * way).sum((1, 2, 3)) / length


def _mask(predicted: Tensor, region: xr.DataArray | None) -> Tensor:
    if region is None:
        return torch.ones_like(predicted[0, :1])
    if region.dtype != bool:
        raise ArgumentError(
            f"word_gradients: region holds {region.dtype} and must be boolean, over 'y' and 'x'."
        )
    size = (predicted.shape[-2], predicted.shape[-1])
    inside = resize(region.astype(float), size).transpose("y", "x").values >= 0.5
    return torch.from_numpy(inside).to(predicted)[None]
