"""Rollout of words through the layers of each denoising step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from regard.arguments import flag, number, verb
from regard.axes import STEP, TOKEN, X, Y
from regard.errors import NothingObserved
from regard.explain.asked_words import asked_words
from regard.explain.flow import Flow
from regard.explain.time_rollout import RHO, Rhos
from regard.generation import Sampling, generate
from regard.tap import AttentionCall, Tap
from regard.tap.opened import shadowed


@dataclass(frozen=True, eq=False)
class Rolled:
    """What one step of the denoiser rolled up to.

    Attributes:
        step: Of the generation.
        timestep: The timestep it began at; NaN if the model is given none.
        words: What each patch has of each text token, [sample, token, y, x].
        image: What each patch has of each patch at the beginning, [sample, patch, patch], float32;
            None if it was not asked for.
    """

    step: int
    timestep: float
    words: Float[Tensor, "sample token y x"]
    image: Float[Tensor, "sample patch patch0"] | None


class WordRollout:
    """For each patch, the share that comes of each text token, through all layers of a denoiser.

    Each layer mixes what its queries have with what the keys have: ``residual`` of the one, 1 -
    residual of the attention-weighted other. A text token has itself. Where a UNet changes its
    grid, shares are resized bilinearly; where a skip connection comes in, the mean is taken of what
    comes up and what the matching level had on the way down. A step of several evaluations has
    their mean. Memory: no map of attention is made; image tokens x text tokens for each level and
    step, and with ``image`` the square of the image tokens.

    Args:
        residual: The share that passes a layer by, through the residual connection.
        image: Whether to follow the patches too; then levels of more than 32 x 32 are refused.
        condition: Which rows of the batch: 'cond' or 'uncond'.

    Raises:
        ArgumentError: residual lies outside 0..1.

    Example:
        >>> WordRollout(residual=0.5)
        WordRollout(residual=0.5, image=False, condition='cond')

    Source:
        Abnar and Zuidema (2020), arXiv 2005.00928, section 3, extended to UNets and joint
        transformers. No rule for skip connections is published, so ours is stated.
    """

    def __init__(
        self, *, residual: float = 0.5, image: bool = False, condition: str = "cond"
    ) -> None:
        self.residual = number(residual, "residual", "WordRollout", least=0, most=1)
        self.image, self.condition = flag(image, "image", "WordRollout"), condition
        self._run = 0
        self._start()

    def __repr__(self) -> str:
        return (
            f"WordRollout(residual={self.residual}, image={self.image}, "
            f"condition={self.condition!r})"
        )

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Mix by one attention call; second calls of a layer (image prompts) are passed over.

        Raises:
            ArgumentError: the layout is unknown, or patches are followed on too fine a grid.
        """
        rows = call.rows_of(self.condition)
        if rows.start == rows.stop or call.index:
            return
        now = (call.run, call.step, call.pass_)
        if call.run != self._run:
            self._run = call.run
            self._start()
        if now != self._now:
            self._finish()
            self._now = now
            self._timestep = float("nan") if call.timestep is None else call.timestep
            self._flow = Flow(self.residual, self.image)
        self._flow.mix(call, rows)

    def result(self) -> list[Rolled]:
        """What each step of the last generation rolled up to, in order.

        Raises:
            NothingObserved: no call had image queries and text keys in rows of this condition.
        """
        self._finish()
        if not self._steps:
            raise NothingObserved(
                f"WordRollout: no attention call had image queries and text keys in "
                f"'{self.condition}' rows. Is it a text-to-image model, and did it run in the "
                f"block?"
            )
        return [self._steps[step] for step in sorted(self._steps)]

    def _start(self) -> None:
        self._steps: dict[int, Rolled] = {}
        self._counts: dict[int, int] = {}
        self._now: tuple[int, int, int] | None = None
        self._flow = Flow(self.residual, self.image)

    def _finish(self) -> None:
        words = self._flow.words()
        if self._now is not None and words is not None:
            step, patches = self._now[1], self._flow.patches()
            before, count = self._steps.get(step), self._counts.get(step, 0)
            if before is None:
                self._steps[step] = Rolled(step, self._timestep, words, patches)
            else:  # some schedulers evaluate the model twice in a step: the mean of both
                words = before.words + (words - before.words) / (count + 1)
                if patches is not None and before.image is not None:
                    patches = before.image + (patches - before.image) / (count + 1)
                self._steps[step] = replace(before, words=words, image=patches)
            self._counts[step] = count + 1


@verb
def word_rollout(
    model: Any,
    prompt: str,
    *,
    words: Sequence[str] | None = None,
    residual: float = 0.5,
    **sampling: Unpack[Sampling],
) -> xr.DataArray:
    """The share of each patch that comes of each text token through all layers: 0 none, 1 all.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        words: Words to keep the tokens of, ``cat#2`` for the second cat; all tokens if left out.
        residual: The share that passes each layer by, as for `WordRollout`.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        step, token, y, x, float64, in shares; the coordinate ``word`` names what a token spells,
        ``timestep`` the scheduler's timestep, ``rho`` how much of a step's outcome is new (NaN for
        schedulers without alphas; see `time_rollout`).

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word.
        ArgumentError: another argument lies outside what it may be.
        NothingObserved: the model has no attention to text.

    Example:
        >>> from regard.models import load
        >>> shares = word_rollout(load("openmoji"), "a cat", num_inference_steps=2)
        >>> bool((shares.sum("token") <= 1).all())
        True

    Source:
        As for `WordRollout`.
    """
    model, request, text, kept = asked_words(model, prompt, words, sampling)
    rollout = WordRollout(residual=residual)
    tap = Tap(model.pipeline, observe=[rollout])
    rhos = Rhos(model.scheduler, tap)
    with shadowed(model.scheduler, "step", rhos.noting), tap:
        generate(model, [request])
    rolled = rollout.result()
    return xr.DataArray(
        np.stack([each.words[0, kept].double().numpy() for each in rolled]),
        dims=(STEP, TOKEN, Y, X),
        coords={
            STEP: [each.step for each in rolled],
            "timestep": (STEP, [each.timestep for each in rolled]),
            RHO: (STEP, [rhos.found[each.step] for each in rolled]),
            TOKEN: kept,
            "word": (TOKEN, [text.tokens[index].name for index in kept]),
        },
        name="word_rollout",
        attrs={"units": "share", "residual": residual, "prompt": prompt, "seed": request.seed},
    )
