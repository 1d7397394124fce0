"""What a sweep over all heads takes, beside one run for each head: the same pictures both ways.

    python benchmarks/sweep.py [--json] [--quick] [--steps N] [--threads N] [--prompt TEXT]

The bundled `openmoji`, loaded once, draws the picture as it is and without each head: in batches,
as `regard.sweep` does, and one by one, each through the same tap. Once in all steps, once in the
second half of them. Batches and single runs take turns, so that another program's load hits both.

Who has no sweep runs `regard.steer` for each head, which draws the picture as it is each time and
reads its maps: one head of every batch is steered so, and counts for all of the batch.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import torch

from regard.experiments.sweeps.ablations import ablations, layers_of
from regard.look.generate import ROWS
from regard.look.prompt import read_whole
from regard.look.settings import Settings
from regard.look.variants import Variant, generate_variants
from regard.models import load
from regard.steering import steer
from regard.zoo.memory import keep_memory

GOAL = 3.0

QUICK = {"heads": 7, "steps": 10}


class Stopwatch:
    """Seconds of the clock and of the processor, added up."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def __enter__(self) -> "Stopwatch":
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *raised: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.processor += time.process_time() - self._began[1]


def compare(
    pipeline: Any, settings: Settings, heads: int | None, during: Sequence[int] | None
) -> dict[str, float]:
    """Seconds of both ways, and how many times as long the single runs take."""
    text = read_whole(pipeline, settings)
    plan = ablations("heads", layers_of(pipeline, settings), text, during)[:heads]
    variants = [Variant(), *(Variant((each.method,)) for each in plan)]
    together, alone, steered = Stopwatch(), Stopwatch(), Stopwatch()
    for first in range(0, len(variants), ROWS):
        batch = variants[first : first + ROWS]
        with together:
            generate_variants(pipeline, settings, text, batch)
        for variant in batch:
            with alone:
                generate_variants(pipeline, settings, text, [variant])
        with steered:
            one_run(pipeline, settings, batch[-1])
    batches = -(-len(variants) // ROWS)
    return {
        "pictures": len(variants),
        "seconds_together": together.wall,
        "seconds_alone": alone.wall,
        "seconds_steered": steered.wall * len(plan) / batches,
        "ratio": alone.wall / together.wall,
        "steered_ratio": steered.wall * len(plan) / batches / together.wall,
        "processor_ratio": alone.processor / together.processor,
    }


def one_run(pipeline: Any, settings: Settings, variant: Variant) -> None:
    """What `regard.steer` does for one head, as a user calls it."""
    steer(
        pipeline,
        settings.prompt,
        list(variant.methods),
        seed=settings.seed,
        steps=settings.steps,
        guidance=settings.guidance,
    )


def measure(heads: int | None, steps: int, prompt: str) -> dict[str, dict[str, float]]:
    """Both comparisons."""
    pipeline, settings = load("openmoji"), Settings(prompt, steps=steps)
    layers_of(pipeline, settings)  # the first run allocates
    spans = {"in all steps": None, "in the second half": [steps // 2, steps]}
    return {name: compare(pipeline, settings, heads, span) for name, span in spans.items()}


def main() -> None:
    """Print the table, or with --json one object."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--quick", action="store_true", help="few heads and steps")
    arguments.add_argument("--steps", type=int, default=30, help="denoising steps")
    arguments.add_argument("--threads", type=int, help="of torch; by default its own choice")
    arguments.add_argument("--prompt", default="a lion and a blue car", help="what to draw")
    given = arguments.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    keep_memory()  # as the command does
    heads, steps = (QUICK["heads"], QUICK["steps"]) if given.quick else (None, given.steps)
    table = measure(heads, steps, given.prompt)
    if given.json:
        print(json.dumps({"threads": torch.get_num_threads(), "steps": steps, **table}, indent=2))
        return
    print(f"{torch.get_num_threads()} threads, {steps} steps")
    print(
        f"{'':20}pictures  together s   alone s  ratio  by processor  steer s  ratio   ({GOAL:g})"
    )
    for name, row in table.items():
        print(
            f"{name:20}{row['pictures']:8}  {row['seconds_together']:10.1f}"
            f"{row['seconds_alone']:10.1f}  {row['ratio']:5.2f}  {row['processor_ratio']:12.2f}"
            f"{row['seconds_steered']:9.1f}  {row['steered_ratio']:5.2f}"
        )


if __name__ == "__main__":
    main()
