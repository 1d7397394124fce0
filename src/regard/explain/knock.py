"""Knock-out: ablate what a map blames, and see what changes inside and outside the region."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from regard.arguments import number, shown, verb, whole
from regard.axes import X, Y
from regard.errors import ArgumentError
from regard.explain.blame import Blame, Head, Mask, Region, Word, checked_mask, knocked
from regard.generation import Request, Sampling, generate
from regard.generation.batches import generate_to_compare
from regard.layers import one_layer
from regard.models.text_to_image import TextToImage
from regard.tap import TO_TEXT, HeatMap, LayerHeat
from regard.trace import resize


@verb
def knock_out(
    model: Any,
    prompt: str,
    blame: Blame,
    *,
    region: xr.DataArray | None = None,
    share: float = 0.2,
    controls: int = 4,
    **sampling: Unpack[Sampling],
) -> pd.DataFrame:
    """How much the image changes inside and outside a region: 0 nothing, 1 black to white.

    The image is generated again from the same noise without what is blamed, and without each of
    some random controls of the same size: for a word, as many padding tokens (other words where
    there are too few); for a head, other heads of its layer or, if it has none, of others; for a
    region, the same region elsewhere. Only the conditional branch is changed.

    Args:
        model: A text-to-image model, as `regard.look` takes it.
        prompt: What to generate.
        blame: A `Word`, `Head` or `Region`.
        region: True inside, over ``y`` and ``x``; if left out, the region blamed, or the hottest
            patches of the map of the word, in the layer and head that are blamed.
        share: Which share of the patches is the hottest.
        controls: How many controls, chosen by the seed; fewer where there are not as many.
        **sampling: As in `regard.generation.Sampling`.

    Returns:
        One row for the blamed, then one a control: knocked_out, control (bool), ``inside`` and
        ``outside`` (mean absolute difference of pixels, share of full scale) and ``ratio`` (inside
        by outside; NaN where nothing changed outside). ``attrs["region"]`` is the mask.

    Raises:
        PromptError: the prompt is empty or too long.
        UnknownName: the prompt has no such word, or the model no such layer.
        ArgumentError: another argument lies outside what it may be.

    Example:
        >>> from regard.explain import Word
        >>> from regard.models import load
        >>> few = {"num_inference_steps": 1, "controls": 1}
        >>> table = knock_out(load("openmoji"), "a cat", Word("cat"), **few)
        >>> table["knocked_out"].tolist()[0], len(table)
        ('cat', 2)

    Source:
        Petsiuk et al. (2018), arXiv 1806.07421, for deletion; the controls and the split are ours.
    """
    request = Request.of(prompt, sampling)
    controls = whole(controls, "controls", "knock_out", least=1)
    share = number(share, "share", "knock_out", least=0, most=1, above=True)
    if share == 1:
        raise ArgumentError("knock_out: share is 1, so there is no outside. Give less, as 0.2.")
    if not isinstance(blame, Word | Head | Region):
        raise ArgumentError(
            f"knock_out: blame is {shown(blame)} and must be a Word, a Head or a Region of "
            f"regard.explain, such as Word('cat')."
        )
    model = TextToImage.of(model)
    request = model.decide(request)
    text, blame = model.tokenize(prompt, whole=True), _found(blame, model)
    heat = HeatMap(text.spelled([blame.word]), keep=("layer", "head"))
    generate(model, [request], observe=[heat])
    rng = np.random.default_rng(request.seed)
    removed = knocked(blame, text, heat.result(), controls, rng)
    requests = [request, *(replace(request, methods=(each,)) for each in removed.values())]
    images = generate_to_compare(model, requests)
    first, *others = (np.asarray(image.convert("RGB")) for image in images)
    where = _region(blame, region, heat.result(), share, first.shape[:2])
    rows = [
        {"knocked_out": name, "control": place > 0, **_change(first, other, where)}
        for place, (name, other) in enumerate(zip(removed, others, strict=True))
    ]
    table = pd.DataFrame(rows)
    table.attrs = {
        "region": xr.DataArray(where, dims=(Y, X)),
        "units": {"inside": "share of full scale", "outside": "share of full scale"},
        "prompt": prompt,
        "seed": request.seed,
    }
    return table


def _found(blame: Blame, model: TextToImage) -> Blame:
    """What is blamed, a head by the whole path of its layer and its own number.

    Raises:
        UnknownName: the image reads the text in no layer that is called so.
        ArgumentError: several layers are called so, or the layer has no such head.
    """
    if not isinstance(blame, Head):
        return blame
    there = TO_TEXT.left_of(model.layers)
    layer = one_layer(there, blame.layer, caller="knock_out")
    head = whole(blame.head, "head", "knock_out")
    if layer.heads and not 0 <= head < layer.heads:
        raise ArgumentError(f"knock_out: {layer.path} has heads 0..{layer.heads - 1}, not {head}.")
    return replace(blame, layer=layer.path, head=head)


def _region(
    blame: Blame,
    given: xr.DataArray | None,
    heats: Sequence[LayerHeat],
    share: float,
    size: tuple[int, int],
) -> Mask:
    """Where inside is, on the pixels of the image."""
    if given is None and isinstance(blame, Region):
        given = blame.mask
    if given is not None:
        inside = resize(xr.DataArray(checked_mask(given).astype(float), dims=(Y, X)), size)
        mask = inside.values >= 0.5
    else:
        hot = resize(_blamed_map(blame, heats), size).values
        mask = hot >= np.quantile(hot, 1 - share)
    if mask.all() or not mask.any():
        raise ArgumentError(
            "knock_out: the region is empty or the whole image, so there is no inside and "
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


def _change(first: NDArray[Any], other: NDArray[Any], where: Mask) -> dict[str, float]:
    distance = np.abs(first.astype(float) - other).mean(-1) / 255
    inside, outside = float(distance[where].mean()), float(distance[~where].mean())
    ratio = inside / outside if outside > 0 else float("nan")
    return {"inside": inside, "outside": outside, "ratio": ratio}
