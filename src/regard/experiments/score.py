"""Score a folder of images: against their prompts, against other images, or both."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from regard.data.captions import captions_of
from regard.data.pictures import Pictures
from regard.errors import ArgumentError
from regard.experiments.score_report import SCORE, Scores
from regard.progress import Advance, Progress, check_progress, reporting
from regard.scores import clip, fidelity, pairs, perceptual
from regard.stats.ends import LEAST
from regard.stats.means import Interval, bootstrap, paired

Said = Mapping[str, tuple[str, ...]]

COLUMNS = ["measure", "of", "value", "low", "high", "p", "n", "clusters", "unit", "warning"]

IMAGES, AGAINST, DIFFERENCE = "images", "against", "images - against"
PAIRS, SETS = "pairs", "sets"

PAIRED = {
    "image_similarity": clip.image_similarity,
    "perceptual_distance": perceptual.perceptual_distance,
}


def score(
    images: Pictures,
    *,
    against: Pictures | None = None,
    said: Said | None = None,
    encoder: Any = "openmoji-clip",
    scale: str = "cosine",
    prefix: str = "",
    level: float = 0.95,
    seed: int = 0,
    progress: Progress = None,
) -> Scores:
    """Every score that can be computed from a folder of images, with its interval.

    With prompts: the CLIP score. Against other images: FID and KID of the two sets, and where
    the files have the same names, how far apart the two of each name are and by how much the CLIP
    score differs. Images of the same prompt are one cluster.

    Args:
        images: As `regard.data.pictures.pictures` reads them.
        against: Real images, or those of another method.
        said: Texts by file name, as `regard.data.captions.captions` reads them; the score of an
            image with several is their mean.
        encoder: What `regard.models.encoder.encoder` takes.
        scale: As for `regard.scores.clip.clip_score`.
        prefix: As for `regard.scores.clip.clip_score`.
        level: Share of such intervals that hold the true value.
        seed: Of the bootstrap, of exchanges, and of the subsets of KID.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with the number of images encoded so far, and of all.

    Returns:
        `Scores`.

    Raises:
        ArgumentError: there is nothing to score against, an image has no text, the images are
            too few for any number, or ``level`` or ``seed`` cannot be.
        DataError: an image cannot be read, or the encoder not be opened.
        MissingDependency: torchmetrics is not installed.
    """
    if against is None and said is None:
        raise ArgumentError("score: there is nothing to score against. Give prompts, or images.")
    check_progress(progress)
    check_numbers(level, seed)
    clip.check_scale(scale)
    texts = None if said is None else captions_of(images.names, said)
    theirs = against if against is not None and _same_names(images, against) else None
    which = pairs.open_encoder(encoder)
    total = len(images) + len(against or ())
    with reporting(progress, "score") as advance:
        which = remembering(which, total, advance)
        run = _Run(which, scale, prefix, level, seed, clusters=_clusters(images, texts))
        if texts is not None:
            run.fit(images, texts, theirs)
        if against is not None:
            run.pairs(images, theirs)
            run.sets(images, against)
    if not run.rows:
        raise ArgumentError(f"score: {'; '.join(run.notes)}. Give more images, or prompts.")
    told = {"encoder": which.name, **which.recipe, "level": level, "seed": seed}
    told |= {"scale": scale, "prefix": prefix} if texts is not None else {}
    each = {"image": images.names} | ({"prompt": run.clusters} if texts is not None else {})
    table = pd.DataFrame(run.rows, columns=COLUMNS)
    notes = tuple(dict.fromkeys(run.notes))
    units = {row["measure"]: row["unit"] for row in run.rows}
    shown = pd.DataFrame(each | run.each)
    return Scores(SCORE, table, told, notes=notes, units=units, images=shown, files=images)


def check_numbers(level: float, seed: int) -> None:
    """Refuse a level or seed out of range, before anything is encoded.

    Raises:
        ArgumentError: ``level`` does not lie between 0 and 1, or ``seed`` not in 0..2**63-1.
    """
    if not 0 < level < 1:
        raise ArgumentError(f"score: level is {level} and must lie between 0 and 1, as 0.95.")
    if not 0 <= seed < 2**63:
        raise ArgumentError(f"score: seed is {seed} and must lie in 0..2**63-1.")


class _Run:
    """The rows, as they come."""

    def __init__(
        self, which: Any, scale: str, prefix: str, level: float, seed: int, clusters: list[str]
    ) -> None:
        self.which, self.scale, self.prefix = which, scale, prefix
        self.level, self.seed, self.clusters = level, seed, clusters
        self.rows: list[dict[str, Any]] = []
        self.each: dict[str, np.ndarray] = {}
        self.notes: list[str] = []

    def fit(
        self, images: Pictures, texts: Sequence[tuple[str, ...]], theirs: Pictures | None
    ) -> None:
        """How well images fit their prompts, here and there."""
        values = self.clip(images, texts)
        self.each["clip_score"] = values
        unit = clip.SCALES[self.scale]
        self.row("clip_score", IMAGES, self.interval(values), unit)
        if theirs is None:
            return
        others = self.clip(theirs, texts)
        self.row("clip_score", AGAINST, self.interval(others), unit)
        how = {"clusters": self.clusters, "level": self.level, "seed": self.seed}
        found = paired(others, values, **how)
        self.row("clip_score", DIFFERENCE, found.interval, unit, p=found.p)

    def clip(self, pictures: Pictures, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        """The mean score of each image over its texts."""
        numbers = [len(each) for each in texts]
        paths = np.repeat(np.array(pictures.paths, dtype=object), numbers)
        found = clip.clip_score(
            Pictures(tuple(paths)),
            [text for each in texts for text in each],
            model=self.which,
            scale=self.scale,
            prefix=self.prefix,
        )
        if cut := found.attrs["cut"]:
            self.notes.append(f"{cut} texts are longer than '{self.which.name}' reads; it cut them")
        starts = np.concatenate([[0], np.cumsum(numbers)[:-1]])
        return np.asarray(np.add.reduceat(found.values, starts) / numbers)

    def pairs(self, images: Pictures, theirs: Pictures | None) -> None:
        """How far apart the two images of each name are."""
        if theirs is None:
            self.notes.append(
                "the two folders have other file names, so nothing is compared pair by pair"
            )
            return
        names = ["image_similarity"]
        if self.which.layers is None:
            self.notes.append(
                f"'{self.which.name}' shows no layers, so there is no perceptual_distance"
            )
        else:
            names.append("perceptual_distance")
        for name in names:
            found = PAIRED[name](images, theirs, model=self.which)
            self.each[name] = found.values
            self.row(name, PAIRS, self.interval(found.values), found.attrs["units"])

    def sets(self, images: Pictures, against: Pictures) -> None:
        """FID and KID, where there are images enough to speak of."""
        least = min(len(images), len(against))
        for name, needed in (("fid", 2), ("kid", 4)):
            if least < needed:
                self.notes.append(f"{name} needs {needed} images on each side; there are {least}")
                continue
            options = {"seed": self.seed} if name == "kid" else {}
            found = getattr(fidelity, name)(against, images, encoder=self.which, **options)
            ends = _normal_ends(found.item(), found.attrs.get("error", np.nan), self.level)
            interval = Interval(found.item(), *ends, least, least, 0, self.level)
            warning = found.attrs["warning"]
            if name == "kid" and len(set(self.clusters)) < len(images):
                warning += "; the interval takes images of one prompt for independent"
            self.row(name, SETS, interval, found.attrs["units"], warning=warning.lstrip("; "))

    def interval(self, values: np.ndarray) -> Interval:
        """Clustered by prompt."""
        return bootstrap(values, clusters=self.clusters, level=self.level, seed=self.seed)

    def row(
        self,
        name: str,
        of: str,
        found: Interval,
        unit: str,
        *,
        p: float = np.nan,
        warning: str = "",
    ) -> None:
        """Write one down, and say why it has no interval."""
        if of != SETS and found.clusters < LEAST:
            warning = f"{found.clusters} clusters are too few for an interval, which takes {LEAST}"
        ends = {"value": found.mean, "low": found.low, "high": found.high, "p": p}
        counts = {"n": found.n, "clusters": found.clusters, "unit": unit, "warning": warning}
        self.rows.append({"measure": name, "of": of, **ends, **counts})


def remembering(which: Any, total: int, progress: Advance) -> Any:
    """The same encoder, which encodes no image twice, and reports how many it has encoded.

    Args:
        which: An `regard.models.encoder.Encoder`.
        total: How many images there are.
        progress: Called with the number of images encoded so far, and ``total``.
    """
    known: dict[bytes, np.ndarray] = {}

    def features(pictures: Sequence[Image.Image]) -> np.ndarray:
        keys = [_key(each) for each in pictures]
        new = {key: each for key, each in zip(keys, pictures, strict=True) if key not in known}
        if new:
            rows = pairs.features(which, list(new.values()), batch=len(new), caller="score")
            known.update(zip(new, rows.numpy(), strict=True))
            progress(len(known), total)
        return np.stack([known[key] for key in keys])

    return replace(which, features=features)


def _key(picture: Image.Image) -> bytes:
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).digest()


def _normal_ends(value: float, error: float, level: float) -> tuple[float, float]:
    from scipy.stats import norm

    reach = float(norm.ppf((1 + level) / 2)) * error
    return value - reach, value + reach


def _same_names(images: Pictures, against: Pictures) -> bool:
    """Whether the files pair off, whatever their kind: 'a.png' here and 'a.jpg' there."""
    ours, theirs = ([Path(name).stem for name in each.names] for each in (images, against))
    return ours == theirs and len(set(ours)) == len(ours)


def _clusters(images: Pictures, texts: Sequence[tuple[str, ...]] | None) -> list[str]:
    """The first text of each image, or its name: seeds of one prompt are not independent."""
    return list(images.names) if texts is None else [each[0] for each in texts]
