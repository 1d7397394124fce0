"""The leave-one-word-out check: generate the image again without each word, from the same noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.arguments import caller, shown, verb, whole
from regard.errors import ArgumentError
from regard.generation import Request
from regard.generation.outcome import refuse_void, voids
from regard.look.asked import check_judges
from regard.look.left_out import CONTROLS, controls, pairs, spared
from regard.look.recipe import check_same_model, request_from
from regard.look.result import Look
from regard.measures.verdicts import (
    CONTROL,
    OWN_KEY,
    TOGETHER,
    VERIFICATION,
    WORD,
    joined,
    pixel_distance,
    verdicts,
)
from regard.progress import Advance, Progress, check_progress, reporting
from regard.scores.change import Likeness, Seen, compared, judges_for
from regard.trace import Trace

REPEATED = 0.02
"""Mean pixel distance from a look up to which an image from the same noise is the same image.

In a batch sums are added in another order, which in half precision is seen in the last levels.
"""


CARRIERS = (
    "The map of a word is no measure of its need: in a causal text encoder the tokens behind a "
    "word carry it too, and the image may read it there."
)
"""What maps and the check have to do with one another."""


@verb
def verify(
    model: Any,
    look: Look,
    *,
    judges: Sequence[Any] | None = None,  # of Judge; its module imports torch
    seeds: int = 1,
    own_key: bool = False,
    latents: Any = None,  # a tensor; not named, so that this module does not import torch
    progress: Progress = None,
) -> pd.DataFrame:
    """What each word did for the image, by generating it again without: distances from 0, nothing.

    A word is hidden in every text encoder and in the denoiser, in the conditional branch, from the
    same initial noise (see `regard.generation.hidden.hide_words`). Beside them up to `CONTROLS`
    padding tokens are hidden, each in the same way, and where there is none the initial noise is
    perturbed instead: any change alters an image a little, and this says how little. Words that
    were not needed are then hidden all together, for they may stand in for one another; if that
    changes the image, up to `PAIRS` pairs of them are hidden, the likeliest first.

    Args:
        model: The model that made the look, or its name or folder.
        look: What `look` returned, made without methods.
        judges: What compares images, of `regard.scores.judges`: those that give ``distance`` or
            ``seen``, such as `Likeness` and `Seen`; pixels are compared in any case. None takes the
            bundled encoder and segmenter for bundled models, and for others the distance in the
            latents of their own autoencoder.
        seeds: At how many seeds to try: that of the look, and those that follow it.
        own_key: Also mask only the word's own key in the denoiser, which shows where a word is read
            but not whether it is needed.
        latents: The initial noise that the look was made from, if it was given one.
        progress: As for `look`; a function is called with the steps done and the steps there are so
            far.

    Returns:
        One row for each thing hidden at each seed, with the columns word, seed, kind (``word``,
        ``together``, ``control`` or ``own key``), distance (1 - cosine in the space of an encoder;
        NaN where there is none), pixel_distance (mean absolute difference, share of full scale) and
        seen (``same``, or what was seen before and after, as in ``blue car, cat -> cat``; empty
        where no segmenter is used). ``attrs["note"]`` says how words were hidden and what they are
        compared with.

    Raises:
        ArgumentError: the model is not the one that made the look, or does not make the same image
            from the same noise; or an argument lies outside what it may be.

    Example:
        >>> from regard import load
        >>> from regard.look import look
        >>> model = load("openmoji")
        >>> verification = verify(model, look(model, "a cat", num_inference_steps=2))
        >>> verification[verification["kind"] == "word"]["word"].tolist()
        ['a', 'cat']

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models", arXiv 1806.07421; here the input is hidden a word at a time.
    """
    from regard.models.text_to_image import TextToImage

    if not isinstance(look, Look):
        raise ArgumentError(
            f"{caller()}: look is {shown(look)} and must be what regard.look returned."
        )
    seeds = whole(seeds, "seeds", caller(), cure="5 show a tendency.")
    _check_asked(look.trace, seeds, latents)
    check_progress(progress)
    check_judges(judges)
    model = TextToImage.of(model)
    request = replace(request_from(look.trace.recipe), latents=latents)
    model.noise(request.num_inference_steps).check()
    check_same_model(model, look.trace.recipe)
    refuse_void([look.trace.recipe.get("void", "")])
    chosen = judges_for(model) if judges is None else list(judges)
    with reporting(progress, "hiding words") as advance:
        trial = _Trial(model, look, request, chosen, seeds, advance)
        trial.words()
        trial.together()
        if own_key:
            trial.own_keys()
    verification = pd.DataFrame(trial.rows)[VERIFICATION]
    verification.attrs["note"] = trial.note
    return verification


@dataclass
class _Trial:
    """A check under way: what was hidden so far, and what that changed."""

    model: Any
    look: Look
    request: Request
    judges: Sequence[Any]
    seeds: int
    advance: Advance
    rows: list[dict[str, Any]] = field(default_factory=list)
    baselines: dict[int, Image.Image] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    done: int = 0

    @property
    def trace(self) -> Trace:
        return self.look.trace

    @property
    def tried(self) -> list[int]:
        """The seeds."""
        return [self.request.seed + number for number in range(self.seeds)]

    @property
    def note(self) -> str:
        return " ".join(self.notes)

    def words(self) -> None:
        """Hide each word, and what is no word."""
        names = list(self.trace.word_names)
        pads, said = controls(self.trace)
        groups = [[], *(self.trace.tokens_of(name) for name in names)]
        groups += [[pad] for pad in pads] or [[]] * CONTROLS
        shaken = None if pads else [*[None] * (1 + len(names)), *range(1, CONTROLS + 1)]
        for seed, (bare, *images) in self._hidden(groups, shaken).items():
            if seed == self.request.seed:
                _check_repeated(self.look.image, bare)
            self.baselines[seed] = bare
            kinds = [WORD] * len(names) + [CONTROL] * (len(images) - len(names))
            hidden = [*names, *(["[pad]"] * len(pads) or ["[noise]"] * CONTROLS)]
            self._compare(seed, hidden, kinds, images)
        self.notes += [said, _compared_by(self.judges), CARRIERS]

    def together(self) -> None:
        """Hide together the words that were not needed: all of them, and then two at a time."""
        left = spared(self.trace, pd.DataFrame(self.rows))
        if len(left) < 2:
            return
        self._hide_together([left])
        whole = verdicts(pd.DataFrame(self.rows)).query("kind == @TOGETHER")
        if len(left) > 2 and whole["needed"].any():
            self._hide_together(pairs(self.trace, left))

    def _hide_together(self, sets: Sequence[Sequence[str]]) -> None:
        tokens = self.trace.tokens_of
        groups = [[token for name in each for token in tokens(name)] for each in sets]
        hidden = [joined(each) for each in sets]
        for seed, images in self._hidden(groups).items():
            self._compare(seed, hidden, [TOGETHER] * len(sets), images)

    def own_keys(self) -> None:
        """Mask only the keys of each word in the denoiser, at the seed of the look."""
        from regard.generation.batches import generate_to_compare
        from regard.generation.hidden import masking

        names = list(self.trace.word_names)
        masked = [
            replace(self.request, methods=(masking(self.trace.tokens_of(name)),)) for name in names
        ]
        images = generate_to_compare(self.model, masked, progress=self._advance())
        self._compare(self.request.seed, names, [OWN_KEY] * len(names), images)

    def _hidden(
        self, groups: Sequence[Sequence[int]], shaken: Sequence[int | None] | None = None
    ) -> dict[int, list[Image.Image]]:
        """The images of each seed without each group of tokens."""
        from regard.generation.hidden import hide_words

        made = hide_words(
            self.model,
            self.request,
            [group for _ in self.tried for group in groups],
            seeds=[seed for seed in self.tried for _ in groups],
            shaken=None if shaken is None else list(shaken) * self.seeds,
            progress=self._advance(),
        )
        if made.note not in self.notes:
            self.notes.append(made.note)
        size = len(groups)
        return {
            seed: made.images[number * size : (number + 1) * size]
            for number, seed in enumerate(self.tried)
        }

    def _advance(self) -> Any:
        before = self.done

        def advance(done: int, steps: int) -> None:
            self.done = before + done
            self.advance(self.done, before + steps)

        return advance

    def _compare(
        self,
        seed: int,
        hidden: Sequence[str],
        kinds: Sequence[str],
        images: Sequence[Image.Image],
    ) -> None:
        requests = [replace(self.request, seed=seed)] * len(images)
        found = compared(self.baselines[seed], images, requests, self.judges)
        for name, kind, (_, row) in zip(hidden, kinds, found.iterrows(), strict=True):
            self.rows.append({"word": name, "seed": seed, "kind": kind, **row.to_dict()})


def _compared_by(judges: Sequence[Any]) -> str:
    """What images are compared by, for the note."""
    seen = ["what is seen in them"] if any(isinstance(each, Seen) for each in judges) else []
    spaces = [each.space for each in judges if isinstance(each, Likeness) and each.cosine]
    others = [each for each in judges if not isinstance(each, Likeness | Seen)]
    by = [*seen, *(f"1 - cosine in {space}" for space in spaces)]
    by += [f"the judge {each.recipe().get('judge')}" for each in others]
    return f"Images are compared by {', then by '.join(by) or 'their pixels'}."


def _check_asked(trace: Trace, seeds: int, latents: Any) -> None:
    if not trace.word_maps:
        raise ArgumentError(
            f"{caller()}: this look is at an image and has no words. Give a look at a prompt."
        )
    if seeds < 1:
        raise ArgumentError(
            f"{caller()}: seeds is {seeds} and must be 1 or more; 5 show a tendency."
        )
    if latents is not None and seeds > 1:
        raise ArgumentError(
            f"{caller()}: seeds is {seeds}, and initial noise was given, which has no seed. Leave "
            f"one of them out."
        )
    if trace.recipe.get("edits"):
        named = ", ".join(str(each.get("method", each)) for each in trace.recipe["edits"])
        raise ArgumentError(
            f"{caller()}: this look was made under {named}, and words are hidden from the "
            f"baseline alone. Look without methods."
        )


def _check_repeated(image: Image.Image, again: Image.Image) -> None:
    """Refuse an image that the same noise does not make again, or that shows nothing at all."""
    refuse_void(voids([image], None, []))
    found = pixel_distance(np.asarray(image.convert("RGB")), np.asarray(again.convert("RGB")))
    if found > REPEATED:
        raise ArgumentError(
            f"{caller()}: the same settings and seed gave another image, {found:.3f} of full scale "
            f"away, so what a word changes cannot be measured. Use a scheduler that adds no noise "
            f"of its own, such as DDIM; pass latents= if the look had them."
        )
