"""What looking costs: the same generation bare, tapped, and observed, interleaved in one process.

    python benchmarks/observe.py [--json] [--rounds N] [--steps N]

The UNet has the shape of the bundled one: (64, 96, 160) channels, one layer a block,
cross-attention at 16x16 and 8x8, 4 heads, 32 text keys, guidance on. Ratios travel, not seconds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.tap import HeatMap, LayerMean, Parity, Select, Tap

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny import noise, tiny_unet  # noqa: E402

TEXT = 32
WORDS = range(1, 9)
GOAL = 1.3


class Pipeline:
    """The denoising loop and nothing else: two rows of a batch, as guidance has them."""

    def __init__(self, unet: nn.Module, scheduler: Any) -> None:
        self.unet, self.scheduler = unet, scheduler
        self.components = {"unet": unet, "scheduler": scheduler}
        self.do_classifier_free_guidance = True

    @torch.no_grad()
    def __call__(self, steps: int) -> torch.Tensor:
        """The last latent."""
        latent, text = noise(1, 4, 16, 16), noise(2, TEXT, 96)
        self.scheduler.set_timesteps(steps)
        for timestep in self.scheduler.timesteps:
            uncond, cond = self.unet(latent.repeat(2, 1, 1, 1), timestep, text).sample.chunk(2)
            guided = uncond + 4.0 * (cond - uncond)
            latent = self.scheduler.step(guided, timestep, latent).prev_sample
        return latent


def pipeline() -> Pipeline:
    """The bundled model's shape, with random weights."""
    from diffusers import DDIMScheduler

    unet = tiny_unet(
        channels=(64, 96, 160),
        heads=4,
        text_width=96,
        size=16,
        attention_at=(True, True, False),
        groups=32,
    )
    return Pipeline(unet, DDIMScheduler(clip_sample=False))


def cases() -> dict[str, Callable[[Pipeline], Tap | None]]:
    """What is looked at, by name."""
    everything = lambda call, rows: call.entropy(batch=rows)  # noqa: E731
    return {
        "bare": lambda pipe: None,
        "tap, nothing observed": lambda pipe: Tap(pipe),
        "8 word maps, steps x layers x heads": lambda pipe: Tap(pipe, observe=[HeatMap(WORDS)]),
        "all 32 token maps and parity": lambda pipe: Tap(
            pipe, observe=[HeatMap(range(TEXT)), Parity()]
        ),
        "entropy of self-attention": lambda pipe: Tap(
            pipe, observe=[(Select(kind="self"), LayerMean(everything, condition="cond"))]
        ),
    }


def seconds(pipe: Pipeline, case: Callable[[Pipeline], Tap | None], steps: int) -> float:
    """Processor seconds of one generation, the opening of the tap included."""
    started = time.process_time()
    tap = case(pipe)
    if tap is None:
        pipe(steps)
    else:
        tap.conditions = ("uncond", "cond")  # a loop of our own says which rows are which
        with tap:
            pipe(steps)
    return time.process_time() - started


def measure(rounds: int, steps: int) -> dict[str, dict[str, float]]:
    """Median seconds of each case, and their ratio to the bare generation."""
    pipe, table = pipeline(), cases()
    times: dict[str, list[float]] = {name: [] for name in table}
    pipe(steps)  # the first run allocates
    for _ in range(rounds):
        for name, case in table.items():
            times[name].append(seconds(pipe, case, steps))
    medians = {name: statistics.median(values) for name, values in times.items()}
    # Ratios of neighbours in time: another program's load then hits both alike.
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, times["bare"], strict=True))
        for name, values in times.items()
    }
    return {name: {"seconds": medians[name], "ratio": ratios[name]} for name in table}


def main() -> None:
    """Print the table, or with --json one object."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--rounds", type=int, default=7, help="generations of each kind")
    arguments.add_argument("--steps", type=int, default=10, help="denoising steps in each")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    table = measure(given.rounds, given.steps)
    if given.json:
        print(json.dumps(table, indent=2))
        return
    width = max(map(len, table))
    print(f"{'':{width}}  seconds  ratio   (goal: at most {GOAL})")
    for name, row in table.items():
        print(f"{name:{width}}  {row['seconds']:7.3f}  {row['ratio']:5.2f}")


if __name__ == "__main__":
    main()
