"""Carrying out a plan: each case is done and put down before the next begins."""

import os
import time
from typing import Any

from regard.experiments.meter import Progress, counting
from regard.experiments.plan import Found, Plan
from regard.experiments.store import Store
from regard.progress import reporting


def run(
    plan: Plan[Any, Found],
    *,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Found:
    """Do every case of a plan that is not in the store yet.

    Memory: what one group of cases needs.

    Args:
        plan: What to do.
        store: A folder for finished cases; None keeps them in memory.
        overwrite: Whether cases in the store that have other settings may be deleted.
        progress: As for `regard.progress.reporting`; a function is called with what is being done,
            how much is done, and how much there is.

    Returns:
        The result, whose cases are read from the store.

    Raises:
        OutputError: as for `regard.experiments.store.Store`.
        ArgumentError: as the plan says.
    """
    started = time.perf_counter()
    keys = {case.name: plan.key(case) for case in plan.cases}
    rows: list[dict[str, Any]] = []
    name = plan.kind.name
    with (
        reporting(progress, name) as advance,
        Store(store, plan.recipe, who=name, overwrite=overwrite, grows=plan.grows) as kept,
    ):
        meter = plan.meter(advance if callable(progress) else counting(advance))
        cases = kept.cases(keys)
        for group in plan.groups():
            done = {case.name: kept.get(keys[case.name]) for case in group}
            if found := sum(one.size for one in done.values() if one is not None):
                meter.what = "found finished cases"
                meter.add(found)
            missing = [case for case in group if done[case.name] is None]
            made = plan.work(missing, cases.__getitem__, meter) if missing else []
            for case, one in zip(missing, made, strict=True):
                kept.put(keys[case.name], one)
                done[case.name] = one
            finished = [one.rows for one in done.values() if one is not None]
            rows += [row for same in zip(*finished, strict=True) for row in same]
    recipe = {**plan.recipe, "seconds": round(time.perf_counter() - started, 1)}
    return plan.result(rows, recipe, cases)
