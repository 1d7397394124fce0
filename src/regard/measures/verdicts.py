"""Which words of a prompt an image needs, by what hiding each of them changed."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regard.errors import ArgumentError, unknown
from regard.measures.words import UNITS, Thresholds
from regard.stats.ends import wilson

REDUNDANT = "redundant"
NEEDED = "needed"
DEPENDS = "depends on the seed"
BESIDE = "redundant beside"
HERE = " at this seed"
SAME = "same"
BETWEEN = " + "
TOGETHER = "together"

COLUMNS = ["word", "role", "mass", "entropy", "duplicate_of", "verdict"]

VERIFICATION = ["word", "seed", "kind", "distance", "pixel_distance", "seen"]
"""The columns of a verification."""

WORD, CONTROL, OWN_KEY = "word", "control", "own key"
KINDS = (WORD, TOGETHER, CONTROL, OWN_KEY)
"""What a row of a verification is about."""

LEVEL = 0.95
"""Of the interval of a share of seeds."""


def verdicts(verification: pd.DataFrame, *, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """Whether each word, or words together, were needed at each seed, by what hiding it changed.

    It was needed for the first of these reasons: something else is seen in the image without it,
    unless hiding what is no word has the same effect, or the perceptual distance is next to
    nothing; the perceptual distance is more than counts as no change, and more than the quantile of
    that of the controls; the mean distance of pixels is, likewise.

    Args:
        verification: One row for each thing hidden at each seed, with the columns word, seed, kind
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
        >>> verification = pd.DataFrame({"word": ["and", "cat", "[pad]"], "seed": 0,
        ...     "kind": ["word", "word", "control"], "distance": [0.01, 0.4, 0.02],
        ...     "pixel_distance": [0.001, 0.2, 0.01], "seen": ["same", "cat -> nothing", "same"]})
        >>> verdicts(verification)[["word", "threshold", "needed"]].values.tolist()
        [['and', 0.1, False], ['cat', 0.1, True]]

    Source:
        Petsiuk et al. (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
        Models": what an output needs is what is missed when it is deleted.
    """
    limits = thresholds or Thresholds()
    _check_verification(verification)
    found = []
    for _, rows in verification.groupby("seed", sort=False):
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
    table: pd.DataFrame, verification: pd.DataFrame, *, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """The table of words with the evidence of a verification, and the verdict that it comes to.

    A word that was found redundant alone, but not together with another that was, is
    ``redundant beside`` that other. With one seed a verdict says that it is of this seed. With
    several, a word is redundant, or needed, where they agree (`Thresholds.agree`), and else
    ``depends on the seed``.

    Args:
        table: As `word_table` returns it.
        verification: As `verdicts` takes it.
        thresholds: What a verification must show; by default `Thresholds()`.

    Returns:
        The table, then a row for words that were hidden together. ``suspicion`` is what the verdict
        was before; distance, pixel_distance and their thresholds are means over seeds, ``seen`` is
        what was first seen to change, ``because`` the first reason; seeds, redundant_share,
        share_low and share_high are the number of seeds, the share at which the word was not
        needed, and its 95 % interval. Words that were not tried have NaN or "" in these columns and
        keep their verdict.

    Raises:
        ArgumentError: as for `verdicts`.
        UnknownName: the verification has a word that the table has not.

    Example:
        >>> from regard.measures.words import word_table
        >>> from regard.trace import toy_trace
        >>> verification = pd.DataFrame({"word": ["and", "cat"], "seed": 0, "kind": "word",
        ...     "distance": [0.01, 0.4], "pixel_distance": [0.001, 0.2],
        ...     "seen": ["same", "cat -> nothing"]})
        >>> judged = judge(word_table(toy_trace()), verification)
        >>> judged.set_index("word").loc[["and", "cat"], "verdict"].to_dict()
        {'and': 'redundant at this seed', 'cat': 'needed at this seed'}

    Source:
        Interval: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical
        Inference".
    """
    limits = thresholds or Thresholds()
    by_seed = verdicts(verification, thresholds=limits)
    own = by_seed[by_seed["kind"] == WORD]
    known = table.loc[table["role"] == "word", "word"].tolist()
    for word in own["word"]:
        if word not in known:
            raise unknown("word", word, known)
    evidence = _evidence(by_seed, verification)
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


def _evidence(by_seed: pd.DataFrame, verification: pd.DataFrame) -> pd.DataFrame:
    """One row for each word, and for words together: means over seeds, and how often not needed."""
    kept = verification[verification["kind"] == OWN_KEY].groupby("word")["distance"].mean()
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


def _check_verification(verification: pd.DataFrame) -> None:
    lacking = [name for name in VERIFICATION if name not in verification.columns]
    if lacking:
        raise ArgumentError(
            f"judge: the verification has no column '{lacking[0]}'; it has "
            f"{list(verification.columns)}. "
            f"Give {', '.join(VERIFICATION)}, as regard.look.verify does."
        )
    strange = sorted({str(kind) for kind in verification["kind"]} - set(KINDS))
    if strange:
        raise ArgumentError(f"judge: kind is '{strange[0]}' and must be one of {', '.join(KINDS)}.")
    if not np.isfinite(verification["pixel_distance"].to_numpy(dtype=np.float64)).all():
        raise ArgumentError(
            "judge: pixel_distance has a value that is no number. Leave that word out."
        )
    tried = verification[verification["kind"] != CONTROL]
    if not verification["kind"].isin((WORD, TOGETHER)).any():
        raise ArgumentError("judge: the verification has no word. Give one row per word and seed.")
    twice = tried["word"][tried.duplicated(["word", "seed", "kind"])].tolist()
    if twice:
        raise ArgumentError(
            f"judge: the verification has '{twice[0]}' twice at one seed. Give one row per "
            f"word and seed."
        )
