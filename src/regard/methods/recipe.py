"""Methods made again from what was written down of them."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from regard.arguments import shown
from regard.data.files import reason
from regard.errors import ArgumentError, RegardError
from regard.methods.method import Method
from regard.methods.named import methods
from regard.methods.where import PARTS


def from_recipe(recipe: Mapping[str, Any]) -> Method:
    """The method that a recipe was written of.

    Args:
        recipe: As `Method.recipe` returns it.

    Returns:
        A method with the same settings.

    Raises:
        UnknownName: there is no such method.
        ArgumentError: the recipe names no method, or has a setting that the method lacks.

    Example:
        >>> from regard.methods import scale
        >>> from_recipe({"method": "scale", "weights": {"car": 2.0}}) == scale({"car": 2.0})
        True
    """
    if not isinstance(recipe, Mapping):
        raise ArgumentError(
            f"from_recipe: recipe is {shown(recipe)} and must be what Method.recipe returns."
        )
    settings = dict(recipe)
    name = settings.pop("method", None)
    if name is None:
        raise ArgumentError(
            f"from_recipe: the recipe has {sorted(recipe) or 'nothing'} and needs 'method'."
        )
    if not isinstance(name, str):
        raise ArgumentError(f"from_recipe: the method is {name!r:.40} and must be a name.")
    return method_of(name, settings, "from_recipe")


def method_of(name: str, settings: Mapping[str, Any], caller: str) -> Method:
    """The method of this name with these settings.

    Args:
        name: One of ``methods.names()``.
        settings: Its arguments by name.
        caller: For messages.

    Raises:
        UnknownName: there is no such method.
        RegardError: the method refuses a setting.
        ArgumentError: it cannot be made of such settings.
    """
    make = methods.get(name)
    try:
        method: Method = make(**_with_where(settings, set(signature(make).parameters)))
    except RegardError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as wrong:
        raise ArgumentError(
            f"{caller}: {name} cannot be made of {settings}: {reason(wrong)}."
        ) from wrong
    return method


def _with_where(settings: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """Settings with their parts of `Where` in one; recipes used to have them side by side.

    A stage was called place then.
    """
    if "where" not in known:
        return dict(settings)
    parts = {part: part for part in PARTS} | {"place": "stage"}
    flat = {parts[key]: value for key, value in settings.items() if key in parts}
    rest = {key: value for key, value in settings.items() if key not in parts}
    return {**rest, "where": {**flat, **rest.get("where", {})}} if flat else rest
