"""Maps of words in several readings, and how well each finds the mask of what its word names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from regard.explain import Propagation
from regard.measures.place import iou
from regard.measures.thresholds import best_threshold
from regard.models import TextToImage
from regard.stats.means import bootstrap, paired
from regard.tap import TO_TEXT, HeatMap, OutputMap, Select, has_names
from regard.trace import Prompt, resize
from regard.zoo.cards import READINGS, reading_key

Maps = Mapping[str, xr.DataArray]
"""Maps of all tokens over token, y and x, by the names that `WordWatch.maps` gives them."""

Pair = tuple[xr.DataArray, xr.DataArray]
"""A map and the mask that it should find."""


class WordWatch:
    """Everything about words that is observed in one batch: attention, outputs, propagation.

    Args:
        model: Which generates.
        texts: The prompt of each image of the batch.

    Attributes:
        observers: For a tap.
    """

    def __init__(self, model: TextToImage, texts: Sequence[Prompt]) -> None:
        tokens = [token.index for token in texts[0].tokens]
        self._reading, self._joint = model.reading, model.has_joint_attention
        # Outputs are compared with the start token, which stands for nothing, and with all words.
        among = [range(last_word(text) + 1) for text in texts]
        self._heat = HeatMap(tokens, keep=("layer",))
        self._outputs = {
            "dot": OutputMap(tokens, among=among, sharpness=None, keep=("layer",)),
            "output": OutputMap(tokens, among=among, keep=("layer",)),
        }
        self._carried = Propagation(tokens)
        layers = Select(layers=self._reading.get("layers"), key="text")
        through = Select(layers=self._reading.get("through"), kind="self")
        shown = [(layers, each) for each in (*self._outputs.values(), self._carried)]
        self.observers: list[Any] = [
            (TO_TEXT, self._heat),
            *shown,
            (through, self._carried),
        ]

    def maps(self) -> list[dict[str, xr.DataArray]]:
        """For each image all maps: ``every`` layer, the ``finest``, those ``shown``, and others.

        ``carried`` is there only of models with self-attention of its own.
        """
        heats, names = self._heat.result(), self._reading.get("layers")
        shown = [
            heat
            for heat in heats
            if names is None or any(has_names(heat.layer, name) for name in names)
        ]
        columns = {
            "finest": finest(heats),
            "every": every(heats),
            "shown": every(shown),
            **{name: every(each.result()) for name, each in self._outputs.items()},
            **self._propagated(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _propagated(self) -> dict[str, list[xr.DataArray]]:
        """The mean over steps of what self-attention propagates; nothing of a joint transformer."""
        if self._joint:
            return {}
        steps = list(self._carried.result().values())
        return {"carried": [_tokens_of(each) for each in (sum(steps) / len(steps)).numpy()]}


def _tokens_of(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("token", "y", "x"), attrs={"units": "attention weight"})


def finest(heats: Sequence[Any]) -> list[xr.DataArray]:
    """For each image the maps of all tokens, mean over heads and the layers of the finest grid.

    Coarser layers say what is there more than where: alone, those of 8x8 and 4x4 tokens of
    `openmoji` find its subjects worse than a centred disc.
    """
    grid = max(heat.grid for heat in heats)
    return every([heat for heat in heats if heat.grid == grid])


def every(heats: Sequence[Any]) -> list[xr.DataArray]:
    """For each image the maps of all tokens, mean over heads and all layers on the finest grid."""
    grid = max(heat.grid for heat in heats)
    dims = ("sample", "token", "y", "x")
    layers = [xr.DataArray(heat.maps[:, 0, 0].numpy(), dims=dims) for heat in heats]
    mean: Any = sum(resize(layer, grid) for layer in layers) / len(layers)
    return list(mean.assign_attrs(units="attention weight"))


def last_word(text: Prompt) -> int:
    """The index of the last token that spells part of a prompt."""
    return max(token.index for token in text.tokens if token.role == "word")


def word_map(
    text: Prompt, word: str, maps: xr.DataArray, *, among: Sequence[str] | None = None
) -> xr.DataArray:
    """The map of one word, where it first stands: the sum over its tokens.

    Args:
        text: What was read.
        word: A word of it.
        maps: Over token, y and x.
        among: Words that are compared, this one too; the token after the word then counts as well,
            as `Prompt.carriers` has it. None counts the word's own alone.
    """
    if among is None:
        tokens = text.spelled([word])
    else:
        tokens = text.carriers(among)[list(among).index(word)]
    return maps.isel(token=tokens).sum("token", keep_attrs=True)


def readable(maps: Maps) -> list[str]:
    """The readings that maps of `WordWatch` allow.

    Example:
        >>> "regions" in readable({"finest": xr.DataArray(0.0)})
        False
    """
    carried = ("propagated", "regions")
    return [each for each in READINGS if "carried" in maps or each not in carried]


def read_as(
    reading: str, text: Prompt, word: str, maps: Maps, among: Sequence[str]
) -> xr.DataArray:
    """The map of one word in one of the ways that `regard.zoo.cards.READINGS` lists."""
    if reading == "own":
        return word_map(text, word, maps["finest"])
    if reading == "regions":
        total = maps["shown"] + maps["carried"]
        words = total.isel(token=slice(1, last_word(text) + 1)).sum("token")
        return word_map(text, word, total / words, among=among)
    name = {"carriers": "finest", "propagated": "carried"}.get(reading, reading)
    return word_map(text, word, maps[name], among=among)


@dataclass(frozen=True)
class NamedSubject:
    """One subject of one image: its map in each reading, and the mask that it should find.

    Attributes:
        group: Number of the scene or prompt; even ones choose the threshold, odd ones are scored.
        heats: A map over y and x for each reading.
        mask: Over y and x.
    """

    group: int
    heats: Maps
    mask: xr.DataArray


def readings_of(figure: str, subjects: Sequence[NamedSubject]) -> dict[str, float]:
    """Each reading's mean IoU with interval, and how far it lies above that of own tokens.

    The keys of the first reading are those of ``figure``, the others carry their names; ``_low``
    and ``_high`` are the ends of the 95 % interval, ``_gain``, ``_gain_low`` and ``_gain_high`` the
    paired difference.
    """
    groups = [each.group for each in subjects if each.group % 2]
    figures: dict[str, float] = {}
    own: Any = None
    for reading in [each for each in READINGS if each in subjects[0].heats]:
        values = held_out_ious(*halves(subjects, reading))
        key = reading_key(figure, reading)
        own = values if own is None else own
        figures |= _interval(key, bootstrap(values, clusters=groups))
        if reading != "own":
            gain = paired(own, values, clusters=groups, repeats=2000)
            figures |= _interval(f"{key}_gain", gain.interval)
    return figures


def halves(subjects: Sequence[NamedSubject], reading: str) -> tuple[list[Pair], list[Pair]]:
    """Maps and masks of even groups, which choose a threshold, and of odd ones."""
    both: tuple[list[Pair], list[Pair]] = ([], [])
    for each in subjects:
        both[each.group % 2].append((each.heats[reading], each.mask))
    return both


def held_out_iou(chosen_on: Sequence[Pair], scored_on: Sequence[Pair]) -> float:
    """Mean IoU on one set of maps and masks at the one threshold that is best on another."""
    return float(np.nanmean(held_out_ious(chosen_on, scored_on)))


def held_out_ious(chosen_on: Sequence[Pair], scored_on: Sequence[Pair]) -> list[float]:
    """The IoU of each map of one set at the one threshold that is best on another."""
    limit = best_threshold([heat for heat, _ in chosen_on], [mask for _, mask in chosen_on])
    return [iou(heat, mask, threshold=limit).item() for heat, mask in scored_on]


def _interval(key: str, found: Any) -> dict[str, float]:
    return {key: found.mean, f"{key}_low": found.low, f"{key}_high": found.high}
