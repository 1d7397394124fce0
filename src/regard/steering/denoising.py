"""How weights of words are learned: by the denoising loss on a target image.

The network stays as it is. A weight is the logarithm that is added to the scores of its tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from regard.errors import ArgumentError
from regard.generation import Request, generate
from regard.models.capture import capture, first_of
from regard.models.embedding import latents_of
from regard.models.text_to_image import TextToImage
from regard.stats.means import paired
from regard.steering.weights import END
from regard.tap import TO_TEXT, AttentionCall, Edit, Tap
from regard.trace import Prompt

WHO = "learn_word_weights"

HELD_OUT = 10**6
"""Seed of the noisy targets that no training uses."""

SHUFFLES = 4
"""How often the learned weights are assigned to other words."""


@dataclass(frozen=True)
class DenoisingTask:
    """What is needed for the denoising loss on a target.

    Attributes:
        network: The UNet.
        inputs: Its other arguments, of one image that reads the prompt.
        target: The latents of the target, [1, channel, y, x].
        levels: The share of the target's variance that is left at each timestep.
        predicts: What the network predicts: ``epsilon``, ``v_prediction`` or ``sample``.
        gates: For each token of the text, the place of its weight, from 1; 0 for none.
        groups: How many parts of the generation have weights of their own.
    """

    network: Any
    inputs: dict[str, Any]
    target: Tensor
    levels: Tensor
    predicts: str
    gates: Tensor
    groups: int

    def loss(self, logs: Tensor | None, times: Tensor, noise: Tensor) -> Tensor:
        """The mean squared error of each noisy target, [sample].

        Args:
            logs: Logarithms of the weights, [group, weight]; None for the unweighted model.
            times: A timestep for each sample.
            noise: [sample, channel, y, x].

        Raises:
            ArgumentError: weights of words do nothing in this model.
        """
        level = self.levels[times][:, None, None, None]
        noisy = level.sqrt() * self.target + (1 - level).sqrt() * noise
        wanted = {
            "epsilon": noise,
            "v_prediction": level.sqrt() * noise - (1 - level).sqrt() * self.target,
            "sample": self.target.expand_as(noise),
        }[self.predicts]
        given = {name: repeated(value, len(times)) for name, value in self.inputs.items()}
        kind = self.inputs["sample"].dtype
        given |= {"sample": noisy.to(kind), "timestep": times.to(noisy.device)}
        if logs is None:
            output = first_of(self.network(**given))
        else:
            output = self._weighted(given, self.bias(logs, times))
        return (output.to(wanted.dtype) - wanted).square().mean((1, 2, 3))

    def bias(self, logs: Tensor, times: Tensor) -> Tensor:
        """What is added to the scores of each token, [sample, token]."""
        # The first steps of a generation are those with the most noise.
        group = (self.groups * (len(self.levels) - 1 - times)) // len(self.levels)
        fixed = torch.cat([logs.new_zeros(len(logs), 1), logs], 1)
        return fixed[group][:, self.gates]

    def _weighted(self, given: dict[str, Any], bias: Tensor) -> Tensor:
        reached: list[str] = []
        edit = adding(bias.to(self.target.device), reached)
        with Tap(self.network, edit=[(TO_TEXT, edit)], conditions=("cond",)):
            output: Tensor = first_of(self.network(**given))
        if not reached:
            raise ArgumentError(
                f"{WHO}: {type(self.network).__name__} has no layer in which the image attends to "
                f"text, so that words have no weight. Give a model with cross-attention."
            )
        return output


@dataclass(frozen=True)
class Training:
    """How the weights of one seed are learned; see `learn_word_weights`."""

    seed: int
    iterations: int
    rate: float
    batch: int
    decay: float
    smooth: float


def trained(
    task: DenoisingTask, weights: int, course: Training, advance: Callable[[int], None]
) -> Tensor:
    """Logarithms of the weights after one training, [group, weight]."""
    logs = torch.zeros(task.groups, weights, requires_grad=True)
    adam = torch.optim.Adam([logs], lr=course.rate)
    generator = torch.Generator().manual_seed(course.seed)
    for step in range(course.iterations):
        times, noise = noise_of(task, course.batch, generator)
        with torch.enable_grad():
            loss = task.loss(logs, times, noise).mean() + course.decay * logs.square().sum()
            loss = loss + course.smooth * (logs[1:] - logs[:-1]).square().sum()
            # The gradient of these alone: the network's parameters collect none.
            (logs.grad,) = torch.autograd.grad(loss, [logs])
        adam.step()
        advance(step + 1)
    return logs.detach()


def noise_of(task: DenoisingTask, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Timesteps, one from each of as many equal parts of all, and noise."""
    shares = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    noise = torch.randn((count, *task.target.shape[1:]), generator=generator)
    return (shares * len(task.levels)).long(), noise.to(task.target.device)


