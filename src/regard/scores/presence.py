"""Does an image show what its prompt names, in the colours named? By a segmenter's detections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.axes import SAMPLE
from regard.data.scenes import Mention, mentions_in
from regard.measures.about import VERDICTS, labelled, measure
from regard.scores.pairs import check_pairs


@measure(unit="share of subjects", higher="more is missing", reads=VERDICTS, reduce="over subjects")
def neglected_subjects(prompts: Sequence[str], seen: Sequence[Any]) -> xr.DataArray:
    """Which share of the subjects that a prompt names its image lacks: 0..1.

    Args:
        prompts: Texts that name subjects of `regard.data.SUBJECTS`.
        seen: What the segmenter detects in the image of each, from `regard.models.detector.detect`.

    Returns:
        ``sample``; above 0 the image neglects a subject. NaN for a prompt that names none.

    Raises:
        ArgumentError: the numbers differ, or there are none.

    Example:
        >>> from regard.models.detector import Detections
        >>> neglected_subjects(["a cat and a dog", "a house"], [Detections({})] * 2).values
        array([ 1., nan])

    Source:
        Catastrophic neglect: Chefer et al. (2023), "Attend-and-Excite", arXiv 2301.13826,
        section 1; counted by a segmenter here.
    """
    check_pairs("neglected_subjects", prompts, seen)
    missing = [
        [mention.subject not in each.subjects for mention in mentions_in(prompt)]
        for prompt, each in zip(prompts, seen, strict=True)
    ]
    return labelled(_shares(missing), neglected_subjects)


@measure(
    unit="share of colours",
    higher="more is painted wrong",
    reads=VERDICTS,
    reduce="over coloured subjects that are shown",
)
def misbound_colours(prompts: Sequence[str], seen: Sequence[Any]) -> xr.DataArray:
    """Which share of the named colours is not the colour of its subject in the image: 0..1.

    Only subjects that are in the image count: what is neglected has no colour to be wrong.

    Args:
        prompts: As for `neglected_subjects`.
        seen: As for `neglected_subjects`.

    Returns:
        ``sample``; NaN where the image shows no subject whose colour is named.

    Raises:
        ArgumentError: the numbers differ, or there are none.

    Example:
        >>> from regard.models.detector import Detections, Detection
        >>> blue = Detections({"car": Detection(np.ones((1, 1), bool), "blue", 1.0)})
        >>> misbound_colours(["a red car and a red bow", "a blue car"], [blue, blue]).values
        array([1., 0.])

    Source:
        Attribute binding: Chefer et al. (2023), "Attend-and-Excite", arXiv 2301.13826, section 1;
        counted by a segmenter here.
    """
    check_pairs("misbound_colours", prompts, seen)
    wrong = [
        [_shown_otherwise(mention, each) for mention in mentions_in(prompt) if _said(mention, each)]
        for prompt, each in zip(prompts, seen, strict=True)
    ]
    return labelled(_shares(wrong), misbound_colours)


@measure(
    unit="share of subjects",
    higher="more are shown in another number",
    reads=VERDICTS,
    reduce="over subjects of which the prompt names two or three",
)
def miscounted_subjects(prompts: Sequence[str], seen: Sequence[Any]) -> xr.DataArray:
    """Which share of the subjects that a prompt counts its image shows in another number: 0..1.

    Only subjects with 'two' or 'three' before them count; one that is not there at all is shown in
    another number.

    Args:
        prompts: As for `neglected_subjects`.
        seen: As for `neglected_subjects`; things that touch are one.

    Returns:
        ``sample``; NaN where the prompt counts nothing.

    Raises:
        ArgumentError: the numbers differ, or there are none.

    Example:
        >>> from regard.models.detector import Detections, Detection
        >>> two = Detections({"cat": Detection(np.ones((1, 1), bool), "gray", 1.0, count=2)})
        >>> miscounted_subjects(["two cats", "three cats", "a cat"], [two] * 3).values
        array([ 0.,  1., nan])

    Source:
        Counting: Ghosh et al. (2023), GenEval, arXiv 2310.11513, section 3; by connected parts of
        a segmenter's mask here.
    """
    check_pairs("miscounted_subjects", prompts, seen)
    wrong = [
        [
            _number(mention, each) != mention.count
            for mention in mentions_in(prompt)
            if mention.count > 1
        ]
        for prompt, each in zip(prompts, seen, strict=True)
    ]
    return labelled(_shares(wrong), miscounted_subjects)


def _number(mention: Mention, seen: Any) -> int:
    found = seen.subjects.get(mention.subject)
    return 0 if found is None else int(found.count)


def _said(mention: Mention, seen: Any) -> bool:
    return mention.colour is not None and mention.subject in seen.subjects


def _shown_otherwise(mention: Mention, seen: Any) -> bool:
    return bool(seen.subjects[mention.subject].colour != mention.colour)


def _shares(hits: list[list[bool]]) -> xr.DataArray:
    """The share of true ones in each; NaN of none."""
    shares = [float(np.mean(each)) if each else np.nan for each in hits]
    return xr.DataArray(shares, dims=(SAMPLE,))
