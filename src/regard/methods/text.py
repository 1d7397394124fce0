"""Methods in text, for the command line and tables: ``NAME KEY=VALUE ...``.

A value is JSON, or unquoted text without blanks, in which commas separate several and ``A:B`` is
the two ends of a range. ``KEY.PART=VALUE`` gives one entry of a mapping. The parts of `Where` need
no ``where.`` before them::

    drop words=cat,dog steps=0:10 layers=up
    scale weights.cat=2 weights.dog=0.5
    prompt-to-prompt prompt="a dog on the beach" cross={"default": 0.8, "dog": 0.4}
"""

import json
import re
from typing import Any

from regard.arguments import shown
from regard.errors import ArgumentError, unknown
from regard.methods.method import Method
from regard.methods.options import Option, options_of
from regard.methods.recipe import method_of
from regard.methods.where import PARTS

KEY = re.compile(r"\s*([^\s=]*)(=?)")
BARE = re.compile(r"\S*")
PLAIN = re.compile(r"""[^\s,{\["'][^\s,]*""")
RANGE = re.compile(r"(-?[\d.]*):(-?[\d.]+)")
PYTHON = {"True": True, "False": False, "None": None}


def parse(text: str) -> Method:
    """The method that a text describes.

    Args:
        text: Its name and settings, such as ``drop words=cat steps=0:10``.

    Returns:
        The method.

    Raises:
        UnknownName: there is no such method, or it has no such setting.
        ArgumentError: the text names no method, a setting cannot be read, is missing or comes
            twice, or the method refuses it.

    Example:
        >>> parse("drop words=cat,dog steps=0:10").recipe()
        {'method': 'drop', 'words': ['cat', 'dog'], 'where': {'steps': [0, 10]}}
        >>> parse("scale weights.cat=2").recipe()
        {'method': 'scale', 'weights': {'cat': 2.0}}
    """
    name, settings = name_and_settings(text)
    missing = [
        option.name
        for option in options_of(name)
        if option.required and option.name not in settings
    ]
    if missing:
        raise ArgumentError(
            f"{name}: {missing[0]} is missing. Give it behind the name: {name} {missing[0]}=..."
        )
    return method_of(name, settings, "methods.parse")


def spelled(method: Method) -> str:
    """A method as `parse` reads it.

    Example:
        >>> from regard.methods import Where, drop
        >>> spelled(drop("cat", where=Where(steps=[0, 10], stage="up")))
        'drop words=cat steps=[0, 10] stage=up'
    """
    parts = {**method.settings, **method.settings.get("where", {})}
    return " ".join(
        [method.name, *(f"{key}={_text(value)}" for key, value in parts.items() if key != "where")]
    )


def name_and_settings(text: str) -> tuple[str, dict[str, Any]]:
    """A method's name and the settings behind it, as keyword arguments.

    Raises:
        UnknownName: there is no such method, or it has no such setting.
        ArgumentError: the text names no method, or a setting cannot be read or comes twice.

    Example:
        >>> name_and_settings("drop words=cat layers=up")
        ('drop', {'words': 'cat', 'where': {'layers': 'up'}})
    """
    if not isinstance(text, str) or not text.strip():
        raise ArgumentError(
            f"methods.parse: the text is {shown(text)} and must name a method and its settings, "
            f"such as 'drop words=cat'."
        )
    name, *others = text.split(None, 1)
    rest, at = "".join(others), 0
    options = {option.name: option for option in options_of(name)}
    settings: dict[str, Any] = {}
    while rest[at:].strip():
        key, at = _key(name, rest, at)
        path = _path(name, key, list(options))
        value, at = _value(name, key, rest, at)
        option = options.get(path[0])
        _put(name, settings, path, _floats(value) if _takes_floats(option) else value)
    return name, settings


def _key(name: str, text: str, at: int) -> tuple[str, int]:
    found = KEY.match(text, at)
    assert found is not None, "it matches anything"
    key, equals = found.groups()
    if not key or not equals:
        raise ArgumentError(
            f"{name}: '{text[found.start(1) :].split()[0]}' is no setting. Settings follow the "
            f"name as KEY=VALUE, such as 'drop words=cat steps=0:10'."
        )
    return key, found.end()


def _value(name: str, key: str, text: str, at: int) -> tuple[Any, int]:
    """The value that begins here, and where it ends: JSON if it can be, else unquoted text."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError:
        end = -1
    if end >= 0 and not text[end : end + 1].strip():
        return value, end
    bare = BARE.match(text, at)
    assert bare is not None, "it matches anything"
    if not bare[0] or bare[0][0] in "{[\"'":
        raise ArgumentError(
            f"{name}: {key}={bare[0]} is neither JSON nor unquoted text. Quote texts with blanks, "
            f'and keys: {key}="two words", {key}={{"cat": 2}}.'
        )
    return _bare(name, key, bare[0]), bare.end()


def _bare(name: str, key: str, text: str) -> Any:
    """Unquoted text: the ends of a range, several parts, or one."""
    span = RANGE.fullmatch(text)
    if span is not None:
        return [_scalar(span[1] or "0"), _scalar(span[2])]
    parts = text.split(",")
    if len(parts) > 1 and "" in parts:
        raise ArgumentError(f"{name}: {key}={text} has an empty part. Leave the comma out.")
    return [_scalar(part) for part in parts] if len(parts) > 1 else _scalar(text)


def _text(value: Any) -> str:
    """A value as it is read: unquoted if that is read as the same text, else JSON."""
    plain = isinstance(value, str) and re.fullmatch(PLAIN, value) is not None
    return value if plain and _bare("", "", value) == value else json.dumps(value)


def _takes_floats(option: Option | None) -> bool:
    """Whether the numbers of an option are floats; in a mapping, those that it maps to."""
    kind = "" if option is None else option.type
    return "float" in kind and re.search(r"\bint\b(?!,)", kind) is None


def _floats(value: Any) -> Any:
    """The same value with its whole numbers as floats."""
    if isinstance(value, dict):
        return {key: _floats(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_floats(entry) for entry in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _scalar(text: str) -> Any:
    if text in PYTHON:
        return PYTHON[text]
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value


def _path(name: str, key: str, known: list[str]) -> list[str]:
    """The key as an argument, and perhaps an entry of it, such as a part of `Where`."""
    first, _, entry = key.partition(".")
    if first in PARTS and first not in known:
        key, first, entry = f"where.{key}", "where", key
    takes_where = any(option.startswith("where.") for option in known)
    if key in known and first == "where" or key == "where" and takes_where:
        return key.split(".")
    if first in known:
        return [first, entry] if entry else [first]
    names = [option.removeprefix("where.") for option in known]
    raise unknown(f"setting of {name}", key.removeprefix("where."), names)


def _put(name: str, settings: dict[str, Any], path: list[str], value: Any) -> None:
    first, *entry = path
    there = settings.get(first, {})
    if first in settings and not (entry and isinstance(there, dict) and entry[0] not in there):
        raise ArgumentError(f"{name}: {'.'.join(path)} comes twice. Give it once.")
    settings[first] = {**there, entry[0]: value} if entry else value
