"""Prompts for the study of redundant words: held-out captions, and captions with planted words."""

from regard.data.drawings import COLOURS, OBJECTS, SUBJECTS
from regard.data.scenes import BACKGROUNDS
from regard.experiments.evaluations.task import Chunk, unseen_scenes
from regard.zoo import recipe

CLASSES = {
    "subject": "a subject that is seen in the image",
    "colour": "the colour of an object that is seen in this colour",
    "background": "a word of the background",
    "lost": "a subject that is not seen, or a colour that is not",
    "other": "an article, 'and', 'with', 'on'",
}


def captions(count: int) -> list[str]:
    """Captions of test scenes, each once; no training has seen those scenes.

    Example:
        >>> len(captions(3))
        3
    """
    scenes = unseen_scenes(Chunk("captions", 0, 4 * count), recipe("openmoji"))
    return list(dict.fromkeys(each.caption() for each in scenes))[:count]


def planted_prompts(count: int) -> list[str]:
    """Prompts of one subject with words that cannot matter: a filler, or the subject twice.

    Example:
        >>> planted_prompts(2)[2:]
        ['a photo of a dog', 'a dog, a dog']
    """
    fillers = ("picture", "photo", "image")
    return [
        prompt
        for number, subject in enumerate(SUBJECTS[:count])
        for prompt in (
            f"a {fillers[number % 3]} of {_article(subject)} {subject}",
            f"{_article(subject)} {subject}, {_article(subject)} {subject}",
        )
    ]


def planted(prompt: str, word: str) -> float:
    """Whether a word of a planted prompt cannot matter: 1, or must: 0; NaN for what is neither.

    Of a subject that is there twice, either cannot matter alone. Articles are neither.

    Example:
        >>> prompt = "a photo of a cat"
        >>> [planted(prompt, word) for word in ("photo", "cat", "a")]
        [1.0, 0.0, nan]
    """
    name = word.rpartition("#")[0] or word
    if name in SUBJECTS:
        return float("," in prompt)
    return 1.0 if name in ("picture", "photo", "image", "of", ",") else float("nan")


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def class_of(word: str, place: int, prompt: str, seen: str) -> str:
    """Which of `CLASSES` a word belongs to.

    Args:
        word: Its name.
        place: Its place among the words of the prompt.
        prompt: The prompt.
        seen: What is seen in the image of the whole prompt, such as 'blue car, cat'.

    Example:
        >>> [class_of(*each, "a blue car on the beach", "blue car")
        ...  for each in (("blue", 1), ("car", 2), ("beach", 5), ("on", 3))]
        ['colour', 'subject', 'background', 'other']
    """
    from regard.trace import words_of

    name = word.rpartition("#")[0] or word
    spelled = [each for each, _, _ in words_of(prompt)]
    if name in SUBJECTS:
        return "subject" if name in seen.replace(",", "").split() else "lost"
    if name in COLOURS and place + 1 < len(spelled) and spelled[place + 1] in OBJECTS:
        return "colour" if f"{name} {spelled[place + 1]}" in seen.split(", ") else "lost"
    grounds = {part for ground in BACKGROUNDS for part in ground.split()}
    return "background" if name in grounds else "other"
