"""The study of a vision transformer: where it looks, how that changes, and what it is worth."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.experiments.studies.finding import table_of
from regard.experiments.studies.plan import FULL, QUICK, Plan
from regard.experiments.studies.study import Study

Report = Callable[[str, int, int], None]

MODEL = "fashion-vit"


def vit(
    model: Any = MODEL,
    data: FashionMNIST | str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    plan: Plan | None = None,
    progress: Report | None = None,
) -> Study:
    """Test what is often said of the attention of vision transformers on one of them.

    Its hypotheses stand in `regard.experiments.studies.hypotheses`, written before anything was
    measured. Each gets a number with its 95 % interval over images (over heads where heads are
    compared), a p raised for the number of hypotheses, and a verdict.

    Args:
        model: A `regard.zoo.Vision` that names the classes of the data, or its name or folder.
        data: Test pictures, or the folder with the files of Fashion-MNIST; by default where
            `regard.data.fashion_mnist` finds them.
        quick: A tenth of the work, to see whether all is well; not to be quoted.
        plan: Numbers of one's own in place of those of ``quick``.
        progress: Called with what is being done, the images evaluated so far, and about how many
            there are in all.

    Returns:
        A `Study`: findings, tables, figures and ``save(folder)``.

    Raises:
        DataError: the data is missing or damaged, or the model cannot be opened.
        UnknownName: there is no such model.
        ArgumentError: the model is no classifier of these classes, or its attention cannot be
            studied.
    """
    started = time.perf_counter()
    seen = data if isinstance(data, FashionMNIST) else fashion_mnist("test", data)
    settings = plan or (QUICK if quick else FULL)
    # Here, so that a missing data set is told before torch is loaded.
    from regard.experiments.studies import depth, examples, faith, heads, mistakes, sizes, whole
    from regard.experiments.studies.setting import opened

    setting = opened(model, seen, settings, progress or (lambda what, done, total: None))
    every = whole.read_whole(setting)
    deep = depth.read_depth(setting)
    redundant, clusters = depth.read_clusters(setting)
    shown = sizes.read_sizes(setting)
    pairs = mistakes.read_matched(setting, every)
    without = heads.read_without(setting)
    by_head = heads.head_table(without, every, deep)
    tested = faith.read_tested(setting)
    setting.meter.begin("drawing the report")
    findings = table_of(
        [
            *whole.findings(every),
            *depth.findings(setting, deep),
            *mistakes.findings(every),
            *heads.findings(by_head),
            *faith.findings(tested),
            *sizes.findings(setting, shown),
        ]
    )
    sections = (
        whole.part(setting, every),
        examples.part(setting, every),
        depth.part(setting, deep, every, redundant, clusters),
        sizes.part(setting, shown),
        mistakes.part(setting, every, pairs),
        heads.part(setting, without, by_head),
        faith.part(setting, tested),
    )
    recipe = recipe_of(setting, quick=quick, seconds=time.perf_counter() - started)
    title = f"What the study of {setting.vision.name} found"
    return Study("vit", title, findings, sections, recipe, notes_of(setting))


def recipe_of(setting: Any, *, quick: bool, seconds: float) -> dict[str, Any]:
    """With what the study was made, as plain values."""
    from regard.zoo import fingerprint

    shape = setting.shape
    return {
        "model": setting.vision.name,
        "weights_sha256": fingerprint(setting.vision),
        "data": f"Fashion-MNIST, {len(setting.data)} test pictures",
        "size": list(setting.vision.size),
        "grid": list(shape.grid),
        "layers": list(shape.layers),
        "heads": shape.heads,
        "prefix": shape.prefix,
        "answer_read_from": shape.readout,
        "parity_error": shape.parity,
        "quick": quick,
        "plan": {**asdict(setting.plan), "scales": list(setting.plan.scales)},
        "versions": {name: version(name) for name in ("regard", "torch", "transformers")},
        "seconds": round(seconds, 1),
    }


def notes_of(setting: Any) -> tuple[str, ...]:
    """What a reader must know before the findings."""
    return (
        f"{setting.vision.name} on the test pictures of Fashion-MNIST: {len(setting.shape.layers)} "
        f"layers of {setting.shape.heads} heads over "
        f"{setting.shape.grid[0]}x{setting.shape.grid[1]} patches. The hypotheses were written "
        f"down before anything was measured; those that fail are told like those that hold.",
        "Intervals are of 95 %, from pictures drawn anew (heads, where heads are compared). A "
        "hypothesis holds, or fails, if its whole interval lies on one side of the bound and p, "
        "raised for the number of hypotheses (Holm), is at most 0.05; else it is undecided. All "
        "this is about one trained model: another training may look different.",
    )
