"""What a method can be given: its options, from its signature and docstring."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from regard.methods.named import methods
from regard.methods.where import Where


@dataclass(frozen=True)
class Option:
    """One option of a method.

    Attributes:
        name: As in the signature; parts of `Where` as in ``where.steps``.
        type: Its annotation.
        default: What it is if it is not given; None if it must be.
        required: Whether it must be given.
        about: What it does, the first sentence of its documentation.
    """

    name: str
    type: str
    default: Any
    required: bool
    about: str


def options_of(name: str) -> list[Option]:
    """The options of a method, in the order of its signature.

    Args:
        name: One of ``methods.names()``.

    Returns:
        One entry an option, and one for each part of `Where` that the method takes.

    Raises:
        UnknownName: there is no such method.

    Example:
        >>> [option.name for option in options_of("scale-heads")]
        ['layer', 'factors', 'where.steps', 'where.condition']
        >>> options_of("temperature")[0].about
        'Above 0; 1 changes nothing.'
    """
    make = methods.get(name)
    found: list[Option] = []
    for option in _options(make):
        if option.name != "where":
            found.append(option)
            continue
        parts: tuple[str, ...] = getattr(make, "where_parts", ())
        found += [
            Option(f"where.{part.name}", part.type, part.default, part.required, part.about)
            for part in _options(Where)
            if part.name in parts
        ]
    return found


def _options(make: Callable[..., Any]) -> Iterator[Option]:
    about = _arguments_of(inspect.getdoc(make) or "")
    for name, parameter in inspect.signature(make).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        kind = inspect.formatannotation(parameter.annotation).replace("collections.abc.", "")
        yield Option(name, kind.replace("typing.", ""), default, required, about.get(name, ""))


def _arguments_of(doc: str) -> dict[str, str]:
    r"""The first sentence on each argument, of a docstring in Google's style.

    Example:
        >>> _arguments_of("Do.\n\nArgs:\n    how: In some\n        way. Or not.\n")
        {'how': 'In some way.'}
    """
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.M | re.S)
    entry = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w+: |\Z)", re.M | re.S)
    entries = entry.findall(section[1] if section else "")
    joined = {name: " ".join(text.split()) for name, text in entries}
    return {name: re.split(r"(?<=\.) (?=[A-Z])", text)[0] for name, text in joined.items()}