def adding(bias: Tensor, reached: list[str]) -> Edit:
    """An edit that adds to the scores of text tokens, for each row of the batch its own.

    Args:
        bias: [row, token].
        reached: Gets the paths of the layers where it was added.
    """

    def add(call: AttentionCall) -> None:
        text = call.known_layout(WHO).keys_of("text")
        sides = (text.start, call.shape[-1] - text.stop)
        call.add_bias(torch.nn.functional.pad(bias, sides)[:, None, None, :])
        reached.append(call.layer)

    return add


def gates_of(text: Prompt, names: Sequence[str]) -> Tensor:
    """For each token the place of its weight among the names, from 1; 0 for a fixed one."""
    gates = torch.zeros(len(text.tokens), dtype=torch.long)
    for place, name in enumerate(names):
        tokens = text.spelled([name]) + (text.pads if name == END else [])
        gates[tokens] = place + 1
    return gates


def repeated(value: Any, rows: int) -> Any:
    """An argument of one image, for several.

    Example:
        >>> repeated({"text": torch.zeros(1, 5)}, 3)["text"].shape
        torch.Size([3, 5])
    """
    if isinstance(value, dict):
        return {name: repeated(each, rows) for name, each in value.items()}
    if torch.is_tensor(value) and value.ndim and len(value) == 1:
        return value.expand(rows, *value.shape[1:])
    return value


def judged(task: DenoisingTask, names: Sequence[str], logs: np.ndarray, count: int) -> pd.DataFrame:
    """The loss on held-out noise without weights, with them, and with them assigned to other words.

    Args:
        task: What is asked.
        names: The words.
        logs: Logarithms of their weights, [group, word].
        count: How many noisy targets.

    Returns:
        The columns weights (none, learned, shuffled), loss, change from none, its low and high,
        and p.
    """
    times, noise = noise_of(task, count, torch.Generator().manual_seed(HELD_OUT))
    words = [place for place, name in enumerate(names) if name != END]
    order, dealt = np.random.default_rng(HELD_OUT), []
    for _ in range(SHUFFLES if len(words) > 1 else 0):
        shuffled = logs.copy()
        # Round a ring of them in random order, so that no word keeps its own.
        mixed = order.permutation(words)
        shuffled[:, mixed] = logs[:, np.roll(mixed, 1)]
        dealt.append(_held_out(task, shuffled, times, noise))
    losses = {"none": _held_out(task, None, times, noise)}
    losses["learned"] = _held_out(task, logs, times, noise)
    if dealt:
        losses["shuffled"] = np.mean(dealt, axis=0)
    rows = []
    for name, each in losses.items():
        change = paired(losses["none"], each)
        ends = (change.interval.mean, change.interval.low, change.interval.high)
        rows.append((name, each.mean(), *ends, change.p))
    return pd.DataFrame(rows, columns=["weights", "loss", "change", "low", "high", "p"])


@torch.no_grad()
def _held_out(
    task: DenoisingTask, logs: np.ndarray | None, times: Tensor, noise: Tensor
) -> np.ndarray:
    weights = None if logs is None else torch.from_numpy(logs).float()
    parts = zip(times.split(16), noise.split(16), strict=True)
    return torch.cat([task.loss(weights, *part) for part in parts]).cpu().double().numpy()


def task_of(
    model: TextToImage, request: Request, image: Image.Image, gates: Tensor, groups: int
) -> DenoisingTask:
    """What has to be known of a pipeline and a target.

    Args:
        model: The model.
        request: The prompt, without guidance.
        image: The target.
        gates: As for `DenoisingTask`.
        groups: As for `DenoisingTask`.

    Raises:
        ArgumentError: there is no UNet, the scheduler does not say how noise is added, or the
            target has another size than the model generates.
        NothingObserved: the model has no attention.
    """
    if model.has_joint_attention:
        raise ArgumentError(
            f"{WHO}: {model.class_name} has no UNet. Give a pipeline with one, such as 'openmoji'."
        )
    scheduler = model.scheduler
    levels = getattr(scheduler, "alphas_cumprod", None)
    predicts = str(scheduler.config.get("prediction_type", "epsilon"))
    if levels is None or predicts not in ("epsilon", "v_prediction", "sample"):
        raise ArgumentError(
            f"{WHO}: {type(scheduler).__name__} (prediction_type {predicts}) does not say "
            f"how noise is added. Give the pipeline a DDIMScheduler."
        )
    _check_size(model, image)
    captured = capture(model, lambda: generate(model, [request]))
    target = latents_of(model, image)
    return DenoisingTask(
        model.denoiser, captured.branch(), target, levels.to(target.device), predicts, gates, groups
    )


def _check_size(model: TextToImage, image: Image.Image) -> None:
    rows, columns = model.size
    if image.size != (columns, rows):
        raise ArgumentError(
            f"{WHO}: the target is {image.width} x {image.height} pixels and must be "
            f"{columns} x {rows}, as the model generates. Crop and resize it."
        )
