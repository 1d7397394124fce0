"""What a method is: edits of attention, and at most one guide, made for one run of a pipeline."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec

from regard.arguments import listed, number_or_none, whole_or_none
from regard.methods.guide import Guide
from regard.tap import Edit, Select
from regard.trace import Prompt

P = ParamSpec("P")

NAMING = ("words", "weights", "reweight")
"""The settings that name words of the prompt."""


@dataclass(frozen=True)
class Run:
    """What a method is told about the run that it is to change.

    Attributes:
        pipeline: A diffusers pipeline.
        prompt: The words and tokens that the picture reads.
        source: Those of the picture that is drawn beside it, as the last image of the batch, if a
            method of it has a prompt of its own; else None.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance.
        seed: Of the first noise; what a method draws at random follows from it.
        layers: The paths of the attention layers, each with its number of heads.
    """

    pipeline: Any
    prompt: Prompt
    steps: int
    guidance: float
    seed: int
    layers: Mapping[str, int]
    source: Prompt | None = None


@dataclass(frozen=True)
class Changes:
    """What a method does in one run.

    Attributes:
        edits: For the tap, in order.
        guide: What it does to the latents, or to the output of the denoiser; None for nothing.
        first_step: The step at which it begins; all before is as without it.
        last_step: The step after which its edits must have found something to change.
        acted: Whether they have; None where it is not asked.
        hidden: Tokens of the prompt that are masked as keys in every text encoder too.
        start: From the initial noise of its image, [channel, ...], to what it begins with instead.
    """

    edits: Sequence[tuple[Select, Edit]] = ()
    guide: Guide | None = None
    first_step: int = 0
    last_step: int = 0
    acted: Callable[[], bool] | None = None
    hidden: Sequence[int] = ()
    start: Callable[[Any], Any] | None = None


Plan = Callable[[Run], Changes]
"""From what is known of a run to what is changed in it; raises if the run cannot be so changed."""


@dataclass(frozen=True)
class Method:
    """A change of attention, with settings; ``plan`` fits it to a run.

    Attributes:
        name: Under which it stands in `regard.methods.methods`.
        settings: Its arguments, plain JSON values.
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
        """The prompt that its picture reads instead of the run's, which is drawn beside it.

        Example:
            >>> from regard.methods import drop, prompt_to_prompt
            >>> drop("dog").prompt, prompt_to_prompt("a dog").prompt
            (None, 'a dog')
        """
        prompt: str | None = self.settings.get("prompt")
        return prompt

    def recipe(self) -> dict[str, Any]:
        """What to write down so that `from_recipe` makes the same method again.

        Example:
            >>> from regard.methods import drop
            >>> drop("dog").recipe()
            {'method': 'drop', 'words': 'dog'}
        """
        return {"method": self.name, **self.settings}


def method(make: Callable[P, Plan]) -> Callable[P, Method]:
    """Turn a function that returns a plan into one that returns a method which knows its settings.

    Settings that were left at their defaults are not written down.

    Example:
        >>> @method
        ... def nothing(strength: float = 1.0) -> Plan:
        ...     return lambda run: Changes()
        >>> nothing(strength=0.5).recipe()
        {'method': 'nothing', 'strength': 0.5}
    """
    signature = inspect.signature(make)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Method:
        given = signature.bind(*args, **kwargs).arguments
        plan = make(*args, **kwargs)
        name = make.__name__.replace("_", "-")
        settings = {
            key: plain(list(value) if key == "layers" and isinstance(value, range) else value)
            for key, value in given.items()
            if not _same(value, signature.parameters[key].default)
        }
        return Method(name, settings, plan)

    return made


def _same(value: Any, default: Any) -> bool:
    if value is default or hasattr(value, "ndim"):
        return value is default
    return isinstance(value, bool) == isinstance(default, bool) and bool(value == default)


def plain(value: Any) -> Any:
    """A setting as JSON has it: ranges as two numbers, keys as text.

    Example:
        >>> plain({0: range(2, 5)})
        {'0': [2, 5]}
    """
    if isinstance(value, range):
        return [value.start, value.stop]
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, slice):
        return {"start": value.start, "stop": value.stop, "step": value.step}
    if isinstance(value, str | bool | None):
        return value
    several = listed(value)
    if several is not None:
        return [plain(each) for each in several]
    found = [whole_or_none(value), number_or_none(value), value]
    return next(each for each in found if each is not None)
