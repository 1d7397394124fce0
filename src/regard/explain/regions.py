"""Where the things are that words name: the best of the maps that were measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

import regard.models as models
import regard.zoo as zoo
from regard.axes import STEP, TOKEN, X, Y
from regard.explain.propagate import Propagation
from regard.look.generate import generate
from regard.look.prompt import check_words, read_whole
from regard.look.settings import Settings
from regard.tap import Select, Tap
from regard.trace import Prompt

UNIT = "share of the attention to words"


def word_regions(
    pipeline: Any,
    prompt: str,
    *,
    words: Sequence[str] | None = None,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 4.0,
    carriers: bool | None = None,
    layers: str | Sequence[str] | None = None,
    through: str | Sequence[str] | None = None,
) -> xr.DataArray:
    """Where the thing is that each word names, 0..1: what a patch and its like attend to.

    The attention to each token is averaged with what self-attention makes of it in one step, over
    heads, layers and steps; then each patch's attention to words is shared out among them. With a
    bundled model this finds more of the true masks than attention alone, as its card says.

    Args:
        pipeline: A diffusers text-to-image pipeline with self-attention among patches.
        prompt: What to generate.
        words: The words to tell of, ``cat#2`` for the second cat; all if left out.
        seed: Of the initial noise.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance.
        carriers: Whether a word is read at the token after it too, unless that belongs to another
            of ``words`` that were named; None as was measured for the model, else not.
        layers: Whose attention to text is read; None as was measured for the model, else all.
        through: Whose self-attention carries it on; None as was measured for the model, else all
            of the finest grid of up to 32 x 32.

    Returns:
        ``word``, ``y``, ``x``; without carriers the words of a prompt sum to 1 at each patch.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word, or the model no such layer.
        ArgumentError: another argument lies outside what it may be.
        NothingObserved: there was no attention to text, or no self-attention in such layers.

    Example:
        >>> from regard.models import load
        >>> found = word_regions(load("openmoji"), "a cat", words=["cat"], steps=1)
        >>> found.dims, found.sizes["word"]
        (('word', 'y', 'x'), 1)

    Source:
        Wang et al. (2023), "Diffusion Model is Secretly a Training-free Open Vocabulary Semantic
        Segmenter", arXiv 2309.02773. Differs from the paper: half of a map stays, the token after
        a word may count, and shares among words take the place of a range of 0..1.
    """
    settings = Settings(prompt, seed=seed, steps=steps, guidance=guidance, caller="word_regions")
    check_words(words, settings.caller)
    text = read_whole(pipeline, settings)
    every = [token.index for token in text.tokens if token.role == "word"]
    names = _names(text) if words is None else list(words)
    told = measured(pipeline)
    carriers = told.get("carriers", False) if carriers is None else carriers
    groups = _groups(text, names, carriers=carriers, apart=words is not None)
    kept = Propagation(every, stay=0.5)
    crossing = Select(layers=told.get("layers") if layers is None else layers, key="text")
    carrying = Select(layers=told.get("through") if through is None else through, kind="self")
    with Tap(pipeline, observe=[(crossing, kept), (carrying, kept)]):
        generate(pipeline, settings)
    steps_of = np.stack([each[0].double().numpy() for each in kept.result().values()])
    maps = xr.DataArray(steps_of, dims=(STEP, TOKEN, Y, X), coords={TOKEN: every}).mean(STEP)
    shares = maps / maps.sum(TOKEN)
    parts = [shares.sel({TOKEN: group}).sum(TOKEN) for group in groups]
    found = xr.concat(parts, "word").assign_coords(word=names).rename("word_regions")
    return found.assign_attrs(units=UNIT, prompt=prompt, carriers=carriers)


def measured(pipeline: Any) -> dict[str, Any]:
    """How words of a model are best read, by its recipe; empty where nothing was measured.

    Example:
        >>> measured(None)
        {}
    """
    name = models.name_of(pipeline)
    return dict(zoo.recipe(name).reading) if name in zoo.recipes() else {}


def _names(text: Prompt) -> list[str]:
    return list(dict.fromkeys(token.name for token in text.tokens if token.role == "word"))


def _groups(text: Prompt, names: list[str], *, carriers: bool, apart: bool) -> list[list[int]]:
    """The tokens of each word; words that were named keep theirs to themselves."""
    if not carriers:
        return [text.spelled([name]) for name in names]
    return text.carriers(names) if apart else [text.carriers([name])[0] for name in names]
