"""The parts of the study of a vision transformer, each measured and kept separately."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from regard.data.fashion_mnist import FashionMNIST
from regard.experiments.meter import Meter, Progress
from regard.experiments.plan import Plan
from regard.experiments.result import Kind
from regard.experiments.store import Done
from regard.experiments.studies import depth, examples, faith, heads, mistakes, sizes, whole
from regard.experiments.studies.finding import table_of
from regard.experiments.studies.parts import done_of, value_of
from regard.experiments.studies.setting import Setting
from regard.experiments.studies.study import STUDY, Study
from regard.models import fingerprint

KINDS = (sizes.Shown, heads.Without, faith.Tested)
"""The dataclasses that parts are made of."""

WHOLE, DEPTH, CLUSTERS, SIZES, MISTAKES, HEADS, FAITH = (
    "1-whole", "2-depth", "3-clusters", "4-sizes", "5-mistakes", "6-heads", "7-faith",
)  # fmt: skip


@dataclass(frozen=True)
class StudyPart:
    """One part of the study.

    Attributes:
        name: Begins with its number.
        measure: Of the setting, and of what gives the value of an earlier part by its name.
    """

    name: str
    measure: Callable[[Setting, Callable[[str], Any]], Any]


PARTS = (
    StudyPart(WHOLE, lambda setting, part: whole.read_whole(setting)),
    StudyPart(DEPTH, lambda setting, part: depth.read_depth(setting)),
    StudyPart(CLUSTERS, lambda setting, part: depth.read_clusters(setting)),
    StudyPart(SIZES, lambda setting, part: sizes.read_sizes(setting)),
    StudyPart(MISTAKES, lambda setting, part: mistakes.read_matched(setting, part(WHOLE))),
    StudyPart(HEADS, lambda setting, part: heads.read_without(setting)),
    StudyPart(FAITH, lambda setting, part: faith.read_tested(setting)),
)


@dataclass(frozen=True)
class VitPlan(Plan[StudyPart, Study]):
    """The study of one model on one data set; each of its cases is a part of the study.

    Attributes:
        setting: Model and data.
        recipe: What decides all parts, as plain JSON values.
        cases: The parts.
    """

    setting: Setting
    recipe: dict[str, Any]
    kind: Kind = STUDY
    cases: Sequence[StudyPart] = PARTS

    @classmethod
    def of(cls, setting: Setting, *, quick: bool) -> "VitPlan":
        """The plan of a setting.

        Args:
            setting: Model and data, and how much of it to take.
            quick: Whether its numbers are not to be quoted.
        """
        return cls(setting, recipe_of(setting, quick=quick))

    def key(self, case: StudyPart) -> str:
        """Its name: the recipe decides the rest."""
        return case.name

    def decides(self, case: StudyPart) -> Any:
        """Nothing but its name."""
        return case.name

    def meter(self, progress: Progress | None) -> Meter:
        """That of the setting, which counts evaluated images."""
        self.setting.meter.progress = progress
        return self.setting.meter

    def work(
        self, cases: Sequence[StudyPart], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Measure some parts."""
        return [self._measured(case, finished, meter) for case in cases]

    def _measured(self, part: StudyPart, finished: Callable[[Any], Done], meter: Meter) -> Done:
        before = meter.done
        value = part.measure(self.setting, lambda name: value_of(finished(name), KINDS))
        return done_of(value, meter.done - before)

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Study:
        """The findings, and the parts of the report."""
        setting = self.setting
        setting.meter.begin("plotting the report")
        every, deep, clustered, shown, pairs, without, tested = (
            value_of(cases[part.name], KINDS) for part in self.cases
        )
        by_head = heads.head_table(without, every, deep)
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
            depth.part(setting, deep, every, *clustered),
            sizes.part(setting, shown),
            mistakes.part(setting, every, pairs),
            heads.part(setting, without, by_head),
            faith.part(setting, tested),
        )
        # The parity is measured: its last digits differ with the number of threads, so that it
        # decides nothing.
        recipe = {**recipe, "parity_error": setting.shape.parity}
        title = f"What the study of {setting.vision.name} found"
        notes = notes_of(setting)
        return Study(self.kind, findings, recipe, cases, notes, title=title, sections=sections)


def recipe_of(setting: Setting, *, quick: bool) -> dict[str, Any]:
    """What decides the study, as plain JSON values."""
    shape = setting.shape
    return {
        "study": "vit",
        "model": setting.vision.name,
        "weights_sha256": fingerprint(setting.vision),
        "data": f"Fashion-MNIST, {len(setting.data)} test images",
        "data_sha256": _fingerprint(setting.data),
        "size": list(setting.vision.size),
        "grid": list(shape.grid),
        "layers": list(shape.layers),
        "heads": shape.heads,
        "prefix": shape.prefix,
        "answer_read_from": shape.readout,
        "quick": quick,
        "budget": {**asdict(setting.budget), "scales": list(setting.budget.scales)},
        "versions": {name: version(name) for name in ("regard", "torch", "transformers")},
    }


def notes_of(setting: Setting) -> tuple[str, ...]:
    """What a reader must know before the findings."""
    return (
        f"{setting.vision.name} on the test images of Fashion-MNIST: {len(setting.shape.layers)} "
        f"layers of {setting.shape.heads} heads over "
        f"{setting.shape.grid[0]}x{setting.shape.grid[1]} patches. The hypotheses were written "
        f"down before anything was measured; those that fail are reported like those that hold.",
        "Intervals are of 95 %, over images (heads, where heads are compared); fewer than five "
        "have none. A hypothesis holds, or fails, if its whole interval lies on one side of the "
        "bound and its Holm-adjusted p is at most 0.05; else it is undecided. All this is about "
        "one trained model: another training may give other results.",
    )


def _fingerprint(data: FashionMNIST) -> str:
    """SHA-256 of images and labels: another data set of as many images is another study."""
    both = hashlib.sha256(data.images.tobytes())
    both.update(data.labels.tobytes())
    return both.hexdigest()
