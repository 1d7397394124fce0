"""What a recipe says, checked: its fields, and whether it was made with this very model."""

from collections.abc import Mapping
from typing import Any

from regard.arguments import caller
from regard.errors import ArgumentError, DataError
from regard.generation import Request


def recipe_of(model: Any, request: Request) -> dict[str, Any]:
    """What made an image, as plain JSON values: the model, its scheduler and the request.

    Args:
        model: A `TextToImage`.
        request: Decided by the model; its methods are written down by who has them.
    """
    made_by = model.recipe()
    first = {name: made_by.pop(name) for name in ("model", "weights_sha256", "dtype")}
    return {
        **first,
        "prompt": request.read,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        **made_by,
    }


def request_from(recipe: Mapping[str, Any]) -> Request:
    """The request of a recipe, without its methods.

    Args:
        recipe: Of a look or of steering, perhaps changed by hand; older ones call steps and size by
            other names.

    Raises:
        DataError: a field is missing, or of another type.
        RegardError: as `Request`.

    Example:
        >>> recipe = {"prompt": "a cat", "negative_prompt": "", "seed": 1, "guidance_scale": 4}
        >>> request_from({**recipe, "num_inference_steps": 2, "size": [64, 32]}).width
        32
    """
    size = field_of(recipe, "size", list)
    if len(size) != 2 or not all(_whole(side) for side in size):
        raise _wrong("size", size, "a list of rows and columns")
    steps = "steps" if "num_inference_steps" not in recipe and "steps" in recipe else None
    return Request(
        prompt=field_of(recipe, "prompt", str),
        negative_prompt=field_of(recipe, "negative_prompt", str),
        seed=field_of(recipe, "seed", int),
        num_inference_steps=field_of(recipe, steps or "num_inference_steps", int),
        guidance_scale=float(field_of(recipe, "guidance_scale", float)),
        height=size[0],
        width=size[1],
    )


def field_of(recipe: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of a recipe, of the type that it must have; a whole number is a float too.

    Raises:
        DataError: it is missing, or of another type.

    Example:
        >>> field_of({"seed": "1"}, "seed", int)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        regard.errors.DataError: regard: the recipe's seed is '1' and must be a whole number. ...
    """
    if name not in recipe:
        raise DataError(
            f"{caller()}: the recipe lacks '{name}'. Take the recipe that regard wrote."
        )
    value = recipe[name]
    fits = _whole(value) if kind is int else isinstance(value, kind)
    if not fits and not (kind is float and _whole(value)):
        said = {int: "a whole number", float: "a number", str: "text", list: "a list"}
        raise _wrong(name, value, said.get(kind, "an object"))
    return value


def check_same_model(model: Any, recipe: Mapping[str, Any]) -> None:
    """Refuse a model that is not the one of a recipe: it would make other images.

    Args:
        model: The `TextToImage` that would do again what the recipe says.
        recipe: The recipe.

    Raises:
        DataError: the recipe does not say with what it was made.
        ArgumentError: something differs; the message says what.
    """
    for name in ("model", "weights_sha256", "dtype", "scheduler"):
        field_of(recipe, name, str)
    field_of(recipe, "scheduler_config", dict)
    differing = model.differences(recipe)
    if differing:
        raise ArgumentError(
            f"{caller()}: this is not the model that the recipe was made with: "
            f"{'; '.join(differing)}. Give that model ({recipe['model']}), set up as it was."
        )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(name: str, value: Any, needed: str) -> DataError:
    return DataError(
        f"{caller()}: the recipe's {name} is {_short(value)} and must be {needed}. Take the recipe "
        f"that regard wrote."
    )


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:59]}…"
