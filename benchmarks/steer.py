"""What changing attention costs: the same picture bare and under methods, in turn in one process.

    python benchmarks/steer.py [--json] [--rounds N] [--steps N] [--images N] [--threads N]

The bundled `openmoji`, loaded once, draws a picture of one prompt and seed, from its noise to its
pixels. Each method is compared with the bare pictures just before and just after it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from regard.generation import Request, generate
from regard.methods import (
    Method,
    Where,
    drop,
    nudge,
    scale,
    scale_heads,
    scale_layers,
    temperature,
)
from regard.models import load
from regard.zoo.memory import keep_memory

GOAL = 1.05
SUBJECTS = ["lion", "car"]


def cases(layers: Sequence[str]) -> dict[str, list[Method]]:
    """Methods that change the arguments of attention alone, and one that does more."""
    return {
        "drop a word": [drop("car")],
        "scale a word": [scale({"car": 2.0})],
        "temperature of cross-attention": [temperature(0.7, where=Where(kind="cross"))],
        "without a head": [scale_heads(layers[0], {0: 0.0})],
        "cross-attention halved": [scale_layers(0.5, where=Where(kind="cross"))],
        "nudge (for comparison)": [nudge(SUBJECTS)],
    }


def measure(rounds: int, steps: int, images: int) -> dict[str, dict[str, float]]:
    """Median processor seconds of each, and their ratio to the bare pictures around."""
    model = load("openmoji")
    request = model.decide(Request("a lion and a blue car", num_inference_steps=steps))

    def seconds(methods: list[Method]) -> float:
        started = time.process_time()
        seeds = range(images)
        generate(model, [replace(request, methods=methods, seed=seed) for seed in seeds])
        return time.process_time() - started

    seconds([])  # the first run allocates
    taken: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    before = seconds([])
    for _ in range(rounds):
        for name, methods in cases([layer.path for layer in model.layers]).items():
            own, after = seconds(methods), seconds([])
            taken.setdefault(name, []).append(own)
            ratios.setdefault(name, []).append(2 * own / (before + after))
            before = after
    median = statistics.median
    return {name: {"seconds": median(taken[name]), "ratio": median(ratios[name])} for name in taken}


def main() -> None:
    """Print the table, or with --json one object."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--rounds", type=int, default=9, help="pictures of each kind")
    arguments.add_argument("--steps", type=int, default=30, help="denoising steps")
    arguments.add_argument("--images", type=int, default=1, help="pictures made at a time")
    arguments.add_argument("--threads", type=int, default=1, help="of torch")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    keep_memory()  # as the command does
    table = measure(given.rounds, given.steps, given.images)
    if given.json:
        print(json.dumps(table, indent=2))
        return
    width = max(map(len, table))
    print(f"{'':{width}}  seconds  ratio   (goal: at most {GOAL})")
    for name, row in table.items():
        print(f"{name:{width}}  {row['seconds']:7.3f}  {row['ratio']:5.3f}")


if __name__ == "__main__":
    main()
