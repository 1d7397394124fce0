"""What shared attention costs: four images that attend to two of them, beside a bare batch.

    python benchmarks/share.py [--json] [--steps N] [--side N] [--threads N] [--rounds N]

All ways run in turn in one process; seconds are the median of some rounds. Memory is the most bytes
of tensors that are alive at once inside the denoiser, counted in a round of its own. The naive way
gives every image the keys and values of all, side by side in one array, and decomposes those that
it filters again for every image.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from live import LiveBytes

from regard.generation import Request, generate
from regard.generation.run import BatchPlan
from regard.generation.run import run as generated
from regard.methods import consistory, share, svd_consistency
from regard.models import TextToImage
from regard.tap import Select, Tap
from regard.zoo.memory import keep_memory

WAYS = ("bare", "share", "share, naive", "svd", "svd, naive", "consistory")
PROMPTS = ["a cat on the grass", "a cat on the beach", "a cat on the road", "a cat on the snow"]
GOALS = {"seconds of share": 1.6, "extra memory of share against naive": 0.5}


def measure(steps: int, side: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds and peak bytes of each way, and what it costs against the bare batch."""
    model = TextToImage.of("openmoji")
    found = {}
    for way in WAYS:
        once = partial(_generate, model, way, steps, side)
        once()  # the first allocates
        seconds = [_seconds(once) for _ in range(rounds)]
        found[way] = {"seconds": statistics.median(seconds), "bytes": _peak(model, once)}
    bare = found["bare"]
    for told in found.values():
        told["time_ratio"] = told["seconds"] / bare["seconds"]
        told["extra_mb"] = (told["bytes"] - bare["bytes"]) / 2**20
    return found


def _generate(model: TextToImage, way: str, steps: int, side: int) -> None:
    anchors: dict[str, Any] = {"anchors": PROMPTS[:2], "seeds": [0, 1]}
    methods: dict[str, Any] = {
        "share": lambda: [share(**anchors)],
        "svd": lambda: [svd_consistency(**anchors, keys={"share": 0.05}, values={"share": 0.05})],
        "consistory": lambda: [consistory("cat", **anchors)],
    }
    made = methods.get(way, list)()
    how: dict[str, Any] = {"num_inference_steps": steps, "height": side, "width": side}
    requests = [
        Request(prompt, seed=seed, methods=made, **how) for seed, prompt in enumerate(PROMPTS)
    ]
    if way.endswith("naive"):
        _naive(model, requests, svd=way.startswith("svd"))
    else:
        generate(model, requests)


def _seconds(once: Callable[[], None]) -> float:
    started = time.perf_counter()
    once()
    return time.perf_counter() - started


def _peak(model: TextToImage, once: Callable[[], None]) -> int:
    """The most bytes alive inside one call of the denoiser."""
    most, opened = [0], []

    def begin(*_: Any) -> None:
        opened.append(LiveBytes())
        opened[-1].__enter__()

    def end(*_: Any) -> None:
        opened[-1].__exit__(None, None, None)
        most[0] = max(most[0], opened.pop().peak)

    hooks = [
        model.denoiser.register_forward_pre_hook(begin),
        model.denoiser.register_forward_hook(end),
    ]
    try:
        once()
    finally:
        for hook in hooks:
            hook.remove()
    return most[0]


def _naive(model: Any, requests: Any, *, svd: bool) -> None:
    """All images attend to the keys and values of all, in one array."""

    def low_rank(matrix: Any) -> Any:
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        level = torch.quantile(s, 0.95)
        return u @ torch.diag(s * (s >= level)) @ v

    def extend(call: Any) -> None:
        keys, values = call.key.chunk(2), call.value.chunk(2)
        both = [[_beside(half, low_rank, svd) for half in part] for part in (keys, values)]
        call.set_kv(*(torch.cat(each) for each in both))

    def _beside(half: Any, filtered: Any, svd: bool) -> Any:
        images, heads, patches, width = half.shape
        rows = []
        for own in range(images):
            parts = [half[own]]
            for other in range(images):
                if other != own:
                    beside = half[other].transpose(0, 1).flatten(1)
                    beside = filtered(beside) if svd else beside
                    parts.append(beside.unflatten(1, (heads, width)).transpose(0, 1))
            rows.append(torch.cat(parts, 1))
        return torch.stack(rows)

    decided = [model.decide(each) for each in requests]
    plan = BatchPlan(decided[0], [e.prompt for e in decided], [e.seed for e in decided])
    up = Select(kind="self", stage="up")
    with Tap(model.pipeline, edit=[(up, extend)]):
        generated(model, plan)


def main() -> None:
    """Print the table, or with --json one object."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--steps", type=int, default=10, help="denoising steps")
    arguments.add_argument("--side", type=int, default=64, help="pixels a side")
    arguments.add_argument("--threads", type=int, default=1, help="of torch")
    arguments.add_argument("--rounds", type=int, default=3, help="batches of each way")
    asked = arguments.parse_args()
    keep_memory()
    torch.set_num_threads(asked.threads)
    found = measure(asked.steps, asked.side, asked.rounds)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{'':16}{'seconds':>10}{'x bare':>8}{'MB':>8}{'more MB':>9}")
    for way, told in found.items():
        print(
            f"{way:16}{told['seconds']:10.2f}{told['time_ratio']:8.2f}"
            f"{told['bytes'] / 2**20:8.1f}{told['extra_mb']:9.1f}"
        )


if __name__ == "__main__":
    main()
