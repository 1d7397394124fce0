"""Carrying out a plan: each case is generated, judged and put down before the next begins."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from regard.experiments.plan import Case, Plan
from regard.experiments.result import Result
from regard.experiments.store import Done, Store, small
from regard.generation import generate
from regard.generation.outcome import refuse_void
from regard.progress import Advance, Progress, reporting

GROWS = ("prompts", "seeds")
"""What plans of one store may differ in: cases that both have are generated once."""


def run(
    plan: Plan,
    *,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = None,
) -> Result:
    """Generate and judge every case of a plan that is not in the store yet.

    Memory: the images of one case, or of one prompt where the plan is timed.

    Args:
        plan: What to do.
        store: A folder for finished cases; None keeps them in memory.
        overwrite: Whether cases in the store that have other settings may be deleted.
        progress: As for `regard.progress.reporting`; a function is called with the number of
            images generated so far, and of all.

    Returns:
        The result, whose cells are read from the store.

    Raises:
        OutputError: as for `regard.experiments.store.Store`.
        ArgumentError: an image shows nothing.
    """
    started = time.perf_counter()
    keys = {case.cell: plan.key(case) for case in plan.cases}
    rows: list[dict[str, Any]] = []
    name = plan.kind.name
    with (
        reporting(progress, name) as advance,
        Store(store, plan.recipe, who=name, overwrite=overwrite, grows=GROWS) as kept,
    ):
        tell = _Told(advance, sum(len(case.variants) for case in plan.cases))
        for group in plan.groups():
            done = {case.cell: kept.get(keys[case.cell]) for case in group}
            missing = [case for case in group if done[case.cell] is None]
            tell.before += sum(len(case.variants) for case in group if done[case.cell] is not None)
            for case, one in zip(missing, _made(plan, missing, tell), strict=True):
                kept.put(keys[case.cell], one)
                done[case.cell] = one
            tell(0, 1)
            finished = [one.rows for one in done.values() if one is not None]
            rows += [row for same in zip(*finished, strict=True) for row in same]
    recipe = {**plan.recipe, "seconds": round(time.perf_counter() - started, 1)}
    table = _ordered(pd.DataFrame(rows), plan.columns)
    return Result(plan.kind, table, recipe, kept.cells(keys), plan.notes, plan.units)


@dataclass
class _Told:
    """Progress of several runs, in images of all."""

    advance: Advance
    total: int
    before: int = 0
    images: int = 0

    def __call__(self, done: int, steps: int) -> None:
        self.advance(self.before + done * self.images // steps, self.total)


def _made(plan: Plan, cases: Sequence[Case], tell: _Told) -> list[Done]:
    """The cases, generated together and judged one by one."""
    requests = [case.requests for case in cases]
    images: list[list[Any]] = [[None] * len(each) for each in requests]
    seconds = np.zeros(len(plan.cases[0].variants))
    for batch in _batches(plan, requests):
        wanted = [requests[case][variant] for case, variant in batch]
        plan.model.noise(wanted[0].num_inference_steps).check()
        tell.images, started = len(batch), time.perf_counter()
        made = generate(plan.model, wanted, progress=tell)
        tell.before, tell.images = tell.before + len(batch), 0
        for (case, variant), one in zip(batch, made, strict=True):
            refuse_void([one.void], even=variant == 0)
            images[case][variant] = one.image
        if plan.timed:
            seconds[batch[0][1]] = (time.perf_counter() - started) / len(batch)
    return [_done(plan, *each, seconds) for each in zip(cases, images, strict=True)]


def _batches(plan: Plan, requests: Sequence[Sequence[Any]]) -> list[list[tuple[int, int]]]:
    """The places, case and variant, of what one call generates."""
    if not requests:
        return []
    cases, variants = range(len(requests)), range(len(requests[0]))
    apart = [[(case, variant) for case in cases] for variant in variants]
    return apart if plan.timed else [[place for places in apart for place in places]]


def _done(plan: Plan, case: Case, images: Sequence[Any], seconds: np.ndarray) -> Done:
    """The rows and small images of a case."""
    told = [number for number, each in enumerate(case.variants) if each.columns is not None]
    shown, requests = [images[number] for number in told], case.requests
    measured: dict[str, list[Any]] = {}
    for judge in plan.judges:
        measured |= judge(shown, [requests[number] for number in told], images[0])
    rows = [
        {
            **(case.variants[number].columns or {}),
            **dict(zip(("prompt", "seed"), case.cell, strict=True)),
            **({"seconds": float(seconds[number])} if plan.timed else {}),
            **{name: values[place] for name, values in measured.items()},
        }
        for place, number in enumerate(told)
    ]
    labels = [each.label for each in case.variants]
    return Done(rows, labels, np.stack([small(each) for each in images]))


def _ordered(table: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    return table[[*first, *(name for name in table if name not in first)]]
