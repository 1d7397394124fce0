"""Where the things are that words name: the best of the maps that were measured."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr

from regard.arguments import flag, verb
from regard.axes import STEP, TOKEN, X, Y
from regard.explain.propagate import Propagation
from regard.generation import Request, Sampling, generate
from regard.look.asked import check_words
from regard.models.text_to_image import TextToImage
from regard.tap import Select
from regard.trace import Prompt

UNIT = "share of the attention to words"


@verb
def word_regions(
    model: Any,
    prompt: str,
    *,
    words: Sequence[str] | None = None,
    carriers: bool | None = None,
    layers: str | Sequence[str] | None = None,
    through: str | Sequence[str] | None = None,
    **sampling: Unpack[Sampling],
) -> xr.DataArray:
    """Where the thing is that each word names, 0..1: what a patch and its like attend to.

    The attention to each token is averaged with what self-attention makes of it in one step, over
    heads, layers and steps; then each patch's attention to words is shared out among them. With a
    bundled model this finds more of the true masks than attention alone, as its card says.

    Args:
        model: A text-to-image model with self-attention among patches, as `regard.look` takes it.
        prompt: What to generate.
        words: The words to find, ``cat#2`` for the second cat; all if left out.
        carriers: Whether a word is read at the token after it too, unless that belongs to another
            of ``words`` that were named; None as was measured for the model, else not.
        layers: Whose attention to text is read; None as was measured for the model, else all.
        through: Whose self-attention propagates it; None as was measured for the model, else all
            of the finest grid of up to 32 x 32.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        ``word``, ``y``, ``x``; without carriers the words of a prompt sum to 1 at each patch.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word, or the model no such layer.
        ArgumentError: another argument lies outside what it may be.
        NothingObserved: there was no attention to text, or no self-attention in such layers.

    Example:
        >>> from regard.models import load
        >>> found = word_regions(load("openmoji"), "a cat", words=["cat"], num_inference_steps=1)
        >>> found.dims, found.sizes["word"]
        (('word', 'y', 'x'), 1)

    Source:
        Wang et al. (2023), "Diffusion Model is Secretly a Training-free Open Vocabulary Semantic
        Segmenter", arXiv 2309.02773. Differs from the paper: half of a map stays, the token after
        a word may count, and shares among words take the place of a range of 0..1.
    """
    request = Request.of(prompt, sampling)
    check_words(words)
    if carriers is not None:
        carriers = flag(carriers, "carriers", "word_regions")
    model = TextToImage.of(model)
    text = model.tokenize(prompt, whole=True)
    every = [token.index for token in text.tokens if token.role == "word"]
    names = text.word_names if words is None else list(words)
    usual = model.reading
    if carriers is None:
        carriers = usual.get("carriers", False)
    groups = _groups(text, names, carriers=carriers, apart=words is not None)
    kept = Propagation(every, stay=0.5)
    crossing = Select(layers=usual.get("layers") if layers is None else layers, key="text")
    carrying = Select(layers=usual.get("through") if through is None else through, kind="self")
    generate(model, [request], observe=[(crossing, kept), (carrying, kept)])
    steps_of = np.stack([each[0].double().numpy() for each in kept.result().values()])
    maps = xr.DataArray(steps_of, dims=(STEP, TOKEN, Y, X), coords={TOKEN: every}).mean(STEP)
    shares = maps / maps.sum(TOKEN)
    parts = [shares.sel({TOKEN: group}).sum(TOKEN) for group in groups]
    found = xr.concat(parts, "word").assign_coords(word=names).rename("word_regions")
    return found.assign_attrs(units=UNIT, prompt=prompt, carriers=carriers)


def _groups(text: Prompt, names: list[str], *, carriers: bool, apart: bool) -> list[list[int]]:
    """The tokens of each word; words that were named keep theirs to themselves."""
    if not carriers:
        return [text.spelled([name]) for name in names]
    return text.carriers(names) if apart else [text.carriers([name])[0] for name in names]
