"""Benchmarks of methods: the same prompts and seeds bare and steered, judged by the same measures.

* `benchmark`: draw and judge; a `Benchmark` holds the table and its summary.
* `check_folder`: whether `Benchmark.save` could write somewhere, asked before the work is done.
"""

from regard.experiments.benchmark.result import Benchmark, check_folder
from regard.experiments.benchmark.run import benchmark

__all__ = ["Benchmark", "benchmark", "check_folder"]
