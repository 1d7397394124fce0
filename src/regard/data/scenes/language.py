"""What a caption says: subjects, their colours and number, how they stand, what they lie on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from regard.data.drawings import ANIMALS, COLOURS, SUBJECTS
from regard.data.prompts import WORN

Articles = Literal["english", "literal"]
Relation = Literal["and", "next to", "in front of"]

NUMBERS = {1: "a", 2: "two", 3: "three"}
"""How many of a subject a caption can speak of."""

_IRREGULAR = {"mouse": "mice", "bench": "benches", "glasses": "glasses"}


def plural(subject: str) -> str:
    """Several of a subject, in one word.

    Example:
        >>> plural("cat"), plural("mouse"), plural("bench")
        ('cats', 'mice', 'benches')
    """
    return _IRREGULAR.get(subject, f"{subject}s")


_SINGULAR = {plural(subject): subject for subject in SUBJECTS} | {name: name for name in SUBJECTS}


@dataclass(frozen=True)
class Mention:
    """A subject as a caption names it, with its colour if the caption names one.

    Attributes:
        subject: One of `regard.data.SUBJECTS`.
        colour: One of `regard.data.COLOURS`; None where none is named.
        count: How many of them, 1 to 3.
    """

    subject: str
    colour: str | None = None
    count: int = 1

    @property
    def noun(self) -> str:
        """What stands behind the article or number, such as 'blue car' or 'blue cars'."""
        name = self.subject if self.count == 1 else plural(self.subject)
        return f"{self.colour} {name}" if self.colour else name


def caption(
    mentions: Iterable[Mention],
    background: str | None = None,
    articles: Articles = "english",
    relation: Relation = "and",
) -> str:
    """A caption in the grammar of the benchmark.

    Args:
        mentions: One or two subjects.
        background: What they are on; None leaves it unsaid.
        articles: 'english' writes 'an' before a vowel; 'literal' writes it only before 'elephant',
            as the benchmark does ('a orange backpack').
        relation: How the first of two stands to the second.

    Returns:
        A lower-case sentence without a full stop.

    Example:
        >>> caption([Mention("elephant"), Mention("bow")])
        'an elephant with a bow'
        >>> caption([Mention("car", "orange")], "beach", articles="literal")
        'a orange car on the beach'
        >>> caption([Mention("cat", count=2), Mention("car")], relation="next to")
        'two cats next to a car'
    """
    mentions = list(mentions)
    words = _between(mentions, relation).join(_phrase(each, articles) for each in mentions)
    return f"{words} on the {background}" if background else words


def _phrase(mention: Mention, articles: Articles) -> str:
    if mention.count > 1:
        return f"{NUMBERS[mention.count]} {mention.noun}"
    vowel = articles == "english" and mention.noun.startswith(tuple("aeiou"))
    return f"{'an' if vowel or mention.noun == 'elephant' else 'a'} {mention.noun}"


def _between(mentions: list[Mention], relation: Relation) -> str:
    if relation != "and":
        return f" {relation} "
    worn = len(mentions) == 2 and mentions[0].subject in ANIMALS and mentions[1].subject in WORN
    return " with " if worn and mentions[1] == Mention(mentions[1].subject) else " and "


def mentions_in(prompt: str) -> tuple[Mention, ...]:
    """The subjects that a prompt names, in order, each with the colour and number before it.

    Example:
        >>> mentions_in("three red apples on the beach")
        (Mention(subject='apple', colour='red', count=3),)
    """
    words = prompt.lower().replace(",", " ").replace(".", " ").split()
    return tuple(
        _mention(words[:place], _SINGULAR[word])
        for place, word in enumerate(words)
        if word in _SINGULAR
    )


def _mention(before: list[str], subject: str) -> Mention:
    colour = before.pop() if before and before[-1] in COLOURS else None
    numbers = {word: number for number, word in NUMBERS.items()}
    return Mention(subject, colour, numbers.get(before[-1], 1) if before else 1)
