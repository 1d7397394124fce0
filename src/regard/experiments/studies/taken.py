"""Words left out of prompts: hidden as `verify` hides them, deleted, or at their own key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from regard.errors import ArgumentError
from regard.experiments.store import Store
from regard.experiments.studies.planted import class_of, planted
from regard.experiments.studies.study import Report
from regard.measures.words import CONTROL, LOOKS, OWN_KEY, WORD, verdicts

STEPS, GUIDANCE, SEEDS = 30, 4.0, (0, 1)

HIDDEN, DELETED = "hidden", "deleted"
WAYS = (HIDDEN, DELETED, OWN_KEY)
"""How a word is left out: as `verify` does, by deletion, at its own key in the denoiser alone."""


@dataclass(frozen=True)
class Plan:
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


FULL, QUICK = Plan(), Plan(prompts=6, planted=2, seeds=(0,), steps=10)


@dataclass(frozen=True)
class Reader:
    """Takes words away from prompts, and keeps what each prompt came to."""

    model: Any
    plan: Plan
    store: Store
    progress: Report

    def agreement(self, prompts: Sequence[str]) -> pd.DataFrame:
        """One row for each word of each prompt at each seed, hidden and deleted."""
        ways = (HIDDEN, DELETED)
        cases = [(prompt, seed, ways) for seed in self.plan.seeds for prompt in prompts]
        return self._all("hiding and deleting words", cases)

    def planted(self, prompts: Sequence[str]) -> pd.DataFrame:
        """One row for each word of each prompt at the first seed, with whether it can matter."""
        cases = [(prompt, self.plan.seeds[0], (HIDDEN, OWN_KEY)) for prompt in prompts]
        words = self._all("hiding planted words", cases)
        each = zip(words["prompt"], words["word"], strict=True)
        words["planted"] = [planted(*one) for one in each]
        return words

    def _all(self, what: str, cases: Sequence[tuple[str, int, Sequence[str]]]) -> pd.DataFrame:
        tables = []
        for number, case in enumerate(cases):
            self.progress(what, number, len(cases))
            tables.append(self._kept(*case))
        self.progress(what, len(cases), len(cases))
        return judged(pd.concat(tables, ignore_index=True))

    def _kept(self, prompt: str, seed: int, ways: Sequence[str]) -> pd.DataFrame:
        case = f"{seed} {','.join(ways)} {prompt}"
        name = hashlib.sha256(case.encode()).hexdigest()[:16]
        found = self.store.read(name)
        if found is None:
            rows = self._read(prompt, seed, ways).to_dict("records")
            self.store.write(name, {"rows": rows}, {})
            return pd.DataFrame(rows)
        return pd.DataFrame(found[0]["rows"])

    def _read(self, prompt: str, seed: int, ways: Sequence[str]) -> pd.DataFrame:
        from regard.generation.batches import generate_to_compare
        from regard.generation.hidden import hide_words, masking
        from regard.look import look
        from regard.look.left_out import controls
        from regard.look.recipe import request_from
        from regard.scores.change import bundled_objects, compared, judges_for, makes_scenes

        model, judges = self.model, judges_for(self.model)
        if not makes_scenes(model):
            raise ArgumentError(
                "study redundancy: nobody says what is seen in the images of this model. Give a "
                "model of the world of scenes, such as 'openmoji'."
            )
        trace = look(
            model,
            prompt,
            keep=(),
            seed=seed,
            num_inference_steps=self.plan.steps,
            guidance_scale=GUIDANCE,
            progress=False,  # the study has its own
        ).trace
        names, request = list(trace.word_names), request_from(trace.recipe)
        groups = [trace.tokens_of(name) for name in names]
        pads = [[pad] for pad in controls(trace)[0]]
        baseline, *images = hide_words(model, request, [[], *groups, *pads]).images
        made = {HIDDEN: images[: len(names)]}
        if DELETED in ways:
            made[DELETED] = hide_words(model, request, groups, delete=True).images
        if OWN_KEY in ways:
            own = [replace(request, methods=(masking(each),)) for each in groups]
            made[OWN_KEY] = generate_to_compare(model, own)

        def against(others: list[Any]) -> pd.DataFrame:
            return compared(baseline, others, [request] * len(others), judges)

        rows = [against(images[len(names) :]).assign(word="[pad]", way=CONTROL)]
        table = trace.words().set_index("word").loc[names]
        for way, without in made.items():
            own = against(without).assign(word=names, way=way)
            own["place"], own["mass"] = range(len(names)), table["mass"].to_numpy()
            own["looks"] = table["verdict"].str.startswith(LOOKS).to_numpy()
            rows.append(own)
        whole = ", ".join(bundled_objects([baseline])[0])
        found = pd.concat(rows, ignore_index=True)
        return found.assign(prompt=prompt, seed=seed, sees=whole)


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of words with a threshold, whether each was needed, and its class."""
    tables = []
    for _, case in rows.groupby(["prompt", "seed"], sort=False):
        control = case[case["way"] == CONTROL].assign(kind=CONTROL)
        for way in [each for each in WAYS if each in set(case["way"])]:
            own = case[case["way"] == way].assign(kind=WORD)
            tables.append(verdicts(pd.concat([own, control], ignore_index=True)))
    words = pd.concat(tables, ignore_index=True).astype({"place": int, "needed": bool})
    each = zip(words["word"], words["place"], words["prompt"], words["sees"], strict=True)
    words["class"] = [class_of(*one) for one in each]
    return words
