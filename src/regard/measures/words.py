"""Which words of a prompt matter: by their maps, and then by proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.axes import HEAD, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, unknown
from regard.measures.about import TRACE, measure
from regard.measures.agreement import pearson_of_rows
from regard.measures.spread import normalised_entropy_of_rows
from regard.trace import Trace
from regard.trace.words import SPECIAL

MATTERS = "matters"
REDUNDANT = "redundant"
LOOKS = "looks redundant"
LOOKS_BUT_MATTERS = "looks redundant, but matters"
REDUNDANT_THOUGH = "redundant, though it looks important"
SAME = "same"

COLUMNS = ["word", "role", "mass", "entropy", "duplicate_of", "verdict"]

UNITS = {
    "mass": "share of attention",
    "entropy": "1",
    "pixel_distance": "share of full scale",
    "pad_pixel_distance": "share of full scale",
    "clip_similarity": "cosine",
    "pad_clip_similarity": "cosine",
}


@dataclass(frozen=True)
class Thresholds:
    """Where a word begins to look redundant, and what a proof must show.

    Args:
        mass: Little mass is less than this share of the mean mass of the words of the prompt.
            0.25: the start token takes a part of all attention that differs from model to model,
            so a word is held against the other words; at a quarter of their mean, four such words
            together weigh as one. In 16 pictures of `openmoji` four of 83 words were below it, none
            of them a subject; three of the four were proved redundant.
        entropy: A map is near-uniform from this normalised entropy on. 0.999: no subject of those
            16 pictures reached it (the greatest was 0.9989), and 6 % of the words did; 70 % of them
            reached 0.99. On 16x16 patches it is reached when a quarter of the picture gets a
            quarter more attention than the rest.
        correlation: Two maps are near-duplicates from this Pearson correlation on. 0.95: nine
            tenths (0.95 squared) of what varies in one map is in the other.
        pads: A word was not needed if dropping it changed the image at most this many times as
            much as dropping a padding token did. 2: both take one key away and rescale the
            others, so a pad shows how much any such nudge moves the picture; the factor leaves
            room for the spread between pads and for words of two tokens.
        pixel: A mean pixel distance up to this counts as no change whatever the pad did. 1/255:
            one grey level, which nobody sees.

    Raises:
        ArgumentError: a threshold is negative.

    Example:
        >>> Thresholds().entropy
        0.999
    """

    mass: float = 0.25
    entropy: float = 0.999
    correlation: float = 0.95
    pads: float = 2.0
    pixel: float = 1 / 255

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ArgumentError(
                    f"Thresholds: {name} is {value} and must not be negative. "
                    f"The default is {getattr(Thresholds, name)}."
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
        empty) and verdict (empty unless the role is ``word``). ``attrs["units"]`` has the units.

    Example:
        >>> from regard.trace import toy_trace
        >>> table = word_table(toy_trace())
        >>> table[["word", "mass", "verdict"]].iloc[[2, 3]].values.tolist()
        [['cat', 0.109375, 'matters'], ['and', 0.03125, 'looks redundant: near-uniform map']]

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


def judge(
    table: pd.DataFrame, proof: pd.DataFrame, *, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """The table of words with the evidence of a proof, and the verdict that it leaves standing.

    The proof made the image again at the same seed with the keys of one word masked. A word was
    not needed if both hold: the image changed by no more than ``thresholds.pads`` times what
    dropping a padding token changed (or by no more than ``thresholds.pixel``), and the segmenter
    sees the same.

    Args:
        table: As `word_table` returns it.
        proof: One row per word that was dropped, with the columns word, pixel_distance and
            pad_pixel_distance (see `pixel_distance`); perhaps clip_similarity; perhaps segmenter,
            which says what it saw change, ``same`` where nothing did, or "" where none was asked.
        thresholds: What a proof must show; by default `Thresholds()`.

    Returns:
        The table with the columns of the proof (NaN or "" where a word was not tried). Words that
        were tried have a new verdict: ``redundant``, ``looks redundant, but matters``,
        ``redundant, though it looks important`` or ``matters``.

    Raises:
        ArgumentError: a column is missing, a distance is no number, or a word is there twice.
        UnknownName: the proof has a word that the table has not.

    Example:
        >>> from regard.trace import toy_trace
        >>> proof = pd.DataFrame({"word": ["and", "cat"], "pixel_distance": [0.01, 0.2],
        ...                       "pad_pixel_distance": 0.01, "segmenter": ["same", "no cat"]})
        >>> judged = judge(word_table(toy_trace()), proof)
        >>> judged.set_index("word").loc[["and", "cat"], "verdict"].to_dict()
        {'and': 'redundant', 'cat': 'matters'}

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models": what matters is what is missed when it is deleted.
    """
    limits = thresholds or Thresholds()
    _check_proof(table, proof)
    new = [name for name in proof.columns if name not in COLUMNS]
    judged = table[COLUMNS].merge(proof[["word", *new]], on="word", how="left")
    for name in new:
        if not pd.api.types.is_numeric_dtype(judged[name]):
            judged[name] = judged[name].fillna("")
    tried = judged["pixel_distance"].notna()
    judged["verdict"] = [
        _verdict_after(row, limits) if was_tried else row["verdict"]
        for (_, row), was_tried in zip(judged.iterrows(), tried, strict=True)
    ]
    judged.attrs["units"] = {name: UNITS[name] for name in judged if name in UNITS}
    return judged


def pixel_distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How far two images are apart: 0 the same, 1 black against white.

    Args:
        first: Rows x columns x channels, 0..255.
        second: Another image of the same shape.

    Returns:
        The mean absolute difference over pixels and channels, as a share of full scale.

    Raises:
        ArgumentError: the shapes differ.

    Example:
        >>> pixel_distance(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8))
        0.2

    Source:
        Mean absolute error; Willmott and Matsuura (2005), "Advantages of the mean absolute error".
    """
    if first.shape != second.shape:
        raise ArgumentError(
            f"pixel_distance: the shapes are {first.shape} and {second.shape}. "
            f"Give images of one size."
        )
    return float(np.abs(first.astype(np.float64) - second).mean() / 255)


