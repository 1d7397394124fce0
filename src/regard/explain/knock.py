"""Knock-out: take away what a map blames, and see what changes inside and outside the region."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from regard.axes import X, Y
from regard.errors import ArgumentError, unknown
from regard.look.generate import EditOf, generate, generate_each, hiding, pixels_of
from regard.look.prompt import Prompt, read_whole
from regard.look.settings import Settings
from regard.tap import AttentionCall, Edit, HeatMap, LayerHeat, Tap
from regard.trace import resize

Mask = Bool[NDArray, "y x"]


@dataclass(frozen=True)
class Word:
    """A map blames a word: nobody may read it.

    Attributes:
        word: ``cat#2`` for the second cat.
    """

    word: str


@dataclass(frozen=True)
class Head:
    """A map blames one head for a word: what the head computes is set to 0.

    Attributes:
        word: Whose map it is.
        layer: Path of the layer.
        head: Number of the head.
    """

    word: str
    layer: str
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


def knock_out(
    pipeline: Any,
    prompt: str,
    blame: Blame,
    *,
    region: xr.DataArray | None = None,
    share: float = 0.2,
    controls: int = 4,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 4.0,
) -> pd.DataFrame:
    """How much the picture changes inside and outside a region: 0 nothing, 1 black to white.

    The picture is drawn again from the same noise without what is blamed, and without each of some
    random controls of the same size: for a word, as many padding tokens (other words where there
    are too few); for a head, other heads of its layer or, if it has none, of others; for a region,
    the same region elsewhere. Only the conditional half is changed.

    Args:
        pipeline: A diffusers text-to-image pipeline whose attention the tap has a layout of.
        prompt: What to draw.
        blame: A `Word`, `Head` or `Region`.
        region: True inside, over ``y`` and ``x``; if left out, the region blamed, or the hottest
            patches of the map of the word, in the layer and head that are blamed.
        share: Which share of the patches is the hottest.
        controls: How many controls, drawn by the seed; fewer where there are not as many.
        seed: Of the first noise, and of the controls.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance.

    Returns:
        One row for the blamed, then one a control: knocked_out, control (bool), ``inside`` and
        ``outside`` (mean absolute difference of pixels, share of full scale) and ``ratio`` (inside
        by outside; NaN where nothing changed outside). ``attrs["region"]`` is the mask.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word, or the model no such layer.
        ArgumentError: another argument lies outside what it may be.

    Example:
        >>> from regard.zoo import load
        >>> table = knock_out(load("openmoji"), "a cat", Word("cat"), steps=1, controls=1)
        >>> table["knocked_out"].tolist()[0], len(table)
        ('cat', 2)

    Source:
        Petsiuk et al. (2018), arXiv 1806.07421, for deletion; the controls and the split are ours.
    """
    settings = Settings(prompt, seed=seed, steps=steps, guidance=guidance, caller="knock_out")
    if controls < 1 or not 0 < share < 1:
        raise ArgumentError(
            f"knock_out: controls is {controls} and must be 1 or more; share is {share} and must "
            f"lie between 0 and 1."
        )
    text = read_whole(pipeline, settings)
    heat = HeatMap(text.spelled([blame.word]), keep=("layer", "head"))
    with Tap(pipeline, observe=[heat]):
        generate(pipeline, settings)
    draw = np.random.default_rng(seed)
    knocked = _knocked(blame, text, heat.result(), controls, draw)
    edits = [None, *(edit for _, edit in knocked)]
    first, *others = pixels_of(generate_each(pipeline, settings, edits))
    where = _region(blame, region, heat.result(), share, first.shape[:2])
    rows = [
        {"knocked_out": name, "control": place > 0, **_change(first, other, where)}
        for place, ((name, _), other) in enumerate(zip(knocked, others, strict=True))
    ]
    table = pd.DataFrame(rows)
    table.attrs = {
        "region": xr.DataArray(where, dims=(Y, X)),
        "units": {"inside": "share of full scale", "outside": "share of full scale"},
        "prompt": prompt,
        "seed": seed,
    }
    return table


def _knocked(
    blame: Blame,
    text: Prompt,
    heats: Sequence[LayerHeat],
    controls: int,
    draw: np.random.Generator,
) -> list[tuple[str, EditOf]]:
    """What is knocked out, the blamed first, each with its name."""
    if isinstance(blame, Word):
        return _words(blame, text, controls, draw)
    if isinstance(blame, Head):
        return _heads(blame, heats, controls, draw)
    return _regions(blame, text.spelled([blame.word]), controls, draw)


def _words(
    blame: Word, text: Prompt, controls: int, draw: np.random.Generator
) -> list[tuple[str, EditOf]]:
    blamed, pads = text.spelled([blame.word]), text.pads
    others = [t.index for t in text.tokens if t.role == "word" and t.index not in blamed]
    pool, kind = (pads, "padding") if len(pads) >= len(blamed) else (others, "words")
    if len(pool) < len(blamed):
        raise ArgumentError(
            f"knock_out: the prompt has too few tokens beside '{blame.word}' to draw controls "
            f"from. Lengthen or shorten it."
        )
    drawn = _sets(pool, len(blamed), controls, draw)
    named = [(f"{kind} {', '.join(str(at) for at in hidden)}", hidden) for hidden in drawn]
    every = [(blame.word, blamed), *named]
    return [(name, hiding(hidden)) for name, hidden in every]


def _sets(
    pool: Sequence[int], size: int, count: int, draw: np.random.Generator
) -> list[tuple[int, ...]]:
    """Different sets of tokens, as many as wanted or as there are."""
    found: dict[tuple[int, ...], None] = {}
    while len(found) < min(count, math.comb(len(pool), size)):
        drawn = draw.choice(list(pool), size, replace=False)
        found[tuple(sorted(int(at) for at in drawn))] = None
    return list(found)


def _heads(
    blame: Head, heats: Sequence[LayerHeat], controls: int, draw: np.random.Generator
) -> list[tuple[str, EditOf]]:
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
    order = draw.permutation(len(pool))[:controls]
    chosen = [(blame.layer, blame.head), *(pool[int(place)] for place in order)]
    return [(f"{layer}, head {head}", _silenced(layer, head)) for layer, head in chosen]


def _silenced(layer: str, head: int) -> EditOf:
    def of(row: int) -> Edit:
        def edit(call: AttentionCall) -> None:
            rows = _row_of(call, row)
            if call.layer == layer and rows.start != rows.stop:
                call.scale_heads({head: 0.0}, batch=rows)

        return edit

    return of


def _regions(
    blame: Region, hidden: Sequence[int], controls: int, draw: np.random.Generator
) -> list[tuple[str, EditOf]]:
    mask = _checked_mask(blame.mask)
    if mask.all():
        raise ArgumentError("knock_out: the region is the whole picture. Knock out the Word.")
    known = [mask]
    for shift in draw.permutation(list(np.ndindex(mask.shape))):
        moved = np.roll(mask, shift, axis=(0, 1))
        if len(known) <= controls and not any((moved == each).all() for each in known):
            known.append(moved)
    names = [f"{blame.word} in the region", *[f"{blame.word} elsewhere"] * (len(known) - 1)]
    return [(name, _unread(hidden, each)) for name, each in zip(names, known, strict=True)]


def _row_of(call: AttentionCall, sample: int) -> slice:
    """The conditional row of one image of a batch; empty if the call has none."""
    rows = call.rows_of("cond")
    if rows.start == rows.stop:
        return rows
    return slice(rows.start + sample, rows.start + sample + 1)


def _unread(tokens: Sequence[int], mask: Mask) -> EditOf:
    """The patches of a region may not read some tokens."""
    region = xr.DataArray(mask.astype(float), dims=(Y, X))

    def of(row: int) -> Edit:
        def edit(call: AttentionCall) -> None:
            layout, rows = call.known_layout("knock_out"), _row_of(call, row)
            if rows.start == rows.stop or not layout.has(query="image", key="text"):
                return
            image, text = layout.queries_of("image"), layout.keys_of("text")
            inside = torch.from_numpy(resize(region, image.grid or (1, 1)).values >= 0.5)
            bias = torch.zeros(call.shape[2], call.shape[3])
            queries = image.start + inside.flatten().nonzero()[:, 0]
            for token in tokens:
                bias[queries, text.start + token] = -torch.inf
            call.add_bias(bias.to(call.query.device), batch=rows)

        return edit

    return of


def _region(
    blame: Blame,
    given: xr.DataArray | None,
    heats: Sequence[LayerHeat],
    share: float,
    size: tuple[int, int],
) -> Mask:
    """Where inside is, on the pixels of the picture."""
    if given is None and isinstance(blame, Region):
        given = blame.mask
    if given is not None:
        inside = resize(xr.DataArray(_checked_mask(given).astype(float), dims=(Y, X)), size)
        mask = inside.values >= 0.5
    else:
        hot = resize(_blamed_map(blame, heats), size).values
        mask = hot >= np.quantile(hot, 1 - share)
    if mask.all() or not mask.any():
        raise ArgumentError(
            "knock_out: the region is empty or the whole picture, so there is no inside and "
            "outside. Give region=."
        )
    return np.asarray(mask)


def _blamed_map(blame: Blame, heats: Sequence[LayerHeat]) -> xr.DataArray:
    """The map of the word: in the head that is blamed, or the mean of all."""
    if isinstance(blame, Head):
        heat = next(heat for heat in heats if heat.layer == blame.layer)
        return _plane(heat.maps[0, 0, blame.head].sum(0))
    largest = max((heat.grid for heat in heats), key=lambda grid: grid[0] * grid[1])
    planes = [resize(_plane(heat.maps[0, 0].mean(0).sum(0)), largest) for heat in heats]
    return sum(planes[1:], planes[0]) / len(planes)


def _plane(values: Float[Tensor, "y x"]) -> xr.DataArray:
    return xr.DataArray(values.double().numpy(), dims=(Y, X))


def _checked_mask(mask: xr.DataArray) -> Mask:
    if mask.dtype != bool or set(mask.dims) != {Y, X}:
        raise ArgumentError(
            f"knock_out: the region is {mask.dtype} over {mask.dims} and must be boolean over "
            f"'{Y}' and '{X}'."
        )
    if not bool(mask.any()):
        raise ArgumentError("knock_out: the region is empty. Give one that is True somewhere.")
    return np.asarray(mask.transpose(Y, X).values)


def _change(first: NDArray[Any], other: NDArray[Any], where: Mask) -> dict[str, float]:
    distance = np.abs(first.astype(float) - other).mean(-1) / 255
    inside, outside = float(distance[where].mean()), float(distance[~where].mean())
    ratio = inside / outside if outside > 0 else float("nan")
    return {"inside": inside, "outside": outside, "ratio": ratio}
