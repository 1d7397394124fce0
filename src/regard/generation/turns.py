"""Threads that share a pipeline take turns: its scheduler and tokenizers serve one at a time."""

import functools
from collections.abc import Callable
from typing import Any


def in_turn(run: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function, of a model as its first argument, run in one thread at a time.

    Raises:
        ArgumentError: another thread has opened a tap of its own on the pipeline.
    """

    @functools.wraps(run)
    def taking(*args: Any, **given: Any) -> Any:
        model = args[0] if args else next(iter(given.values()), None)
        pipeline = getattr(model, "pipeline", model)
        if getattr(pipeline, "scheduler", None) is None:  # such as the name of a model
            return run(*args, **given)
        from regard.tap.claim import turn  # imports torch, as the pipeline has done

        with turn(pipeline):
            return run(*args, **given)

    return taking