def _rows(trace: Trace) -> list[tuple[str, str]]:
    """Names and roles of what has maps, in prompt order."""
    kept = {int(index) for index in next(iter(trace.layers.values()))[TOKEN].values}
    return list(dict.fromkeys((t.name, t.role) for t in trace.tokens if t.index in kept))


def _maps(trace: Trace, names: Sequence[str]) -> NDArray[np.float64]:
    """The heat map of each word in a row."""
    tokens = trace.token_maps()
    maps = [tokens.sel({TOKEN: trace.tokens_of(name)}).sum(TOKEN).values for name in names]
    return np.stack(maps).reshape(len(names), -1)


def _masses(trace: Trace, names: Sequence[str]) -> list[float]:
    layers = [maps.mean((STEP, HEAD, Y, X), dtype=np.float64) for maps in trace.layers.values()]
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
        return MATTERS

    return [verdict(row) for _, row in table.iterrows()]


def _check_proof(table: pd.DataFrame, proof: pd.DataFrame) -> None:
    for name in ("word", "pixel_distance", "pad_pixel_distance"):
        if name not in proof.columns:
            raise ArgumentError(
                f"judge: the proof has no column '{name}'; it has {list(proof.columns)}. "
                f"Give word, pixel_distance and pad_pixel_distance."
            )
    for name in ("pixel_distance", "pad_pixel_distance"):
        if not np.isfinite(proof[name].to_numpy(dtype=np.float64)).all():
            raise ArgumentError(
                f"judge: {name} has a value that is no number. Leave that word out."
            )
    twice = proof["word"][proof["word"].duplicated()].tolist()
    if twice:
        raise ArgumentError(f"judge: the proof has '{twice[0]}' twice. Give one row per word.")
    known = table["word"].tolist()
    for word in proof["word"]:
        if word not in known:
            raise unknown("word", word, known)


def _verdict_after(row: "pd.Series[Any]", limits: Thresholds) -> str:
    allowed = max(limits.pads * row["pad_pixel_distance"], limits.pixel)
    seen_to_change = row.get("segmenter", "") not in ("", SAME)
    needed = row["pixel_distance"] > allowed or seen_to_change
    looked = row["verdict"].startswith(LOOKS) or row["verdict"] == REDUNDANT
    if looked:
        return LOOKS_BUT_MATTERS if needed else REDUNDANT
    return MATTERS if needed else REDUNDANT_THOUGH
