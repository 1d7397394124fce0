"""Which words of a prompt look redundant by their maps, and which are, by proof."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.axes import HEAD, STEP, TOKEN, X, Y
from regard.errors import ArgumentError, unknown
from regard.measures.about import TRACE, measure
from regard.measures.spread import normalised_entropy_of_rows
from regard.stats.correlation import pearson_of_rows
from regard.stats.ends import wilson
from regard.trace import Trace
from regard.trace.words import SPECIAL

LOOKS = "looks redundant"
REDUNDANT = "redundant"
NEEDED = "needed"
DEPENDS = "depends on the seed"
BESIDE = "redundant beside"
HERE = " at this seed"
SAME = "same"
BETWEEN = " + "
TOGETHER = "together"

COLUMNS = ["word", "role", "mass", "entropy", "duplicate_of", "verdict"]

PROOF = ["word", "seed", "kind", "distance", "pixel_distance", "seen"]
"""The columns of a proof."""

WORD, CONTROL, OWN_KEY = "word", "control", "own key"
KINDS = (WORD, TOGETHER, CONTROL, OWN_KEY)
"""What a row of a proof is about."""

LEVEL = 0.95
"""Of the interval of a share of seeds."""

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
    """Where a word begins to look redundant, and what a proof must show.

    Args:
        mass: Little mass is less than this share of the mean mass of the words of the prompt.
            0.25: the start token takes a part of all attention that differs from model to model,
            so a word is held against the other words; at a quarter of their mean, four such words
            together weigh as one. In 16 images of `openmoji` four of 83 words were below it, none
            of them a subject; three of the four were proved redundant.
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
        what an image needs; `judge` has the verdict of a proof. ``attrs["units"]`` has the units.

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


