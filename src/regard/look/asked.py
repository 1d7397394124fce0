"""Arguments of a look that are no settings of the image, checked before any model is opened."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from regard.arguments import caller, flag, listed, shown, whole_or_none
from regard.axes import HEAD, LAYER, STEP
from regard.errors import ArgumentError
from regard.generation import Request

KEEPABLE = (STEP, LAYER, HEAD)


def requests_of(
    prompt: Any, sampling: Mapping[str, Any], methods: Sequence[Any] = ()
) -> tuple[list[Request], bool]:
    """The requests of prompts and seeds pair by pair, and whether either was a list.

    Raises:
        PromptError: a prompt is empty, or no text.
        ArgumentError: prompts and seeds cannot be paired, initial noise was given for several
            seeds, or another argument lies outside what it may be.

    Example:
        >>> requests, several = requests_of("a cat", {"seed": [3, 5]})
        >>> [each.seed for each in requests], several
        ([3, 5], True)
    """
    # A set has no order, so it would be unknown which image is which.
    prompts = None if isinstance(prompt, str | bytes | Set) else listed(prompt)
    seed = sampling.get("seed", 0)
    seeds = (
        None if isinstance(seed, str | bytes) or whole_or_none(seed) is not None else listed(seed)
    )
    if prompts is None and seeds is None:
        return [Request.of(prompt, sampling, methods)], False
    prompts = [prompt] if prompts is None else prompts
    seeds = [seed] if seeds is None else seeds
    count = max(len(prompts), len(seeds))
    if not prompts or not seeds or {len(prompts), len(seeds)} - {1, count}:
        raise ArgumentError(
            f"{caller()}: there are {len(prompts)} prompts and {len(seeds)} seeds, and each image "
            f"has one of both. Give several prompts with one seed, several seeds with one prompt, "
            f"or as many of both."
        )
    if sampling.get("latents") is not None and len(seeds) > 1:
        raise ArgumentError(
            f"{caller()}: latents are initial noise, which has no seed, and there are "
            f"{len(seeds)} seeds. Leave one of them out."
        )
    prompts = prompts * count if len(prompts) == 1 else prompts
    seeds = seeds * count if len(seeds) == 1 else seeds
    pairs = zip(prompts, seeds, strict=True)
    return [Request.of(own, {**sampling, "seed": n}, methods) for own, n in pairs], True


def check_keep(keep: Any) -> None:
    """Refuse what is no list of axes to keep.

    Raises:
        ArgumentError: it is a text alone, or names something else.

    Example:
        >>> check_keep(("step", "head"))
    """
    several = None if isinstance(keep, str | bytes) else listed(keep)
    wrong = [each for each in several or () if each not in KEEPABLE]
    if wrong:
        raise ArgumentError(
            f"{caller()}: keep has {shown(wrong[0])}, which is not one of {', '.join(KEEPABLE)}."
        )
    if several is None:
        raise ArgumentError(
            f"{caller()}: keep is {shown(keep)} and must be a list of {', '.join(KEEPABLE)}; the "
            f"others are averaged."
        )


def seeds_to_verify(verify: Any) -> int:
    """At how many seeds words are verified: none, one, or as many as were asked for.

    Raises:
        ArgumentError: it is neither a flag nor a number of seeds.

    Example:
        >>> seeds_to_verify(False), seeds_to_verify(True), seeds_to_verify(3)
        (0, 1, 3)
    """
    number = whole_or_none(verify)
    if number is None and "bool" not in type(verify).__name__:
        raise ArgumentError(
            f"{caller()}: verify is {shown(verify)} and must be True, False or a number of seeds."
        )
    if number is not None and number < 0:
        raise ArgumentError(f"{caller()}: verify is {number} and must be 0 seeds or more.")
    return int(flag(verify, "verify", caller())) if number is None else number


def check_judges(judges: Any) -> None:
    """Refuse what is no list of judges; None is for the model's own.

    Raises:
        ArgumentError: it is one judge alone, empty, or holds what gives no columns with units.
    """
    if judges is None:
        return
    several = [] if isinstance(judges, str | bytes) else listed(judges) or []
    for each in several or [judges]:
        if not several or isinstance(each, type) or not callable(getattr(each, "recipe", None)):
            raise ArgumentError(
                f"{caller()}: judges is {shown(judges)} and must be a list of judges of "
                f"regard.scores, such as [Likeness(), Seen()]."
            )


def check_names(names: Sequence[str] | None, name: str, such: str) -> None:
    """Refuse what is no list of names; None is for all.

    Raises:
        ArgumentError: it is a text alone, empty, or holds something else.

    Example:
        >>> check_names(["cat"], "words", "['cat']")
    """
    if names is None:
        return
    if isinstance(names, str):
        raise ArgumentError(
            f"{caller()}: {name} is the text {names!r}. Give a list, such as {such}."
        )
    several = listed(names)
    if several is None or isinstance(names, bytes):
        raise ArgumentError(f"{caller()}: {name} is {shown(names)}. Give a list, such as {such}.")
    if not several:
        raise ArgumentError(
            f"{caller()}: {name} is empty. Name at least one, or leave it out for all."
        )
    for each in several:
        if not isinstance(each, str):
            raise ArgumentError(
                f"{caller()}: {name} hold {shown(each)}, which is no text. Give a list, such as "
                f"{such}."
            )


def check_words(words: Sequence[str] | None) -> None:
    """Refuse what is no list of words, before any model is opened.

    Args:
        words: Words of a prompt; None for all.

    Raises:
        ArgumentError: it is a text, or empty, or holds something else.
    """
    check_names(words, "words", "['cat']")
