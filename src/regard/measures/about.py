"""What a measure says about itself: unit, range, what a higher value means, what it reads."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr

F = TypeVar("F", bound=Callable[..., Any])

ROWS = "rows"
GRID_ROWS = "grid rows"
PATCH_ROWS = "rows of patches"
SINK_ROWS = "rows with a prefix"
HEADS = "heads"
HEADS_PER_QUERY = "heads per query"
MAP = "map"
MAPS = "maps"
MAP_AND_MASK = "map and mask"
GRID_ROWS_AND_MASK = "grid rows and mask"
LAYERS = "layers"
NORMS = "norms"
TRACE = "trace"
PICTURES = "pictures"
PICTURES_AND_TEXTS = "pictures and texts"
TEXTS = "texts"
VERDICTS = "verdicts"

READS: dict[str, str] = {
    ROWS: "weights that sum to 1 over one dim",
    GRID_ROWS: "weights that sum to 1, whose keys are the patches of a grid",
    PATCH_ROWS: "weights of the patches of a grid, which are its keys too",
    SINK_ROWS: "weights that sum to 1, and how many keys come before the patches",
    HEADS: "weights over head, query and key",
    HEADS_PER_QUERY: "weights over head, query and key; one value per query, then their mean",
    MAP: "a map over y and x, in shares of attention",
    MAPS: "several maps over y and x",
    MAP_AND_MASK: "a map over y and x, and a mask of pixels",
    GRID_ROWS_AND_MASK: "self-attention over a grid, and a mask of pixels",
    LAYERS: "weights over head, query and key, of one layer after the other",
    NORMS: "one length per token",
    TRACE: "a trace",
    PICTURES: "two rows of images, and an encoder",
    PICTURES_AND_TEXTS: "pictures, a text for each, and an encoder",
    TEXTS: "two rows of texts, and an encoder",
    VERDICTS: "prompts, and what a segmenter sees in an image of each",
}
"""What a measure takes, in words."""

PER_QUERY = "one value per query; average afterwards"
QUERIES_LAST = "per query first, then the mean over queries"
NONE = "nothing is averaged"


@dataclass(frozen=True)
class About:
    """What one needs to know to read a value of a measure.

    Args:
        question: What it answers, with the scale of the answer, in one sentence.
        unit: The unit of its values.
        low: The least value there can be.
        high: The greatest: a number, or words such as ``log2(keys)``.
        higher: What a higher value means.
        reads: What it takes; one of the keys of `READS`.
        reduce: What is averaged, and in which order.
        source: Where the definition comes from.

    Example:
        >>> from regard.measures.spread import entropy
        >>> entropy.about.unit, entropy.about.range, entropy.about.higher
        ('bit', '0..log2(keys)', 'spread wider')
    """

    question: str
    unit: str
    low: float | str
    high: float | str
    higher: str
    reads: str
    reduce: str
    source: str

    @property
    def range(self) -> str:
        """The least and the greatest value, as ``low..high``.

        Example:
            >>> About("?", "1", 0.0, 1.0, "more", "rows", "none", "").range
            '0..1'
        """
        ends = [f"{end:g}" if isinstance(end, float) else end for end in (self.low, self.high)]
        return "..".join(end for end in ends if end)


def measure(
    *,
    unit: str,
    reads: str,
    higher: str,
    low: float | str = 0.0,
    high: float | str = 1.0,
    reduce: str = PER_QUERY,
) -> Callable[[F], F]:
    """Give a function its ``.about``; question and source are read from its docstring.

    Args:
        unit: As in `About`.
        reads: As in `About`.
        higher: As in `About`.
        low: As in `About`.
        high: As in `About`.
        reduce: As in `About`.

    Returns:
        A decorator that returns the function itself.

    Example:
        >>> @measure(unit="key", reads="rows", higher="more keys", high="keys")
        ... def count(weights):
        ...     \"\"\"How many keys there are.\"\"\"
        >>> count.about.question
        'How many keys there are.'
    """

    def give(function: F) -> F:
        question, source = _told(function)
        about = About(question, unit, low, high, higher, reads, reduce, source)
        function.about = about  # type: ignore[attr-defined]  # functions take attributes
        return function

    return give


def about_of(function: Callable[..., Any]) -> About:
    """The ``.about`` of a measure; for one without, what its docstring says.

    Example:
        >>> about_of(len).unit
        'see its docstring'
    """
    found = getattr(function, "about", None)
    if isinstance(found, About):
        return found
    question, source = _told(function)
    see = "see its docstring"
    return About(question, see, "", "", see, see, see, source)


def labelled(value: xr.DataArray, function: Callable[..., Any], **attrs: Any) -> xr.DataArray:
    """A result under the name of its measure, with its unit and how many values are undefined."""
    undefined = int(np.isnan(value.values).sum())
    plain = value.drop_attrs(deep=False).rename(function.__name__)
    return plain.assign_attrs(units=about_of(function).unit, undefined=undefined, **attrs)


def _told(function: Callable[..., Any]) -> tuple[str, str]:
    """The first line and the Source section of a docstring; empty under ``python -OO``."""
    text = inspect.getdoc(function) or ""
    sections = re.findall(r"^Source:\n((?:    .*\n?)+)", text, re.M)
    return text.split("\n\n")[0].replace("\n", " "), " ".join(" ".join(sections).split())