def verdicts(proof: pd.DataFrame, *, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """Whether each word, or words together, were needed at each seed, by what hiding it changed.

    It was needed for the first of these reasons: something else is seen in the image without it,
    unless hiding what is no word has the same effect, or the perceptual distance is next to
    nothing; the perceptual distance is more than counts as no change, and more than the quantile of
    that of the controls; the mean distance of pixels is, likewise.

    Args:
        proof: One row for each thing hidden at each seed, with the columns word, seed, kind
            (``word``, ``together``, ``control`` or ``own key``), distance (perceptual; NaN where
            there is none), pixel_distance, and seen: ``same``, or what was seen before and after,
            or "" where nothing was asked. Controls count at their own seed.
        thresholds: What counts as a change; by default `Thresholds()`.

    Returns:
        The rows of words, alone and together, with the columns threshold and pixel_threshold (what
        the distances are compared with), needed, and because: ``seen``, ``distance``, ``pixels``
        or, where it was not needed, nothing.

    Raises:
        ArgumentError: a column is missing, a value is not of its kind, or something is there twice.

    Example:
        >>> proof = pd.DataFrame({"word": ["and", "cat", "[pad]"], "seed": 0,
        ...     "kind": ["word", "word", "control"], "distance": [0.01, 0.4, 0.02],
        ...     "pixel_distance": [0.001, 0.2, 0.01], "seen": ["same", "cat -> nothing", "same"]})
        >>> verdicts(proof)[["word", "threshold", "needed"]].values.tolist()
        [['and', 0.1, False], ['cat', 0.1, True]]

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models": what an output needs is what is missed when it is deleted.
    """
    limits = thresholds or Thresholds()
    _check_proof(proof)
    found = []
    for _, rows in proof.groupby("seed", sort=False):
        controls = rows[rows["kind"] == CONTROL]
        least = [
            max([limit, *_quantile(controls[name], limits.quantile)])
            for name, limit in (("distance", limits.distance), ("pixel_distance", limits.pixel))
        ]
        tried = rows[rows["kind"].isin((WORD, TOGETHER))].assign(
            threshold=least[0], pixel_threshold=least[1]
        )
        noise = {SAME, "", *controls["seen"]}
        tried["because"] = [_reason(row, noise, limits.seen) for _, row in tried.iterrows()]
        tried["needed"] = tried["because"] != ""
        found.append(tried)
    return pd.concat(found)


def judge(
    table: pd.DataFrame, proof: pd.DataFrame, *, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """The table of words with the evidence of a proof, and the verdict that it comes to.

    A word that was found redundant alone, but not together with another that was, is
    ``redundant beside`` that other. With one seed a verdict says that it is of this seed. With
    several, a word is redundant, or needed, where they agree (`Thresholds.agree`), and else
    ``depends on the seed``.

    Args:
        table: As `word_table` returns it.
        proof: As `verdicts` takes it.
        thresholds: What a proof must show; by default `Thresholds()`.

    Returns:
        The table, then a row for words that were hidden together. ``suspicion`` is what the verdict
        was before; distance, pixel_distance and their thresholds are means over seeds, ``seen`` is
        what was first seen to change, ``because`` the first reason; seeds, redundant_share,
        share_low and share_high are the number of seeds, the share at which the word was not
        needed, and its 95 % interval. Words that were not tried have NaN or "" in these columns and
        keep their verdict.

    Raises:
        ArgumentError: as for `verdicts`.
        UnknownName: the proof has a word that the table has not.

    Example:
        >>> from regard.trace import toy_trace
        >>> proof = pd.DataFrame({"word": ["and", "cat"], "seed": 0, "kind": "word",
        ...     "distance": [0.01, 0.4], "pixel_distance": [0.001, 0.2],
        ...     "seen": ["same", "cat -> nothing"]})
        >>> judged = judge(word_table(toy_trace()), proof)
        >>> judged.set_index("word").loc[["and", "cat"], "verdict"].to_dict()
        {'and': 'redundant at this seed', 'cat': 'needed at this seed'}

    Source:
        Interval: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical
        Inference".
    """
    limits = thresholds or Thresholds()
    by_seed = verdicts(proof, thresholds=limits)
    own = by_seed[by_seed["kind"] == WORD]
    known = table.loc[table["role"] == "word", "word"].tolist()
    for word in own["word"]:
        if word not in known:
            raise unknown("word", word, known)
    evidence = _evidence(by_seed, proof)
    plain = table.loc[table["role"] != TOGETHER]
    suspicion = plain["suspicion"] if "suspicion" in plain else plain["verdict"]
    plain = plain[COLUMNS].assign(suspicion=suspicion, verdict="")
    judged = plain.merge(evidence[evidence["kind"] == WORD].drop(columns="kind"), how="left")
    pairs = evidence[evidence["kind"] == TOGETHER].drop(columns="kind").assign(role=TOGETHER)
    judged = pd.concat([judged, pairs], ignore_index=True) if len(pairs) else judged
    for name in ("duplicate_of", "suspicion", "verdict", "seen", "because"):
        judged[name] = judged[name].fillna("")
    found = _told(by_seed, limits)
    judged["verdict"] = [
        found.get(word, was) for word, was in zip(judged["word"], judged["suspicion"], strict=True)
    ]
    judged.attrs["units"] = {name: UNITS[name] for name in judged if name in UNITS}
    return judged


def joined(words: Sequence[str]) -> str:
    """What words that are hidden together are called.

    Example:
        >>> joined(["big", "large"])
        'big + large'
    """
    return BETWEEN.join(words)


def unclaimed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of words that says nothing of what an image needs unless a proof did.

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


def _quantile(values: "pd.Series[Any]", share: float) -> list[float]:
    known = values.dropna()
    return [float(np.quantile(known, share))] if len(known) else []


def _reason(row: "pd.Series[Any]", noise: Collection[str], least: float) -> str:
    """Why a word was needed: what is seen, then perception, then pixels; empty if it was not."""
    if row["seen"] not in noise and not row["distance"] <= least:  # NaN where there is none
        return "seen"
    if row["distance"] > row["threshold"]:
        return "distance"
    return "pixels" if row["pixel_distance"] > row["pixel_threshold"] else ""


def _evidence(by_seed: pd.DataFrame, proof: pd.DataFrame) -> pd.DataFrame:
    """One row for each word, and for words together: means over seeds, and how often not needed."""
    kept = proof[proof["kind"] == OWN_KEY].groupby("word")["distance"].mean()
    rows: list[dict[str, Any]] = []
    for (word, kind), own in by_seed.groupby(["word", "kind"], sort=False):
        changed = [seen for seen in own["seen"] if seen not in (SAME, "")]
        reasons = [reason for reason in own["because"] if reason]
        seeds, spared = len(own), int((~own["needed"].astype(bool)).sum())
        low, high = wilson(np.array(spared / seeds), np.array(float(seeds)), LEVEL)
        means = own[["distance", "threshold", "pixel_distance", "pixel_threshold"]].mean()
        own_key = {"own_key_distance": float(kept.get(word, np.nan))} if len(kept) else {}
        rows.append(
            {
                "word": word,
                "kind": kind,
                **{str(name): value for name, value in means.items()},
                "seen": changed[0] if changed else own["seen"].iloc[0],
                "because": reasons[0] if reasons else "",
                "seeds": seeds,
                "redundant_share": spared / seeds,
                "share_low": float(low),
                "share_high": float(high),
                **own_key,
            }
        )
    return pd.DataFrame(rows)


def _told(by_seed: pd.DataFrame, limits: Thresholds) -> dict[str, str]:
    """The verdict on each word, and on words together."""
    verdict = {
        str(word): _agreed(own["needed"].astype(bool), limits.agree)
        for word, own in by_seed.groupby("word", sort=False)
    }
    here = HERE if by_seed["seed"].nunique() == 1 else ""
    told = {
        word: f"{said}{here}" if said in (NEEDED, REDUNDANT) else said
        for word, said in verdict.items()
    }
    for group in by_seed.loc[by_seed["kind"] == TOGETHER, "word"].unique():
        said, words = verdict[group], str(group).split(BETWEEN)
        if said in (NEEDED, REDUNDANT):
            told[group] = f"{said} together{here}"
        if said == REDUNDANT or len(words) > 2:
            continue
        for word, other in (words, words[::-1]):
            if verdict.get(word) == REDUNDANT and not told[word].startswith(BESIDE):
                told[word] = f"{BESIDE} {other}{here}; together {said}"
    return told


def _agreed(needed: "pd.Series[bool]", share: float) -> str:
    """What the seeds agree on."""
    needing = float(needed.mean())
    if needing >= share:
        return NEEDED
    if 1 - needing >= share:
        return REDUNDANT
    return f"{DEPENDS}: redundant at {int((~needed).sum())} of {len(needed)}"


def _check_proof(proof: pd.DataFrame) -> None:
    lacking = [name for name in PROOF if name not in proof.columns]
    if lacking:
        raise ArgumentError(
            f"judge: the proof has no column '{lacking[0]}'; it has {list(proof.columns)}. "
            f"Give {', '.join(PROOF)}, as regard.look.prove does."
        )
    strange = sorted({str(kind) for kind in proof["kind"]} - set(KINDS))
    if strange:
        raise ArgumentError(f"judge: kind is '{strange[0]}' and must be one of {', '.join(KINDS)}.")
    if not np.isfinite(proof["pixel_distance"].to_numpy(dtype=np.float64)).all():
        raise ArgumentError(
            "judge: pixel_distance has a value that is no number. Leave that word out."
        )
    tried = proof[proof["kind"] != CONTROL]
    if not proof["kind"].isin((WORD, TOGETHER)).any():
        raise ArgumentError("judge: the proof has no word. Give one row per word and seed.")
    twice = tried["word"][tried.duplicated(["word", "seed", "kind"])].tolist()
    if twice:
        raise ArgumentError(
            f"judge: the proof has '{twice[0]}' twice at one seed. Give one row per word and seed."
        )
