"""What each word of a prompt weighs, and which look redundant by their maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.axes import HEAD, STEP, TOKEN, X, Y
from regard.errors import ArgumentError
from regard.measures.about import TRACE, measure
from regard.measures.spread import normalised_entropy_of_rows
from regard.stats.correlation import pearson_of_rows
from regard.trace import Trace
from regard.trace.words import SPECIAL

LOOKS = "looks redundant"

UNITS = {
    "mass": "share of attention",
    "entropy": "1",
    "distance": "1",
    "threshold": "1",
    "pixel_distance": "share of full scale",
    "pixel_threshold": "share of full scale",
    "own_key_distance": "1",
    "seeds": "images",
    "redundant_share": "share of seeds",
    "share_low": "share of seeds",
    "share_high": "share of seeds",
}


@dataclass(frozen=True)
class Thresholds:
    """Where a word begins to look redundant, and what a verification must show.

    Args:
        mass: Little mass is less than this share of the mean mass of the words of the prompt.
            0.25: the start token takes a part of all attention that differs from model to model,
            so a word is held against the other words; at a quarter of their mean, four such words
            together weigh as one. In 16 images of `openmoji` four of 83 words were below it, none
            of them a subject; three of the four were verified redundant.
        entropy: A map is near-uniform from this normalised entropy on. 0.999: no subject of those
            16 images reached it (the greatest was 0.9989), and 6 % of the words did; 70 % of them
            reached 0.99. On 16x16 patches it is reached when a quarter of the image gets a
            quarter more attention than the rest.
        correlation: Two maps are near-duplicates from this Pearson correlation on. 0.95: nine
            tenths (0.95 squared) of what varies in one map is in the other.
        quantile: A word changed the image if it changed it more than this quantile of the controls,
            each of which hides what is no word. 0.9: nearly the strongest of eight.
        distance: A perceptual distance up to this counts as no change whatever the controls did.
            0.1, like the next two chosen for agreement with deletion on 30 prompts of `openmoji`,
            and in sample there: 61 of 62 articles moved the image by less, and 19 of
            20 colours by more.
        seen: Another thing that is seen counts from this perceptual distance on. 0.02: below it
            two images look the same, and what flickers is the segmenter at the edge of a thing.
        pixel: A mean pixel distance up to this counts as no change whatever the controls did. 0.06:
            fifteen grey levels on average, as where a background goes that the encoder minds
            little.
        agree: A word is redundant, or needed, if it is so at no less than this share of the seeds.
            0.9: up to nine seeds have all to agree.

    Raises:
        ArgumentError: a threshold is negative.

    Example:
        >>> Thresholds().entropy
        0.999
    """

    mass: float = 0.25
    entropy: float = 0.999
    correlation: float = 0.95
    quantile: float = 0.9
    distance: float = 0.1
    seen: float = 0.02
    pixel: float = 0.06
    agree: float = 0.9

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ArgumentError(
                    f"Thresholds: {name} is {value} and must not be negative. "
                    f"The default is {getattr(Thresholds, name)}."
                )
        if self.quantile > 1 or not 0.5 < self.agree <= 1:
            raise ArgumentError(
                f"Thresholds: quantile is {self.quantile} and must lie in 0..1; agree is "
                f"{self.agree} and must be above 0.5 and at most 1."
            )


@measure(unit="by column", higher="by column", reads=TRACE, reduce="heads and steps, then layers")
def word_table(trace: Trace, *, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """What each word of the prompt weighs, 0..1, and whether its map makes it look redundant.

    Mass is the mean attention of image patches to the tokens of the word, over queries, heads and
    steps of each layer and then over layers, each of the same weight. If the trace kept all
    tokens, the masses of all rows add up to 1. Entropy and duplicates are read from
    ``trace.heatmap(word)``.

    Args:
        trace: The trace of one prompt.
        thresholds: Where a word begins to look redundant; by default `Thresholds()`.

    Returns:
        In prompt order one row per word, and one each for ``[start]``, ``[end]`` and ``[pad]`` if
        kept, with the columns word, role, mass (share of attention), entropy (0 on one patch, 1
        even; NaN without mass), duplicate_of (the heavier word with nearly the same map, else
        empty) and verdict: ``looks redundant`` with the reason, or empty. Maps alone say nothing of
        what an image needs; `judge` has the verdict of a verification.
        ``attrs["units"]`` has the units.

    Example:
        >>> from regard.trace import toy_trace
        >>> table = word_table(toy_trace())
        >>> table[["word", "mass", "verdict"]].iloc[[2, 3]].values.tolist()
        [['cat', 0.109375, ''], ['and', 0.03125, 'looks redundant: near-uniform map']]

    Source:
        Mass and maps: Tang et al. (2023), "What the DAAM: Interpreting Stable Diffusion Using
        Cross Attention". Entropy: Shannon (1948), section 7. Duplicates: Pearson
        (1895), "Note on Regression and Inheritance in the Case of Two Parents".

    Differs from the paper:
        Weights are averaged, not summed, and every layer has the same weight.
    """
    limits = thresholds or Thresholds()
    rows = _rows(trace)
    names = [name for name, _ in rows]
    maps = _maps(trace, names)
    table = pd.DataFrame(
        {
            "word": names,
            "role": [role for _, role in rows],
            "mass": _masses(trace, names),
            "entropy": _entropies(maps),
        }
    )
    table["duplicate_of"] = _duplicates(table, maps, least=limits.correlation)
    table["verdict"] = _first_verdicts(table, limits)
    table.attrs["units"] = {name: UNITS[name] for name in table if name in UNITS}
    return table


def unclaimed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of words that says nothing of what an image needs unless a verification did.

    Older tables call a word ``matters`` for its map alone.

    Args:
        table: As `word_table` or `judge` returned it, today or formerly.

    Returns:
        The same table, such verdicts left empty.

    Example:
        >>> old = pd.DataFrame({"word": ["cat"], "verdict": ["matters"]})
        >>> unclaimed(old)["verdict"].tolist()
        ['']
    """
    if "pixel_distance" in table or "verdict" not in table:
        return table
    plain = table.assign(verdict=table["verdict"].where(table["verdict"] != "matters", ""))
    plain.attrs = table.attrs
    return plain


