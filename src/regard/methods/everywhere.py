"""One edit in all layers that are meant: what the plain interventions share."""

import math
from collections.abc import Callable
from typing import Any

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError
from regard.methods.run import Changes, Run
from regard.methods.where import Where
from regard.tap import AttentionCall, Edit

OF_ONE_KIND = ("steps", "layers", "stage", "condition")
"""The parts of `Where` for methods that are for one kind of attention anyway."""


def everywhere(
    function: Callable[..., Any],
    run: Run,
    where: Where,
    edit: Edit,
    *,
    query: str | None = None,
    key: str | None = None,
) -> Changes:
    """One edit wherever a method is meant to act; a run in which it found nothing is refused.

    Args:
        function: The method, which messages name.
        run: What is known of the run.
        where: Steps and layers.
        edit: A function of an `AttentionCall`, which changes it by its verbs.
        query: Layers whose queries have such tokens, ``image`` or ``text``; None for any.
        key: The same of keys.

    Returns:
        What the plan of the method returns.

    Raises:
        ArgumentError: the run lacks what ``where`` says, or has no such attention.
        UnknownName: no layer is called so.

    Example:
        >>> from regard.methods import method
        >>> @method
        ... def silence(*, where: Where = Where()):
        ...     def edit(call):
        ...         call.scale_heads(dict.fromkeys(range(call.shape[1]), 0.0))
        ...     return lambda run: everywhere(silence, run, where, edit, key="text")
        >>> silence(where=Where(stage="up")).recipe()
        {'method': 'silence', 'where': {'stage': 'up'}}
    """
    select, layers = where.select_in(run, function.__name__, query=query, key=key), []

    def noted(call: AttentionCall) -> None:
        if not layers:
            layers.append(call.layer)
        edit(call)

    last = run.steps - 1 if where.span is not None else 0
    return Changes([(select, noted)], None, where.first_step, last, lambda: bool(layers))


def check_factor(caller: str, what: str, factor: float) -> None:
    """Refuse a factor that is no finite number.

    Raises:
        ArgumentError: it is none.
    """
    value = number_or_none(factor)
    if value is None or not math.isfinite(value):
        raise ArgumentError(f"{caller}: {what} is {shown(factor)} and must be a finite number.")
