"""The study of a vision transformer: where it looks, how that changes, and what it is worth."""

import hashlib
import os
import time
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.experiments.store import Store
from regard.experiments.studies.finding import table_of
from regard.experiments.studies.parts import Parts
from regard.experiments.studies.plan import FULL, QUICK, Plan
from regard.experiments.studies.study import Report, Study

MODEL = "fashion-vit"


def vit(
    model: Any = MODEL,
    data: FashionMNIST | str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    plan: Plan | None = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
) -> Study:
    """Test what is often said of the attention of vision transformers on one of them.

    Its hypotheses stand in `regard.experiments.studies.hypotheses`, written before anything was
    measured. Each gets a number with its 95 % interval over images (over heads where heads are
    compared), a p raised for the number of hypotheses, and a verdict.

    Args:
        model: A `regard.models.Vision` that names the classes of the data, or its name or folder.
        data: Test images, or the folder with the files of Fashion-MNIST; by default where
            `regard.data.fashion_mnist` finds them.
        quick: A tenth of the work, to see whether all is well; not to be quoted.
        plan: Numbers of one's own in place of those of ``quick``.
        store: A folder to which what each part measured is written at once; a call with the same
            settings and folder goes on from there. None keeps nothing until the end.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: Called with what is being done, the images evaluated so far, and about how many
            there are in all.

    Returns:
        A `Study`: findings, tables, figures and ``save(folder)``.

    Raises:
        DataError: the data is missing or damaged, or the model cannot be opened.
        UnknownName: there is no such model.
        ArgumentError: the model is no classifier of these classes, or its attention cannot be
            studied.
        OutputError: the store holds something else, or cannot be written, or another process
            writes there.
    """
    started = time.perf_counter()
    seen = data if isinstance(data, FashionMNIST) else fashion_mnist("test", data)
    settings = plan or (QUICK if quick else FULL)
    # Here, so that a missing data set is told before torch is loaded.
    from regard.experiments.studies import depth, examples, faith, heads, mistakes, sizes, whole
    from regard.experiments.studies.setting import opened

    setting = opened(model, seen, settings, progress or (lambda what, done, total: None))
    recipe = recipe_of(setting, quick=quick)
    # The parity is measured, and its last digits differ with the number of threads.
    decided = {name: value for name, value in recipe.items() if name != "parity_error"}
    decided["data_sha256"] = _fingerprint(seen)
    kinds = (sizes.Shown, heads.Without, faith.Tested)
    with Store(store, decided, who="study", overwrite=overwrite) as kept:
        part = Parts(kept, setting.meter, kinds).part
        every = part("1-whole", lambda: whole.read_whole(setting))
        deep = part("2-depth", lambda: depth.read_depth(setting))
        redundant, clusters = part("3-clusters", lambda: depth.read_clusters(setting))
        shown = part("4-sizes", lambda: sizes.read_sizes(setting))
        pairs = part("5-mistakes", lambda: mistakes.read_matched(setting, every))
        without = part("6-heads", lambda: heads.read_without(setting))
        tested = part("7-faith", lambda: faith.read_tested(setting))
    by_head = heads.head_table(without, every, deep)
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
    recipe["seconds"] = round(time.perf_counter() - started, 1)
    title = f"What the study of {setting.vision.name} found"
    return Study("vit", title, findings, sections, recipe, notes_of(setting))


def recipe_of(setting: Any, *, quick: bool) -> dict[str, Any]:
    """With what the study was made, as plain values."""
    from regard.models import fingerprint

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
    }


def _fingerprint(data: FashionMNIST) -> str:
    """SHA-256 of images and labels: another data set of as many is another study."""
    seen = hashlib.sha256(data.images.tobytes())
    seen.update(data.labels.tobytes())
    return seen.hexdigest()


def notes_of(setting: Any) -> tuple[str, ...]:
    """What a reader must know before the findings."""
    return (
        f"{setting.vision.name} on the test pictures of Fashion-MNIST: {len(setting.shape.layers)} "
        f"layers of {setting.shape.heads} heads over "
        f"{setting.shape.grid[0]}x{setting.shape.grid[1]} patches. The hypotheses were written "
        f"down before anything was measured; those that fail are told like those that hold.",
        "Intervals are of 95 %, over pictures (heads, where heads are compared); fewer than five "
        "have none. A "
        "hypothesis holds, or fails, if its whole interval lies on one side of the bound and p, "
        "raised for the number of hypotheses (Holm), is at most 0.05; else it is undecided. All "
        "this is about one trained model: another training may look different.",
    )
