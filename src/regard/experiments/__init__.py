"""Experiments: many images made or read, judged case by case, with intervals and a report.

Each is a function that returns a `Result`: a table, its summary, and ``save(folder)``;
`experiments` lists them. Those that take long take a ``store``, a folder of finished cases: the
same call goes on from there. An experiment of your own is a `Plan` that `run` carries out.
"""

from typing import TYPE_CHECKING

from regard.experiments.named import experiments
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.experiments.benchmark import benchmark
    from regard.experiments.compare import compare
    from regard.experiments.consist import consist
    from regard.experiments.evaluate import evaluate
    from regard.experiments.images import ImageCase, ImagePlan, Variant
    from regard.experiments.plain_report import plain_kind
    from regard.experiments.plan import Case, Plan
    from regard.experiments.result import Kind, Result
    from regard.experiments.run import run
    from regard.experiments.score import score
    from regard.experiments.store import Done
    from regard.experiments.studies import consistency, redundancy, vit
    from regard.experiments.sweep import sweep

__all__ = [
    "Case",
    "Done",
    "ImageCase",
    "ImagePlan",
    "Kind",
    "Plan",
    "Result",
    "Variant",
    "benchmark",
    "compare",
    "consist",
    "consistency",
    "evaluate",
    "experiments",
    "plain_kind",
    "redundancy",
    "run",
    "score",
    "sweep",
    "vit",
]

hand_out(
    __name__,
    {
        "Case": "regard.experiments.plan:Case",
        "Done": "regard.experiments.store:Done",
        "ImageCase": "regard.experiments.images:ImageCase",
        "ImagePlan": "regard.experiments.images:ImagePlan",
        "Kind": "regard.experiments.result:Kind",
        "Plan": "regard.experiments.plan:Plan",
        "Result": "regard.experiments.result:Result",
        "Variant": "regard.experiments.images:Variant",
        "plain_kind": "regard.experiments.plain_report:plain_kind",
        "run": "regard.experiments.run:run",
    },
    experiments,
)
