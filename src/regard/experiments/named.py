"""The experiments by name; none is imported until it is asked for."""

from regard.registry import Registry

experiments = Registry(
    "experiment",
    {
        "benchmark": "regard.experiments.benchmark:benchmark",
        "compare": "regard.experiments.compare:compare",
        "consist": "regard.experiments.consist:consist",
        "evaluate": "regard.experiments.evaluate:evaluate",
        "consistency": "regard.experiments.studies.consistency:consistency",
        "redundancy": "regard.experiments.studies.redundancy:redundancy",
        "score": "regard.experiments.score:score",
        "sweep": "regard.experiments.sweep:sweep",
        "vit": "regard.experiments.studies.vit:vit",
    },
)
