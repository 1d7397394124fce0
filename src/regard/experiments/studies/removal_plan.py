"""The cases of the study of redundant words: all words of one prompt at one seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import pandas as pd

from regard.experiments.meter import Meter
from regard.experiments.plan import Plan
from regard.experiments.result import Kind
from regard.experiments.store import Done
from regard.experiments.studies.planted import captions, planted, planted_prompts
from regard.experiments.studies.removal import DELETED, GUIDANCE, HIDDEN, judged, removed
from regard.experiments.studies.removal_report import studied
from regard.experiments.studies.study import STUDY, Study
from regard.measures.verdicts import OWN_KEY
from regard.models import fingerprint, name_of

SEEDS, STEPS = (0, 1), 30

AGREEMENT, PLANTED = (HIDDEN, DELETED), (HIDDEN, OWN_KEY)
"""How the words of captions are removed, and those of prompts with planted words."""

DOING = {AGREEMENT: "hiding and deleting words", PLANTED: "hiding planted words"}


@dataclass(frozen=True)
class PromptBudget:
    """How much is generated.

    Attributes:
        prompts: Captions of test scenes.
        planted: Subjects of the prompts with planted words.
        seeds: Of each prompt.
        steps: Denoising steps.
    """

    prompts: int = 60
    planted: int = 12
    seeds: tuple[int, ...] = SEEDS
    steps: int = STEPS


FULL, QUICK = PromptBudget(), PromptBudget(prompts=6, planted=2, seeds=(0,), steps=10)


@dataclass(frozen=True)
class RemovalCase:
    """All words of a prompt at one seed, each removed in some ways."""

    prompt: str
    seed: int
    ways: tuple[str, ...]

    @property
    def name(self) -> tuple[str, int, tuple[str, ...]]:
        """What identifies it among the cases."""
        return self.prompt, self.seed, self.ways


def cases_of(budget: PromptBudget) -> list[RemovalCase]:
    """Captions at every seed, then prompts with planted words at the first."""
    texts, marked = captions(budget.prompts), planted_prompts(budget.planted)
    cases = [RemovalCase(text, seed, AGREEMENT) for seed in budget.seeds for text in texts]
    return [*cases, *(RemovalCase(text, budget.seeds[0], PLANTED) for text in marked)]


@dataclass(frozen=True)
class RemovalPlan(Plan[RemovalCase, Study]):
    """The study of one model: every case removes the words of one prompt at one seed.

    Attributes:
        model: A `TextToImage`.
        budget: How much is generated.
        cases: In the order of the tables.
        recipe: With what all is made, as plain JSON values.
    """

    model: Any
    budget: PromptBudget
    cases: Sequence[RemovalCase]
    recipe: dict[str, Any]
    kind: Kind = STUDY
    grows: ClassVar = ("prompts", "planted_subjects", "seeds", "quick")

    @classmethod
    def of(cls, model: Any, budget: PromptBudget, *, quick: bool) -> "RemovalPlan":
        """The plan of a model.

        Args:
            model: A `TextToImage`.
            budget: How much is generated.
            quick: Whether its numbers are not to be quoted.
        """
        return cls(model, budget, cases_of(budget), recipe_of(model, budget, quick=quick))

    def decides(self, case: RemovalCase) -> Any:
        """The prompt, the seed and the ways; the recipe decides the rest."""
        return list(case.name)

    def work(
        self, cases: Sequence[RemovalCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Remove the words of some prompts.

        Raises:
            ArgumentError: no judge reports what the images of the model show.
        """
        made = []
        for case in cases:
            meter.begin(DOING[case.ways])
            rows = removed(self.model, *case.name, steps=self.budget.steps)
            made.append(Done(rows.to_dict("records")))
            meter.add(1)
        return made

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Study:
        """The findings, and the parts of the report."""
        words, marked = (self._words(cases, ways) for ways in (AGREEMENT, PLANTED))
        each = zip(marked["prompt"], marked["word"], strict=True)
        marked["planted"] = [planted(*one) for one in each]
        return studied(words, marked, recipe, cases)

    def _words(self, cases: Mapping[Any, Done], ways: tuple[str, ...]) -> pd.DataFrame:
        """One row for each word of each prompt at each seed that was removed in these ways."""
        own = [cases[case.name].rows for case in self.cases if case.ways == ways]
        return judged(pd.concat([pd.DataFrame(rows) for rows in own], ignore_index=True))


def recipe_of(model: Any, budget: PromptBudget, *, quick: bool) -> dict[str, Any]:
    """With what the study is made, as plain JSON values."""
    return {
        "study": "redundancy",
        "model": name_of(model),
        "weights_sha256": fingerprint(model),
        "prompts": budget.prompts,
        "planted_subjects": budget.planted,
        "seeds": list(budget.seeds),
        "steps": budget.steps,
        "guidance_scale": GUIDANCE,
        "quick": quick,
        "versions": {name: version(name) for name in ("regard", "torch", "diffusers")},
    }
