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
from dataclasses import replace

import torch

from regard.experiments.ablations import ablations, layers_of
from regard.generation import Request, generate
from regard.generation.batches import ROWS
from regard.models import TextToImage, load
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
    model: TextToImage, request: Request, heads: int | None, during: Sequence[int] | None
) -> dict[str, float]:
    """Seconds of both ways, and how many times as long the single runs take."""
    text = model.tokenize(request.prompt, whole=True)
    plan = ablations("heads", layers_of(model, request), text, during)[:heads]
    requests = [request, *(replace(request, methods=each.methods) for each in plan)]
    together, alone, steered = Stopwatch(), Stopwatch(), Stopwatch()
    for first in range(0, len(requests), ROWS):
        batch = requests[first : first + ROWS]
        with together:
            generate(model, batch)
        for each in batch:
            with alone:
                generate(model, [each])
        with steered:
            one_run(model, batch[-1])
    batches = -(-len(requests) // ROWS)
    return {
        "pictures": len(requests),
        "seconds_together": together.wall,
        "seconds_alone": alone.wall,
        "seconds_steered": steered.wall * len(plan) / batches,
        "ratio": alone.wall / together.wall,
        "steered_ratio": steered.wall * len(plan) / batches / together.wall,
        "processor_ratio": alone.processor / together.processor,
    }


def one_run(model: TextToImage, request: Request) -> None:
    """What `regard.steer` does for one head, as a user calls it."""
    steer(
        model,
        request.prompt,
        list(request.methods),
        seed=request.seed,
        num_inference_steps=request.num_inference_steps,
    )


def measure(heads: int | None, steps: int, prompt: str) -> dict[str, dict[str, float]]:
    """Both comparisons."""
    model = load("openmoji")
    request = model.decide(Request(prompt, num_inference_steps=steps))
    layers_of(model, request)  # the first run allocates
    spans = {"in all steps": None, "in the second half": [steps // 2, steps]}
    return {name: compare(model, request, heads, span) for name, span in spans.items()}


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