def _rows(trace: Trace) -> list[tuple[str, str]]:
    """Names and roles of what has maps, in prompt order."""
    kept = {int(index) for index in next(iter(trace.word_maps.values()))[TOKEN].values}
    return list(dict.fromkeys((t.name, t.role) for t in trace.tokens if t.index in kept))


def _maps(trace: Trace, names: Sequence[str]) -> NDArray[np.float64]:
    """The heat map of each word in a row."""
    tokens = trace.token_maps()
    maps = [tokens.sel({TOKEN: trace.tokens_of(name)}).sum(TOKEN).values for name in names]
    return np.stack(maps).reshape(len(names), -1)


def _masses(trace: Trace, names: Sequence[str]) -> list[float]:
    layers = [maps.mean((STEP, HEAD, Y, X), dtype=np.float64) for maps in trace.word_maps.values()]
    per_token = sum(layers[1:], layers[0]) / len(layers)
    return [float(per_token.sel({TOKEN: trace.tokens_of(name)}).sum()) for name in names]


def _entropies(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    total = maps.sum(axis=1, keepdims=True)
    return np.asarray(normalised_entropy_of_rows(maps / np.where(total > 0, total, np.nan)))


def _duplicates(table: pd.DataFrame, maps: NDArray[np.float64], *, least: float) -> list[str]:
    """For each word the heaviest word with nearly the same map, if that is heavier than itself."""
    alike = pearson_of_rows(maps) >= least
    words = [place for place, role in enumerate(table["role"]) if role not in SPECIAL]
    # The heaviest first; of two equals the earlier in the prompt.
    words.sort(key=lambda place: (-table["mass"].iloc[place], place))
    found = [""] * len(table)
    for rank, place in enumerate(words):
        heavier = [other for other in words[:rank] if alike[place, other]]
        if heavier:
            found[place] = str(table["word"].iloc[heavier[0]])
    return found


def _first_verdicts(table: pd.DataFrame, limits: Thresholds) -> list[str]:
    words = table["role"] == "word"
    mean = float(table.loc[words, "mass"].mean()) if words.any() else 0.0

    def verdict(row: "pd.Series[Any]") -> str:
        if row["role"] in SPECIAL:
            return ""
        if row["mass"] < limits.mass * mean or row["mass"] == 0:
            return f"{LOOKS}: little mass"
        if row["entropy"] >= limits.entropy:
            return f"{LOOKS}: near-uniform map"
        if row["duplicate_of"]:
            return f"{LOOKS}: duplicate of {row['duplicate_of']}"
        return ""

    return [verdict(row) for _, row in table.iterrows()]
