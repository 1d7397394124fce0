"""What a recipe says, checked: its fields, and whether it was made with this very model."""

import json
from collections.abc import Mapping
from typing import Any

from regard.errors import ArgumentError, DataError
from regard.look.settings import Settings

MOST = 4
"""Settings of a scheduler that a message names at most."""


def settings_from(told: Mapping[str, Any], who: str) -> Settings:
    """What decides an image, out of a recipe.

    Args:
        told: A recipe of a look or of steering, perhaps changed by hand.
        who: Who asks, for messages.

    Raises:
        DataError: a field is missing, or of another type.
        RegardError: as `Settings`.

    Example:
        >>> told = {"prompt": "a cat", "negative_prompt": "", "seed": 1, "steps": 2}
        >>> settings_from({**told, "guidance_scale": 4, "size": [64, 64]}, "replay").guidance
        4.0
    """
    size = field_of(told, "size", who, list)
    if len(size) != 2 or not all(_whole(side) for side in size):
        raise _wrong("size", size, who, "a list of rows and columns")
    return Settings(
        prompt=field_of(told, "prompt", who, str),
        negative_prompt=field_of(told, "negative_prompt", who, str),
        seed=field_of(told, "seed", who, int),
        steps=field_of(told, "steps", who, int),
        guidance=float(field_of(told, "guidance_scale", who, float)),
        size=(size[0], size[1]),
        caller=who,
    )


def field_of(told: Mapping[str, Any], name: str, who: str, kind: type) -> Any:
    """A field of a recipe, of the type that it must have; a whole number is a float too.

    Raises:
        DataError: it is missing, or of another type.

    Example:
        >>> field_of({"seed": "1"}, "seed", "replay", int)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        regard.errors.DataError: replay: the recipe's seed is '1' and must be a whole number. ...
    """
    if name not in told:
        raise DataError(f"{who}: the recipe lacks '{name}'. Take the recipe that regard wrote.")
    value = told[name]
    fits = _whole(value) if kind is int else isinstance(value, kind)
    if not fits and not (kind is float and _whole(value)):
        said = {int: "a whole number", float: "a number", str: "text", list: "a list"}
        raise _wrong(name, value, who, said.get(kind, "an object"))
    return value


def check_same_model(pipeline: Any, told: Mapping[str, Any], who: str) -> None:
    """Refuse a model that is not the one of a recipe: it would make other images.

    Args:
        pipeline: The pipeline that would do again what the recipe says.
        told: The recipe.
        who: Who asks, for messages.

    Raises:
        DataError: the recipe does not say with what it was made.
        ArgumentError: something differs; the message says what.
    """
    differing = differences(pipeline, told, who)
    if differing:
        raise ArgumentError(
            f"{who}: this is not the model that the recipe was made with: "
            f"{'; '.join(differing)}. Give that model ({field_of(told, 'model', who, str)}), set "
            f"up as it was."
        )


def differences(pipeline: Any, told: Mapping[str, Any], who: str) -> list[str]:
    """In what a pipeline differs from that of a recipe, a line each; none if it makes the same.

    Args:
        pipeline: A pipeline of diffusers.
        told: A recipe of a look or of steering.
        who: Who asks, for messages.

    Raises:
        DataError: the recipe does not say with what it was made.
    """
    from regard import models
    from regard.look.generate import network_of

    scheduler = pipeline.scheduler
    here = {
        "weights_sha256": models.fingerprint(pipeline),
        "dtype": str(network_of(pipeline).dtype).removeprefix("torch."),
        "scheduler": type(scheduler).__name__,
    }
    found = [
        f"its {name} is {value[:24]}, not {there[:24]}"
        for name, value in here.items()
        if (there := field_of(told, name, who, str)) != value
    ]
    there = field_of(told, "scheduler_config", who, dict)
    own = json.loads(json.dumps(dict(scheduler.config), default=str))
    # What only one of them has came with another version of the library.
    shared = sorted(name for name in there if name in own and not name.startswith("_"))
    other = [name for name in shared if there[name] != own[name]]
    found += [
        f"its scheduler's {name} is {own[name]}, not {_short(there[name])}" for name in other[:MOST]
    ]
    return found + ([f"{len(other) - MOST} more"] if len(other) > MOST else [])


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(name: str, value: Any, who: str, needed: str) -> DataError:
    return DataError(
        f"{who}: the recipe's {name} is {_short(value)} and must be {needed}. Take the recipe that "
        f"regard wrote."
    )


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:59]}…"
