"""What measuring a large trace costs: seconds, and the most memory at any time.

    python benchmarks/measure.py [--json] [--side N] [--heads N]

It writes a trace of one layer of self-attention to a temporary folder, by default six heads over
64x64 patches, which is 1.0e8 weights, and measures it in a fresh process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL = 512
"""MB, everything included: Python and its libraries alone take about 100."""

NAMES = ("entropy", "coverage", "gini", "attention_distance", "head_diversity")


def write(path: Path, side: int, heads: int) -> None:
    """A trace of random rows, each patch looking mostly near itself."""
    import numpy as np

    from regard.trace import Trace, labelled_layer

    places = np.stack(np.divmod(np.arange(side**2), side), -1).astype(np.float32)
    rng = np.random.default_rng(0)
    weights = np.empty((1, heads, side**2, side**2), np.float32)
    for head in range(heads):
        for query in range(0, side**2, side):
            apart = np.square(places[query : query + side, None] - places[None]).sum(-1)
            scores = rng.random(apart.shape, np.float32) - apart / (2 * (head + 1) ** 2)
            row = np.exp(scores, dtype=np.float32)
            weights[0, head, query : query + side] = row / row.sum(-1, keepdims=True)
    layer = labelled_layer(weights, grid=(side, side), patch=(8, 8))
    Trace({"layers.0": layer}, (), {"model": "benchmark"}).save(path)


def measure(path: Path) -> dict[str, float]:
    """Seconds and peak memory of measuring the trace in this process."""
    from regard.measures import over_trace

    started = time.perf_counter()
    table = over_trace(path, NAMES)
    seconds = time.perf_counter() - started
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"seconds": seconds, "peak_mb": peak, "rows": len(table)}


def run(*arguments: object) -> str:
    """This file in a process of its own, so that memory is counted from nothing."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Print seconds and memory, or with --json one object."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--side", type=int, default=64, help="patches a side")
    arguments.add_argument("--heads", type=int, default=6, help="heads")
    arguments.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.write:
        write(given.write, given.side, given.heads)
        return
    if given.read:
        print(json.dumps(measure(given.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.zarr"
        run("--write", trace, "--side", given.side, "--heads", given.heads)
        size = sum(each.stat().st_size for each in trace.rglob("*") if each.is_file())
        found = json.loads(run("--read", trace))
    found |= {"weights": given.heads * given.side**4, "disk_mb": size / 1e6}
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['weights']:.3g} weights, {found['disk_mb']:.0f} MB on disk")
    print(f"{', '.join(NAMES)}: {found['seconds']:.1f} s")
    print(f"peak memory {found['peak_mb']:.0f} MB (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
