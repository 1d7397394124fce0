"""What training scenes do not show and their captions do not say: models are judged on it."""

from regard.data.drawings import COLOURS, OBJECTS, SUBJECTS
from regard.data.prompts import prompts
from regard.data.scenes.grounds import BACKGROUNDS
from regard.data.scenes.language import Articles, Mention, caption
from regard.data.scenes.parts import Content


def _pairs() -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(SUBJECTS) for b in SUBJECTS[i + 1 :]]


HELD_OUT_PAIRS = frozenset(frozenset(pair) for pair in _pairs()[5::10])
"""28 of the 276 pairs of subjects: no training scene shows both."""


def _prompts(counts: tuple[int, int], shift: int) -> dict[str, tuple[str, str]]:
    """Two prompts for each subject, the second with a background; objects have colours."""
    colours, grounds = list(COLOURS), list(BACKGROUNDS)
    made: dict[str, tuple[str, str]] = {}
    for i, subject in enumerate(SUBJECTS):
        first, second = None, None
        if subject in OBJECTS:
            first, second = colours[(i + shift) % 11], colours[(i + 4 + shift) % 11]
        ground = grounds[(i + shift) % len(grounds)]
        made[subject] = (
            caption([Mention(subject, first, counts[0])]),
            caption([Mention(subject, second, counts[1])], ground),
        )
    return made


HELD_OUT_SINGLES = _prompts((1, 1), 0)
"""For each subject two prompts that no training caption uses, the second with a background."""

HELD_OUT_COUNTS = _prompts((2, 3), 2)
"""For each subject 'two ...' and 'three ... on the ...', which no training caption says."""

_FORBIDDEN = frozenset(prompts()) | {
    text for pair in (*HELD_OUT_SINGLES.values(), *HELD_OUT_COUNTS.values()) for text in pair
}


def is_held_out(content: Content) -> bool:
    """Whether a training scene may not be this."""
    mentions = content.mentions
    if frozenset(each.subject for each in mentions) in HELD_OUT_PAIRS:
        return True
    ground = content.background if content.names_background else None
    styles: tuple[Articles, Articles] = ("english", "literal")
    return any(
        caption(order, ground, style, content.relation) in _FORBIDDEN
        for order in (mentions, mentions[::-1])
        for style in styles
    )


def unseen_prompts() -> list[str]:
    """64 prompts that no training caption says: single subjects, counts, and pairs.

    Example:
        >>> len(unseen_prompts()), unseen_prompts()[0]
        (64, 'a cat on the grass')
    """
    singles = [pair[1] for pair in HELD_OUT_SINGLES.values()]
    counts = [pair[number % 2] for number, pair in enumerate(HELD_OUT_COUNTS.values())]
    return [*singles, *counts[::3], *counts[1::3], *prompts()[::12], prompts()[6]]
