"""Choosing among initial noises: begin from the one in which every word has an image region."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from regard.arguments import flag, whole
from regard.methods.guide import Guide, Moment
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import listed_words
from regard.methods.word_maps import Size, WordMaps, check_grid

PREVIEW_STEPS = 5
"""Denoising steps of a preview, if it were not ended before."""

TOGETHER = 16
"""Previews made at a time, if a single one of each image is not more."""


@method
def choose_noise(
    words: str | Sequence[str],
    *,
    candidates: int = 8,
    evaluations: int = 3,
    carriers: bool = True,
    grid: Size = None,
) -> Plan:
    """Choose the initial noise whose short preview gives the least-attended word the highest peak.

    The first candidate is the noise of the seed, the others are the same numbers in another order.
    A preview takes steps as long as a fifth of the whole way, with the conditional branch alone;
    its last forward pass ends as soon as the maps are there. Of equals the first is taken.

    Args:
        words: Subjects of the prompt, ``cat#2`` for the second cat. A word of several tokens has
            the sum of their maps.
        candidates: Initial noises to choose from; 1 for the seed's alone.
        evaluations: Forward passes of the denoiser in a preview, 1..5; the maps are of the last.
        carriers: Whether the token after a word counts as the word's too: a causal text encoder
            may leave it there. See `regard.trace.Prompt.carriers`.
        grid: Rows and columns of the layers whose maps are read, or one number for both; None for
            the smallest grid with sides of 16 or more, or the finest one.

    Returns:
        A method. It costs ``candidates * evaluations`` forward passes of the conditional branch: by
        default, with guidance and 30 steps, 0.4 of a generation.

    Raises:
        ArgumentError: no words, or a number out of its range; in a run, no layer of that grid
            attends to the text.
        UnknownName: in a run, a word that the prompt lacks.

    Example:
        >>> choose_noise(["cat", "dog"], candidates=4).recipe()
        {'method': 'choose-noise', 'words': ['cat', 'dog'], 'candidates': 4}

    Source:
        Our own. That some initial noises neglect subjects, and that early attention shows it, is
        found in Guo et al. (2024), "InitNO: Boosting Text-to-Image Diffusion Models via Initial
        Noise Optimization", arXiv 2404.04650, section 3; here nothing is optimised.
    """
    names = listed_words(words, "choose_noise")
    whole(candidates, "candidates", "choose_noise", least=1)
    whole(evaluations, "evaluations", "choose_noise", least=1, most=PREVIEW_STEPS)
    flag(carriers, "carriers", "choose_noise")
    check_grid("choose_noise", grid)

    def plan(run: Run) -> Changes:
        spelled = [run.prompt.spelled([word]) for word in names]
        own = run.prompt.carriers(names) if carriers else spelled
        maps = WordMaps(sorted({token for tokens in own for token in tokens}), grid)
        choose = Choose(own, maps, run.model.scheduler, candidates, evaluations)
        return Changes(guide=Guide(latents=choose))

    return plan


@dataclass(frozen=True)
class Choose:
    """From the initial noise of each image to the one that it begins with.

    Attributes:
        words: The tokens of each word.
        maps: Reads their maps.
        scheduler: The model's.
        candidates: Initial noises to choose from.
        evaluations: Forward passes of the denoiser in a preview.
    """

    words: Sequence[Sequence[int]]
    maps: WordMaps
    scheduler: Any
    candidates: int
    evaluations: int

    @torch.no_grad()
    def __call__(self, moment: Moment) -> Tensor:
        """The latents before a step: before the first, those that are chosen."""
        own = moment.latents
        if moment.step or self.candidates == 1:
            return own
        together = max(1, TOGETHER // len(own))
        numbers = torch.arange(self.candidates).split(together)
        weakest = torch.cat([self._weakest_peaks(moment, some.tolist()) for some in numbers])
        best = weakest.argmax(0).tolist()  # of equals the first
        return torch.cat([reordered(own[[row]], number) for row, number in enumerate(best)])

    def _weakest_peaks(
        self, moment: Moment, numbers: Sequence[int]
    ) -> Float[Tensor, "candidate image"]:
        """The peak of the weakest word in the previews from some candidates."""
        scheduler = coarse(self.scheduler, moment.latents.device)
        latents = torch.cat([reordered(moment.latents, number) for number in numbers])
        rows = [*range(len(moment.latents))] * len(numbers)
        *levels, last = scheduler.timesteps[: self.evaluations]
        for level in levels:
            with moment.tap.aside():
                output = moment.evaluate(latents, rows, scheduler, level)
            latents = scheduler.step(output, level, latents, return_dict=False)[0]
        maps = self.maps.read(moment, latents, rows, scheduler, last)
        own = [[self.maps.tokens.index(token) for token in tokens] for tokens in self.words]
        words = torch.stack([maps[..., tokens].sum(-1) for tokens in own], 1)
        return peaks(words).amin(-1).view(len(numbers), -1)


def peaks(maps: Float[Tensor, "image word y x"]) -> Float[Tensor, "image word"]:
    """The highest mean of 3 x 3 patches in each map; at the border, of those inside.

    Example:
        >>> point = torch.zeros(1, 1, 5, 5)
        >>> point[..., 2, 2] = 0.9
        >>> peaks(point)
        tensor([[0.1000]])
    """
    means = functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
    return means.flatten(2).amax(-1)


def reordered(latents: Tensor, number: int) -> Tensor:
    """The values of each image's latents in the order of this number; 0 for their own.

    White noise in another order is as good white noise, and each image of a batch gets what it
    gets alone.

    Example:
        >>> noise = torch.arange(4.0)[None]
        >>> reordered(noise, 1).sort().values.equal(noise)
        True
    """
    if not number:
        return latents
    values = latents.flatten(1)
    order = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(number))
    return values[:, order.to(values.device)].view_as(latents)


def coarse(scheduler: Any, device: Any = None) -> Any:
    """A new scheduler of the same kind, set to the steps of a preview.

    One that shifts its timesteps by the size of the image gets some of those that it has.
    """
    preview = type(scheduler).from_config(scheduler.config)
    if scheduler.config.get("use_dynamic_shifting"):
        some = torch.linspace(0, len(scheduler.timesteps), PREVIEW_STEPS + 1)[:-1].long()
        preview.timesteps = scheduler.timesteps[some]
        preview.sigmas = torch.cat([scheduler.sigmas[some], scheduler.sigmas[-1:]])
    else:
        preview.set_timesteps(PREVIEW_STEPS, device=device)
    return preview
