"""The cases of the study of consistency: one subject in six scenes, generated in many ways."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from regard.data.drawings import SUBJECTS
from regard.data.scenes import BACKGROUNDS, Mention, caption
from regard.experiments.consist import INDEPENDENT, ConsistPlan, SceneCase
from regard.experiments.meter import Meter
from regard.experiments.plan import Plan
from regard.experiments.result import Kind
from regard.experiments.store import Done
from regard.experiments.studies.consistency_report import MEASURED, studied
from regard.experiments.studies.study import STUDY, Study
from regard.generation import Request
from regard.models import fingerprint, name_of

ANCHORS = 2

ALL: dict[str, Any] = {}
"""A filter that leaves keys or values as they are."""

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
ENERGIES = (0.8, 0.9, 0.95, 0.99)


def ways() -> dict[str, tuple[str, dict[str, Any]]]:
    """What the scenes of a subject are generated with: a method and its settings, by label.

    Example:
        >>> ways()["keys 0.05"]
        ('svd-consistency', {'keys': {'share': 0.05}, 'values': {}})
    """

    def svd(keys: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "svd-consistency", {"keys": dict(keys), "values": dict(values)}

    shapes: dict[str, dict[str, Any]] = {
        "slow decay": {"shape": "exponential", "amount": -0.01},
        "steep decay": {"shape": "exponential", "amount": -0.1},
        "log": {"shape": "log"},
        "log2": {"shape": "log2"},
        "power 0.5": {"shape": "power", "amount": 0.5},
        "scaled log": {"shape": "scaled-log"},
    }
    return {
        INDEPENDENT: ("", {}),
        "share": ("share", {}),
        "consistory": ("consistory", {}),
        "consistory, one pass": ("consistory", {"inject": 0.0}),
        "svd 0.05": svd({"share": 0.05}, {"share": 0.05}),
        "svd 0.05, per head": ("svd-consistency", {"per": "head"}),
        **{f"keys {share:g}": svd({"share": share}, ALL) for share in SHARES},
        **{f"values {share:g}": svd(ALL, {"share": share}) for share in SHARES},
        **{f"energy {each:g}": svd({"energy": each}, {"energy": each}) for each in ENERGIES},
        **{name: svd(shape, shape) for name, shape in shapes.items()},
    }


@dataclass(frozen=True)
class ConsistencyBudget:
    """How much is generated.

    Attributes:
        subjects: The first so many of each kind, animals and things.
        scenes: Backgrounds.
        seeds: Sets of initial noise.
        steps: Denoising steps; None for the model's own.
        ways: Labels of `ways`; None for all.
    """

    subjects: int = 12
    scenes: int = 6
    seeds: int = 4
    steps: int | None = None
    ways: tuple[str, ...] | None = None


FULL = ConsistencyBudget()
QUICK = ConsistencyBudget(subjects=3, scenes=3, seeds=1, steps=12)


@dataclass(frozen=True)
class SubjectCase:
    """One subject in all scenes, at one set of initial noise, in all ways.

    Attributes:
        subject: Such as ``cat``.
        seed: Number of the set.
    """

    subject: str
    seed: int

    @property
    def name(self) -> tuple[str, int]:
        """What identifies it among the cases."""
        return self.subject, self.seed


@dataclass(frozen=True)
class ConsistencyPlan(Plan[SubjectCase, Study]):
    """The study of one model.

    Attributes:
        model: A `TextToImage`.
        encoder: Of images and texts.
        budget: How much is generated.
        cases: In the order of the tables.
        recipe: With what all is made, as plain JSON values.
    """

    model: Any
    encoder: Any
    budget: ConsistencyBudget
    cases: Sequence[SubjectCase]
    recipe: dict[str, Any]
    kind: Kind = STUDY
    grows: ClassVar = ("subjects", "seeds", "quick")

    @classmethod
    def of(
        cls, model: Any, encoder: Any, budget: ConsistencyBudget, *, quick: bool
    ) -> "ConsistencyPlan":
        """The plan of a model.

        Args:
            model: A `TextToImage`.
            encoder: Of images and texts.
            budget: How much is generated.
            quick: Whether its numbers are not to be quoted.
        """
        half = len(SUBJECTS) // 2
        named = [*SUBJECTS[:half][: budget.subjects], *SUBJECTS[half:][: budget.subjects]]
        cases = [SubjectCase(each, seed) for seed in range(budget.seeds) for each in named]
        recipe = {
            "study": "consistency",
            "model": name_of(model),
            "weights_sha256": fingerprint(model.pipeline),
            "encoder": encoder.name,
            "subjects": named,
            "scenes": list(BACKGROUNDS)[: budget.scenes],
            "seeds": budget.seeds,
            "num_inference_steps": budget.steps,
            "ways": {label: ways()[label] for label in labels_of(budget)},
            "quick": quick,
            "versions": {each: version(each) for each in ("regard", "torch", "diffusers")},
        }
        return cls(model, encoder, budget, cases, recipe)

    def decides(self, case: SubjectCase) -> Any:
        """The subject and the seed; the recipe decides the rest."""
        return list(case.name)

    def meter(self, progress: Any) -> Meter:
        """Counts images."""
        images = len(self.cases) * len(labels_of(self.budget)) * self.budget.scenes
        return Meter(progress, images, "generating scenes")

    def work(
        self, cases: Sequence[SubjectCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Generate one subject in all ways, and measure each."""
        return [self._measured(case, meter) for case in cases]

    def _measured(self, case: SubjectCase, meter: Meter) -> Done:
        scenes = self._scenes(case)
        plan = ConsistPlan(self.model, _phrase(case.subject), scenes, ANCHORS, self.encoder)
        done: dict[Any, Done] = {}
        for group in plan.groups():
            done |= dict(
                zip([s.name for s in group], plan.work(group, done.get, meter), strict=True)
            )  # type: ignore[arg-type]
        rows = [row for each in done.values() for row in each.rows]
        table = plan.result(rows, {}, done).table
        means = [
            {"subject": case.subject, "seed": case.seed, "way": way,
             **{name: float(part[name].mean()) for name in MEASURED}}
            for way, part in table.groupby("way", sort=False)
        ]  # fmt: skip
        images = np.stack([each.images[0] for each in done.values()])
        return Done(means, [f"{way}: {scene}" for way, scene in done], images, size=len(images))

    def _scenes(self, case: SubjectCase) -> list[SceneCase]:
        """All scenes of a subject in all ways."""
        from regard.methods.recipe import method_of

        phrase, sampling = _phrase(case.subject), {"num_inference_steps": self.budget.steps}
        grounds = list(BACKGROUNDS)[: self.budget.scenes]
        first = case.seed * 1000
        plain = [
            self.model.decide(Request(caption([Mention(case.subject)], each), seed=first + at,
                                      **sampling))
            for at, each in enumerate(grounds)
        ]  # fmt: skip
        given = {
            "anchors": [each.prompt for each in plain[:ANCHORS]],
            "seeds": [each.seed for each in plain[:ANCHORS]],
        }
        found = []
        for label in labels_of(self.budget):
            name, settings = ways()[label]
            own = {"subject": phrase.split()[-1]} if name == "consistory" else {}
            methods = [method_of(name, {**given, **own, **settings}, "study")] if name else []
            found += [
                SceneCase(label, ground, replace(each, methods=methods))
                for ground, each in zip(grounds, plain, strict=True)
            ]
        return found

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Study:
        """The findings, of one row for each subject, seed and way."""
        return studied(pd.DataFrame(rows), recipe, cases)


def labels_of(budget: ConsistencyBudget) -> list[str]:
    """The ways that a budget has."""
    return list(ways()) if budget.ways is None else list(budget.ways)


def _phrase(subject: str) -> str:
    """A subject as prompts have it, such as 'a cat'."""
    return caption([Mention(subject)])
