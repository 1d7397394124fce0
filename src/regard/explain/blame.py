"""What a map may blame, how it is ablated, and the random controls beside it.

Only the conditional branch is changed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool
from numpy.typing import NDArray

from regard.axes import X, Y
from regard.errors import ArgumentError, unknown
from regard.generation.hidden import masking
from regard.methods import Changes, Method, scale_heads
from regard.tap import TO_TEXT, AttentionCall, LayerHeat
from regard.trace import Prompt, resize

Mask = Bool[NDArray, "y x"]


@dataclass(frozen=True)
class Word:
    """A map blames a word: its tokens are masked for the image.

    Attributes:
        word: ``cat#2`` for the second cat.
    """

    word: str


@dataclass(frozen=True)
class Head:
    """A map blames one head for a word: what the head computes is set to 0.

    Attributes:
        word: Whose map it is.
        layer: Path of the layer, whole names in it that only it has, or its number in running
            order among those in which the image reads the text.
        head: Number of the head.
    """

    word: str
    layer: str | int
    head: int


@dataclass(frozen=True, eq=False)
class Region:
    """A map blames a region for a word: the patches there may not read it.

    Attributes:
        word: ``cat#2`` for the second cat.
        mask: True in the region, over ``y`` and ``x``.
    """

    word: str
    mask: xr.DataArray


Blame = Word | Head | Region


def knocked(
    blame: Blame,
    text: Prompt,
    heats: Sequence[LayerHeat],
    controls: int,
    rng: np.random.Generator,
) -> dict[str, Method]:
    """What knocks out, by name: the blamed, then controls of the same size.

    Args:
        blame: What a map blames.
        text: The prompt of the image.
        heats: The map of the word in each layer; they have the layers and heads.
        controls: How many controls; fewer where there are not as many.
        rng: The generator that samples them.

    Raises:
        UnknownName: the prompt has no such word, or the model no such layer.
        ArgumentError: there is no such head, no control, or no inside of the region.
    """
    if isinstance(blame, Word):
        return _words(blame, text, controls, rng)
    if isinstance(blame, Head):
        return _heads(blame, heats, controls, rng)
    return _regions(blame, text.spelled([blame.word]), controls, rng)


def _words(blame: Word, text: Prompt, controls: int, rng: np.random.Generator) -> dict[str, Method]:
    blamed, pads = text.spelled([blame.word]), text.pads
    others = [t.index for t in text.tokens if t.role == "word" and t.index not in blamed]
    pool, kind = (pads, "padding") if len(pads) >= len(blamed) else (others, "words")
    if len(pool) < len(blamed):
        raise ArgumentError(
            f"knock_out: the prompt has too few tokens beside '{blame.word}' to choose controls "
            f"from. Lengthen or shorten it."
        )
    chosen = _sets(pool, len(blamed), controls, rng)
    named = [(f"{kind} {', '.join(str(at) for at in hidden)}", hidden) for hidden in chosen]
    every = [(blame.word, blamed), *named]
    return {name: masking(hidden) for name, hidden in every}


def _sets(
    pool: Sequence[int], size: int, count: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Different sets of tokens, as many as wanted or as there are."""
    found: dict[tuple[int, ...], None] = {}
    while len(found) < min(count, math.comb(len(pool), size)):
        chosen = rng.choice(list(pool), size, replace=False)
        found[tuple(sorted(int(at) for at in chosen))] = None
    return list(found)


def _heads(
    blame: Head, heats: Sequence[LayerHeat], controls: int, rng: np.random.Generator
) -> dict[str, Method]:
    counts = {heat.layer: heat.heads for heat in heats}
    if blame.layer not in counts:
        raise unknown("layer", blame.layer, counts)
    if not 0 <= blame.head < counts[blame.layer]:
        raise ArgumentError(
            f"knock_out: {blame.layer} has heads 0..{counts[blame.layer] - 1}, not {blame.head}."
        )
    rest = [head for head in range(counts[blame.layer]) if head != blame.head]
    pool = [(blame.layer, head) for head in rest] or [
        (layer, head)
        for layer, heads in counts.items()
        if layer != blame.layer
        for head in range(heads)
    ]
    if not pool:
        raise ArgumentError(
            f"knock_out: the model has no other head of attention to text than {blame.layer}, "
            f"head {blame.head}, so there is no control."
        )
    order = rng.permutation(len(pool))[:controls]
    chosen = [(blame.layer, blame.head), *(pool[int(place)] for place in order)]
    return {f"{layer}, head {head}": scale_heads(layer, {head: 0.0}) for layer, head in chosen}


def _regions(
    blame: Region, hidden: Sequence[int], controls: int, rng: np.random.Generator
) -> dict[str, Method]:
    mask = checked_mask(blame.mask)
    if mask.all():
        raise ArgumentError("knock_out: the region is the whole image. Knock out the Word.")
    known = [mask]
    for shift in rng.permutation(list(np.ndindex(mask.shape))):
        moved = np.roll(mask, shift, axis=(0, 1))
        if len(known) <= controls and not any((moved == each).all() for each in known):
            known.append(moved)
    names = [f"{blame.word} in the region"]
    names += [f"{blame.word} elsewhere, {number + 1}" for number in range(len(known) - 1)]
    return {name: unread(hidden, each) for name, each in zip(names, known, strict=True)}


def unread(tokens: Sequence[int], mask: Mask) -> Method:
    """A method that keeps the patches of a region from attending to some tokens."""
    region = xr.DataArray(mask.astype(float), dims=(Y, X))

    def edit(call: AttentionCall) -> None:
        layout = call.known_layout("knock_out")
        image, text = layout.queries_of("image"), layout.keys_of("text")
        inside = torch.from_numpy(resize(region, image.grid or (1, 1)).values >= 0.5)
        bias = torch.zeros(call.shape[2], call.shape[3])
        queries = image.start + inside.flatten().nonzero()[:, 0]
        for token in tokens:
            bias[queries, text.start + token] = -torch.inf
        call.add_bias(bias.to(call.query.device))

    select = replace(TO_TEXT, condition="cond")
    settings = {"tokens": list(tokens), "region": mask.tolist()}
    return Method("unread", settings, lambda run: Changes([(select, edit)]))


def checked_mask(mask: xr.DataArray) -> Mask:
    """A region as an array over y and x.

    Raises:
        ArgumentError: it is not boolean over these dims, or empty.

    Example:
        >>> checked_mask(xr.DataArray([[True, False]], dims=["y", "x"]))
        array([[ True, False]])
    """
    if mask.dtype != bool or set(mask.dims) != {Y, X}:
        raise ArgumentError(
            f"knock_out: the region is {mask.dtype} over {mask.dims} and must be boolean over "
            f"'{Y}' and '{X}'."
        )
    if not bool(mask.any()):
        raise ArgumentError("knock_out: the region is empty. Give one that is True somewhere.")
    return np.asarray(mask.transpose(Y, X).values)
