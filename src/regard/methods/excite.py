"""Updates of the latents that give words stronger peaks in their maps; see `attend_and_excite`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.methods.guide import Moment
from regard.methods.run import Run
from regard.methods.word_maps import WordMaps

USUAL_STEPS = 50
"""Steps of the runs in the paper, which its numbers of steps count from."""

LAST_STEP = 25
SCALE_RANGE = (1.0, 0.5)
SMOOTHING = 0.5
SHARPNESS = 100.0
"""Factor of the weights before the words compete for each image region in a softmax."""


@dataclass(frozen=True)
class Competition:
    """Which tokens compete for image regions, and which of them belong to each word.

    Attributes:
        words: The tokens of each word.
        rivals: All tokens that compete, in order; those of the words are among them.
    """

    words: Sequence[Sequence[int]]
    rivals: Sequence[int]

    def shares(self, maps: Float[Tensor, "image y x rival"]) -> Float[Tensor, "image word y x"]:
        """How far each region belongs to each word: the sum over all rivals is 1.

        Args:
            maps: Attention to each rival, mean over heads and layers.
        """
        shares = (SHARPNESS * maps).softmax(-1)
        own = [[self.rivals.index(token) for token in word] for word in self.words]
        return torch.stack([shares[..., tokens].sum(-1) for tokens in own], 1)


@dataclass(frozen=True)
class Excite:
    """From the latents before a step to those in which the words have stronger peaks.

    Attributes:
        competition: The words and their rivals.
        maps: Reads their maps.
        steps: The steps with an update.
        thresholds: From steps to the peaks that refinement must reach.
        factors: The length of an update, by step.
        most: Updates of a refinement.
        smoothing: Sigma of the smoothing kernel.
    """

    competition: Competition
    maps: WordMaps
    steps: range
    thresholds: Mapping[int, float]
    factors: Float[Tensor, " step"]
    most: int
    smoothing: float = SMOOTHING

    def __call__(self, moment: Moment) -> Tensor:
        """The latents, updated."""
        latents, step = moment.latents, moment.step
        if step not in self.steps and step not in self.thresholds:
            return latents
        factor = float(self.factors[min(step, len(self.factors) - 1)])
        loss, slope = self._loss(moment, latents)
        if step in self.thresholds:
            aim = max(0.0, 1.0 - self.thresholds[step])
            latents, slope = self._refined(moment, latents, loss, slope, aim, factor)
        return latents - factor * slope if step in self.steps else latents

    def _refined(
        self, moment: Moment, latents: Tensor, loss: Tensor, slope: Tensor, aim: float, by: float
    ) -> tuple[Tensor, Tensor]:
        """Update each image until the loss before its last update was small enough."""
        latents, slope = latents.clone(), slope.clone()
        rows = (loss > aim).nonzero()[:, 0].tolist()
        for _ in range(self.most):
            if not rows:
                break
            latents[rows] = latents[rows] - by * slope[rows]
            still = [row for row in rows if loss[row] > aim]
            loss[rows], slope[rows] = self._loss(moment, latents[rows], rows)
            rows = still
        return latents, slope

    def _loss(
        self, moment: Moment, latents: Tensor, images: Sequence[int] | None = None
    ) -> tuple[Float[Tensor, " image"], Tensor]:
        """How far the weakest word of each image is from a full peak, and the gradient of that."""
        with torch.enable_grad():
            leaf = latents.detach().requires_grad_()
            shares = self.competition.shares(self.maps.read(moment, leaf, images))
            peaks = smoothed(shares, self.smoothing).flatten(2).amax(-1)
            loss = (1.0 - peaks).clamp(min=0.0).amax(-1)
            [slope] = torch.autograd.grad(loss.sum(), leaf)
        return loss.detach(), slope


def smoothed(
    maps: Float[Tensor, "image word y x"], sigma: float
) -> Float[Tensor, "image word y x"]:
    """Maps after a 3 x 3 kernel, reflected at the border; unchanged for a sigma of 0.

    The kernel is the published one: its profile is exp(-(d / (2 sigma))^2), a Gaussian that is
    wider than its name by the square root of 2.

    Example:
        >>> point = torch.zeros(1, 1, 5, 5)
        >>> point[..., 2, 2] = 1.0
        >>> smoothed(point, 0.5)[0, 0, 2, 1:4]
        tensor([0.1221, 0.3319, 0.1221])
    """
    if not sigma:
        return maps
    profile = torch.exp(-((torch.tensor([-1.0, 0.0, 1.0]) / (2 * sigma)) ** 2)).to(maps)
    profile = profile / profile.sum()
    kernel = torch.outer(profile, profile).expand(maps.shape[1], 1, 3, 3)
    padded = functional.pad(maps, (1, 1, 1, 1), mode="reflect")
    return functional.conv2d(padded, kernel, groups=maps.shape[1])


def rivals_of(run: Run, padding: bool | None = None) -> list[int]:
    """The tokens that compete for image regions: not the start, the end only with the padding.

    Args:
        run: Whose prompt it is.
        padding: Whether they count; None: if the text is padded with its end token.
    """
    if padding is None:
        padding = run.model.pads_with_end
    if padding:
        return [token.index for token in run.prompt.tokens if token.role != "start"][:-1]
    return [token.index for token in run.prompt.tokens if token.role == "word"]


def lengths(factor: float, scale_range: Sequence[float], steps: int) -> Float[Tensor, " step"]:
    """What the gradient is multiplied by in each step.

    Example:
        >>> lengths(20.0, (1.0, 0.25), 4)
        tensor([20.0000, 17.3205, 14.1421, 10.0000])
    """
    return torch.linspace(*scale_range, steps).sqrt() * factor


def first_half(steps: int) -> range:
    """The steps with an update by default: 25 of the paper's 50.

    Example:
        >>> first_half(30), first_half(1)
        (range(0, 15), range(0, 1))
    """
    return range(scaled_step(LAST_STEP, steps))


def scaled_step(step: int, steps: int) -> int:
    """A step of a run of the paper's length, in a run of another.

    Example:
        >>> scaled_step(20, 30), scaled_step(0, 30)
        (12, 0)
    """
    return max(1, round(step * steps / USUAL_STEPS)) if step else 0
