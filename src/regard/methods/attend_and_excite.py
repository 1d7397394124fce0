"""Attend-and-Excite: move the latents until every word asked for has a place of its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.arguments import listed as sequence
from regard.arguments import number_or_none, shown, whole, whole_or_none
from regard.errors import ArgumentError
from regard.methods.guide import Guide, Moment
from regard.methods.method import Changes, Plan, Run, method
from regard.methods.where import Steps, Where, listed
from regard.methods.word_maps import Size, WordMaps, check_grid

USUAL_STEPS = 50
"""Steps of the runs in the paper, which its numbers of steps count from."""

THRESHOLDS = {0: 0.05, 10: 0.5, 20: 0.8}
LAST_STEP = 25
SCALE_RANGE = (1.0, 0.5)
SMOOTHING = 0.5
SHARPNESS = 100.0
"""Factor of the weights before the words compete for each place in a softmax."""


@method
def attend_and_excite(
    words: str | Sequence[str],
    *,
    steps: Steps = None,
    thresholds: Mapping[int, float] | Mapping[str, float] | None = None,
    scale_factor: float = 20.0,
    scale_range: Sequence[float] = SCALE_RANGE,
    max_refinements: int = 20,
    smoothing: float = SMOOTHING,
    padding: bool | None = None,
    carriers: bool = False,
    grid: Size = None,
) -> Plan:
    """Move the latents before a step so that each of some words has a strong peak in its map.

    Before each step the prompt's half is evaluated on the latents, as far as the last layer of the
    grid; the latents then go down the gradient of the loss max over words of 1 - peak. At the steps
    of ``thresholds`` that is repeated until all peaks reach the threshold.

    Args:
        words: Subjects of the prompt, ``cat#2`` for the second cat. A word of several tokens has
            the sum of their maps.
        steps: The steps that move: one, a range, or its two ends; None for the first half.
        thresholds: From a step to the peak, 0..1, that its refinement asks for; None for 0.05,
            0.5 and 0.8 at the beginning and after one and two fifths of the run; {} for none.
        scale_factor: Length of a move, times its gradient.
        scale_range: What it is multiplied by at the first step and at the last: the square root of
            a number that goes from one to the other.
        max_refinements: Moves that a refinement makes at most.
        smoothing: Sigma of the 3 x 3 kernel that smooths maps before the peak is taken; 0 for none.
        padding: Whether the end of the text and the tokens after it compete for places as words
            do; None: for a UNet whose text encoder pads with its end token, as Stable Diffusion 1.
        carriers: Whether the token after a word counts as the word's too: a causal text encoder
            may leave it there. See `regard.trace.Prompt.carriers`.
        grid: Rows and columns of the layers whose maps are read, or one number for both; None for
            the smallest grid with sides of 16 or more, or the finest that there is.

    Returns:
        A method.

    Raises:
        ArgumentError: no words, or a number that cannot be; in a run, steps that it has not, or no
            layer of that grid reads the text.
        UnknownName: in a run, a word that the prompt has not.

    Example:
        >>> attend_and_excite(["cat", "dog"], thresholds={0: 0.5}).recipe()
        {'method': 'attend-and-excite', 'words': ['cat', 'dog'], 'thresholds': {'0': 0.5}}

    Source:
        Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance for
        Text-to-Image Diffusion Models", arXiv 2301.13826, section 3 and algorithm 1.

    Differs from the paper:
        Any scheduler, as gradients go through its scaling of the inputs; batches, in which each
        image stops refining by itself; the evaluation ends at the last layer that is read, which
        changes no result. As in the published code, the step size follows a square root.
    """
    asked = listed(words, "attend_and_excite")
    where = Where("attend_and_excite", steps)
    targets = _targets(thresholds)
    _check(scale_factor, scale_range, max_refinements, smoothing)
    check_grid("attend_and_excite", grid)

    def plan(run: Run) -> Changes:
        where.check(run)
        span = where.span or first_half(run.steps)
        aims = _usual(run.steps) if targets is None else targets
        late = [step for step in aims if step >= run.steps]
        if late:
            raise ArgumentError(
                f"attend_and_excite: a threshold is for step {late[0]}, and the run has "
                f"{run.steps}: 0..{run.steps - 1}."
            )
        spelled = [run.prompt.spelled([word]) for word in asked]
        own = run.prompt.carriers(asked) if carriers else spelled
        places = Places(own, rivals_of(run, padding))
        factors = lengths(scale_factor, scale_range, run.steps)
        excite = Excite(
            places, WordMaps(places.rivals, grid), span, aims, factors, max_refinements, smoothing
        )
        return Changes(guide=Guide(latents=excite), first_step=min([span.start, *aims]))

    return plan


@dataclass(frozen=True)
class Places:
    """Which tokens compete for places, and which of them are asked for.

    Attributes:
        words: The tokens of each word.
        rivals: All tokens that compete, in order; those of the words are among them.
    """

    words: Sequence[Sequence[int]]
    rivals: Sequence[int]

    def shares(self, maps: Float[Tensor, "image y x rival"]) -> Float[Tensor, "image word y x"]:
        """How far each place belongs to each word: the sum over all rivals is 1.

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
        places: The words.
        maps: Reads their maps.
        steps: The steps that move.
        thresholds: From steps to the peaks that refinement asks for.
        factors: The length of a move, by step.
        most: Moves of a refinement.
        smoothing: Sigma of the smoothing kernel.
    """

    places: Places
    maps: WordMaps
    steps: range
    thresholds: Mapping[int, float]
    factors: Float[Tensor, " step"]
    most: int
    smoothing: float = SMOOTHING

    def __call__(self, moment: Moment) -> Tensor:
        """The latents, moved."""
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
        """Move each image until the loss before its last move was small enough."""
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
            shares = self.places.shares(self.maps.read(moment, leaf, images))
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
    """The tokens that compete for places: not the start, and the end only with the padding.

    Args:
        run: Whose prompt it is.
        padding: Whether they count; None: if the text is padded with its end token.
    """
    if padding is None:
        tokenizer: Any = run.pipeline.tokenizer
        unet = getattr(run.pipeline, "unet", None) is not None  # others have T5's padding too
        padding = unet and tokenizer.pad_token_id == tokenizer.eos_token_id
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
    """The steps that move if nobody says which: 25 of the paper's 50.

    Example:
        >>> first_half(30), first_half(1)
        (range(0, 15), range(0, 1))
    """
    return range(_scaled(LAST_STEP, steps))


# Inside


def _scaled(step: int, steps: int) -> int:
    """A step of a run of the usual length, in a run of another."""
    return max(1, round(step * steps / USUAL_STEPS)) if step else 0


def _usual(steps: int) -> dict[int, float]:
    """The thresholds of the paper in a run of any length."""
    scaled = {_scaled(step, steps): aim for step, aim in THRESHOLDS.items()}
    return {step: aim for step, aim in scaled.items() if step < steps}


def _targets(
    thresholds: Mapping[int, float] | Mapping[str, float] | None,
) -> dict[int, float] | None:
    if thresholds is None:
        return None
    if not isinstance(thresholds, Mapping):
        raise ArgumentError(
            f"attend_and_excite: thresholds is {shown(thresholds)} and must give steps their "
            f"thresholds, such as {{0: 0.05}}."
        )
    found: dict[int, float] = {}
    for step, aim in thresholds.items():
        as_text = isinstance(step, str) and step.isascii() and step.isdigit()
        number = int(step) if as_text else whole_or_none(step)
        value = number_or_none(aim)
        if number is None or number < 0 or value is None or not 0 <= value <= 1:
            raise ArgumentError(
                f"attend_and_excite: the threshold of step {step} is {shown(aim)}. Steps count "
                f"from 0, and thresholds lie in 0..1."
            )
        found[number] = value
    return found


def _at_least_0(value: Any) -> bool:
    found = number_or_none(value)
    return found is not None and 0 <= found < math.inf


def _check(factor: float, scale_range: Sequence[float], refinements: int, smoothing: float) -> None:
    ends = None if isinstance(scale_range, str) else sequence(scale_range)
    wanted = {
        "scale_factor": (factor, _at_least_0(factor)),
        "scale_range": (scale_range, len(ends or ()) == 2 and all(map(_at_least_0, ends or ()))),
        "max_refinements": (refinements, (whole_or_none(refinements) or 0) >= 0),
        "smoothing": (smoothing, _at_least_0(smoothing)),
    }
    whole(refinements, "max_refinements", "attend_and_excite")
    for name, (given, right) in wanted.items():
        if not right:
            raise ArgumentError(
                f"attend_and_excite: {name} is {shown(given)} and must be 0 or more"
                f"{', two numbers' if name == 'scale_range' else ''}."
            )
