"""Where a method acts: in which steps and layers, and on which branch of the guidance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, SupportsIndex

from regard.arguments import listed, names, one_of, shown, whole_or_none
from regard.errors import ArgumentError
from regard.layers import STAGES, LayerQuery, parts_of
from regard.methods.plain import plain
from regard.methods.run import Run
from regard.tap import Select

KINDS = ("self", "cross", "joint")
CONDITIONS = ("cond", "uncond", "both")

Steps = SupportsIndex | range | Sequence[SupportsIndex] | None


@dataclass(frozen=True, repr=False)
class Where:
    """In which steps and layers a method acts, and on which branch of the guidance.

    A mapping of these parts will do wherever a method takes one, as recipes have it.

    Args:
        steps: Denoising steps: one, a range, or the first and the one after the last, such as
            ``[0, 10]``; None for all.
        layers: A path or whole names in it, such as ``up_blocks.1``; a stage, a kind, or a grid
            such as ``16x16``; a number in running order among the layers that the method could
            change, -1 for the last; or several of these. None for all.
        stage: UNet stage: ``down``, ``mid`` or ``up``; None for all.
        kind: ``self``, ``cross`` or ``joint`` attention; None for all.
        condition: Branch of classifier-free guidance: ``cond``, ``uncond`` or ``both``.

    Raises:
        ArgumentError: there is no such stage, kind or condition, layers cannot be called so, or the
            steps are an empty range.

    Example:
        >>> from regard.methods import drop
        >>> drop("cat", where=Where(steps=range(10), layers="up")).recipe()
        {'method': 'drop', 'words': 'cat', 'where': {'steps': [0, 10], 'layers': 'up'}}
        >>> Where(steps=range(10)) == Where(steps=[0, 10])
        True
    """

    steps: Steps = None
    layers: LayerQuery = None
    stage: str | None = None
    kind: str | None = None
    condition: str = "cond"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _as_steps(self.steps))
        object.__setattr__(self, "layers", _as_layers(self.layers))
        for part, value, known in (("stage", self.stage, STAGES), ("kind", self.kind, KINDS)):
            if value is not None:
                one_of(value, part, "Where", known)
        one_of(self.condition, "condition", "Where", CONDITIONS)

    def __repr__(self) -> str:
        given = {part: getattr(self, part) for part in self.recipe()}
        return f"Where({', '.join(f'{part}={value!r}' for part, value in given.items())})"

    def __hash__(self) -> int:
        return hash(repr(self))  # a slice has no hash of its own before Python 3.12

    def recipe(self) -> dict[str, Any]:
        """The parts that are not at their defaults, as JSON has them.

        Example:
            >>> Where(steps=3, stage="mid").recipe()
            {'steps': 3, 'stage': 'mid'}
        """
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        defaults = {part.name: part.default for part in fields(self)}
        return {name: plain(value) for name, value in values.items() if value != defaults[name]}

    @property
    def span(self) -> range | None:
        """The steps as a range; None for all."""
        if isinstance(self.steps, int):
            return range(self.steps, self.steps + 1)
        assert self.steps is None or isinstance(self.steps, range), "checked when it was made"
        return self.steps

    @property
    def first_step(self) -> int:
        """The step at which the change begins."""
        return 0 if self.span is None else self.span.start

    def select_in(
        self, run: Run, caller: str, *, query: str | None = None, key: str | None = None
    ) -> Select:
        """The calls meant in a run, of layers that have such queries and keys.

        Raises:
            ArgumentError: a step lies beyond the last, or there is no such attention.
            UnknownName: no layer is called so.
        """
        self.check(run, caller)
        select = Select(
            self.kind,
            self.layers,
            self.stage,
            query=query,
            key=key,
            steps=self.span,
            condition=None if self.condition == "both" else self.condition,
        )
        layers = run.model.layers
        select.check_among(layers, caller)
        return select.among(layers, caller)

    def check(self, run: Run, caller: str) -> None:
        """Refuse what this run does not have.

        Raises:
            ArgumentError: a step lies beyond the last, or the run has no such stage or branch of
                the guidance.
        """
        if self.span is not None and self.span.stop > run.steps:
            raise ArgumentError(
                f"{caller}: steps={plain(self.steps)} includes step {self.span.stop - 1}, and the "
                f"run has {run.steps}: 0..{run.steps - 1}."
            )
        if self.condition == "uncond" and run.guidance <= 1:
            raise ArgumentError(
                f"{caller}: condition is 'uncond', and with guidance {run.guidance:g} there is no "
                f"unconditional branch, so nothing would change. Raise guidance above 1, or choose "
                f"'cond'."
            )
        if self.stage is not None:
            self._check_stage(run, caller)

    def _check_stage(self, run: Run, caller: str) -> None:
        layers = run.model.layers
        stages = {layer.stage for layer in layers if layer.stage}
        if self.stage not in stages:
            raise ArgumentError(
                f"{caller}: stage is '{self.stage}', and {run.model.class_name} has "
                f"attention in {', '.join(sorted(stages)) or 'no stages'}. Name layers with "
                f"layers=, such as '{layers[0].path if layers else ''}'."
            )


PARTS = tuple(part.name for part in fields(Where))


def where_of(value: Any, caller: str, parts: Sequence[str] = PARTS) -> Where:
    """A `Where`, also from a mapping of its parts.

    Args:
        value: What a user gave.
        caller: The method, for messages.
        parts: Those that it takes.

    Raises:
        ArgumentError: it is neither, one of its parts is wrong, or the method does not take it.

    Example:
        >>> where_of({"steps": [0, 10]}, "drop")
        Where(steps=range(0, 10))
    """
    where = _read(value, caller)
    foreign = [part for part in where.recipe() if part not in parts]
    if foreign:
        only = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        raise ArgumentError(
            f"{caller}: where has {foreign[0]}, and {caller} takes {only} alone. Leave "
            f"{foreign[0]} out."
        )
    return where


def _read(value: Any, caller: str) -> Where:
    if isinstance(value, Where):
        return value
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"{caller}: where is {shown(value)} and must be a Where, such as Where(steps=[0, 10])."
        )
    strange = [name for name in value if name not in PARTS]
    if strange:
        raise ArgumentError(
            f"{caller}: where has {shown(strange[0])}, which is not one of {', '.join(PARTS)}."
        )
    try:
        return Where(**value)
    except ArgumentError as wrong:
        raise ArgumentError(f"{caller}: {str(wrong).removeprefix('Where: ')}") from wrong


def _as_steps(steps: Any) -> int | range | None:
    """One step, or a range of them.

    Raises:
        ArgumentError: it is none of these, or the range is empty.
    """
    if steps is None:
        return None
    one = whole_or_none(steps)
    if one is not None:
        span = range(one, one + 1)
    elif isinstance(steps, range):
        span = steps
    else:
        ends = None if isinstance(steps, str | bytes | bytearray) else listed(steps)
        numbers = [number for end in ends or () if (number := whole_or_none(end)) is not None]
        if len(ends or ()) != 2 or len(numbers) != 2:
            raise ArgumentError(
                f"Where: steps are {shown(steps)} and must be a step, or the first step and the "
                f"one after the last, such as [0, 10]."
            )
        span = range(*numbers)
    wrong = _what_is_wrong_with(span)
    if wrong:
        given = steps if isinstance(steps, range) else plain(steps)
        raise ArgumentError(
            f"Where: steps={given} {wrong}. Give a first step from 0 and one after the last, such "
            f"as [0, 10]."
        )
    return span if one is None else one


def _what_is_wrong_with(span: range) -> str:
    if span.step != 1:
        return "leaves steps out"
    return "begins before step 0" if span.start < 0 else "" if span else "is an empty range"


def _as_layers(layers: Any) -> Any:
    """Layers as one text, number or slice, or as a tuple of them."""
    parts = parts_of(layers, "Where")
    if parts is None:
        return None
    single = isinstance(layers, str | slice | Mapping) or whole_or_none(layers) is not None
    return parts[0] if single else tuple(parts)


def listed_words(words: str | Sequence[str], caller: str) -> list[str]:
    """Words as a list, also if there is one.

    Raises:
        ArgumentError: there is none, or one is no text.

    Example:
        >>> listed_words("cat", "drop")
        ['cat']
    """
    return names(words, "words", caller, cure="Name at least one word of the prompt.")


EVERYWHERE = Where()
"""All steps and layers, the conditional branch."""
