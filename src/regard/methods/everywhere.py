"""One edit in all layers that are meant: what the plain interventions share."""

import math

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError
from regard.methods.run import Changes, Run
from regard.methods.where import Where
from regard.tap import AttentionCall, Edit

OF_ONE_KIND = ("steps", "layers", "stage", "condition")
"""The parts of `Where` for methods that are for one kind of attention anyway."""


def everywhere(run: Run, where: Where, caller: str, edit: Edit, **tokens: str) -> Changes:
    """An edit of all layers whose queries and keys have these tokens, such as key="text".

    Args:
        run: Of the pipeline.
        where: Steps and layers.
        caller: The method, for messages.
        edit: What to change.
        **tokens: ``query`` and ``key``, as `Select` takes them.

    Raises:
        RegardError: the run lacks what ``where`` says.
    """
    select, layers = where.select_in(run, caller, **tokens), []

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
