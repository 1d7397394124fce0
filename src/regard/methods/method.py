"""What a method is: a name, its settings, and a plan that fits it to one run of a pipeline."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, overload

from regard.errors import ArgumentError
from regard.methods.plain import plain
from regard.methods.run import Changes, Plan
from regard.methods.where import PARTS, where_of

P = ParamSpec("P")

NAMING = ("words", "weights", "reweight")
"""The settings that name words of the prompt."""


@dataclass(frozen=True)
class Method:
    """A change of attention, with settings; ``plan`` fits it to a run.

    Attributes:
        name: Under which it stands in `regard.methods.methods`.
        settings: Its arguments that are not at their defaults, plain JSON values.
        plan: What it does in a run.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan = field(default=lambda run: Changes(), compare=False, repr=False)

    @property
    def words(self) -> list[str]:
        """The words of the prompt that its settings name.

        Example:
            >>> from regard.methods import drop, scale
            >>> drop("dog").words, scale({"car": 2.0}).words
            (['dog'], ['car'])
        """
        named = next((self.settings[key] for key in NAMING if key in self.settings), ())
        return [named] if isinstance(named, str) else list(named)

    @property
    def prompt(self) -> str | None:
        """The prompt that its image is generated from instead of the run's; None for the run's.

        Example:
            >>> from regard.methods import drop, prompt_to_prompt
            >>> drop("dog").prompt, prompt_to_prompt("a dog").prompt
            (None, 'a dog')
        """
        prompt: str | None = self.settings.get("prompt")
        return prompt

    @property
    def kind(self) -> str | None:
        """The kind of attention that it is for; None for all that it fits.

        Example:
            >>> from regard.methods import Where, uniform
            >>> uniform(where=Where(kind="self")).kind
            'self'
        """
        kind: str | None = self.settings.get("where", {}).get("kind")
        return kind

    def recipe(self) -> dict[str, Any]:
        """What to write down so that `from_recipe` makes the same method again.

        Example:
            >>> from regard.methods import drop
            >>> drop("dog").recipe()
            {'method': 'drop', 'words': 'dog'}
        """
        return {"method": self.name, **self.settings}


@overload
def method(make: Callable[P, Plan]) -> Callable[P, Method]: ...
@overload
def method(*, where: Sequence[str]) -> Callable[[Callable[P, Plan]], Callable[P, Method]]: ...
def method(make: Any = None, *, where: Sequence[str] = PARTS) -> Any:
    """Turn a function that returns a plan into one that returns a method which knows its settings.

    Settings at their defaults are not written down. An argument ``where`` comes as a `Where`, also
    if a mapping was given.

    Args:
        make: The function.
        where: The parts of `Where` that it takes; any other is refused.

    Example:
        >>> @method
        ... def nothing(strength: float = 1.0) -> Plan:
        ...     return lambda run: Changes()
        >>> nothing(strength=0.5).recipe()
        {'method': 'nothing', 'strength': 0.5}
    """
    if make is None:
        return functools.partial(method, where=where)
    signature, caller = inspect.signature(make), make.__name__

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Method:
        _check_names(caller, kwargs, signature)
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        if "where" in given:
            given["where"] = where_of(given["where"], caller, where)
        plan = make(*bound.args, **bound.kwargs)
        settings = {
            key: value.recipe() if key == "where" else plain(value)
            for key, value in given.items()
            if not _same(value, signature.parameters[key].default)
        }
        return Method(caller.replace("_", "-"), settings, plan)

    made.where_parts = tuple(where) if "where" in signature.parameters else ()
    return made


def _check_names(caller: str, kwargs: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Refuse parts of `Where` that are given beside it, with the cure."""
    stray = [name for name in kwargs if name in PARTS and name not in signature.parameters]
    if stray and "where" in signature.parameters:
        raise ArgumentError(
            f"{caller}: {stray[0]} is a part of where. Write where=Where({stray[0]}=...)."
        )


def _same(value: Any, default: Any) -> bool:
    if value is default or hasattr(value, "ndim"):
        return value is default
    return isinstance(value, bool) == isinstance(default, bool) and bool(value == default)
