"""One call: the same prompts and seeds in several models, judged image by image."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from regard.arguments import listed, pathlike, shown, verb, whole
from regard.data.scenes.held_out import unseen_prompts
from regard.errors import ArgumentError
from regard.experiments.compare_report import COMPARE
from regard.experiments.images import GENERATING, shared_recipe
from regard.experiments.meter import Meter, counting
from regard.experiments.meter import Progress as Report
from regard.experiments.plan import Plan
from regard.experiments.result import Kind, Result
from regard.experiments.store import Done, small
from regard.generation import Request, Sampling, generate
from regard.generation.outcome import refuse_void
from regard.progress import Progress, check_progress

if TYPE_CHECKING:  # these import torch
    from regard.models.text_to_image import TextToImage
    from regard.scores.judges import Judge


@verb
def compare(
    models: Sequence[Any] | Mapping[str, Any],
    prompts: Sequence[str] | None = None,
    *,
    seeds: int = 1,
    encoder: Any = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Result:
    """Generate the same prompts with several models, and say in which the images fit them better.

    The first model is what the others are compared with, image by image. Equal seeds are no equal
    noise where latents have other shapes: pairs stand for the prompt, not for the noise.

    Args:
        models: Two or more diffusers text-to-image pipelines, or names or folders of such, or a
            mapping from what to call them; all are held in memory.
        prompts: What to generate; None for 64 that the bundled models were never trained on.
        seeds: Images of each prompt, from seed 0 on.
        encoder: Of images and texts, as `regard.models.encoder.encoder` takes it; None for no
            cosines.
        store: A folder to which what each image gave is written at once: the same call goes on
            from there, also with further models, prompts and seeds, and the result reads its images
            there. None keeps all in memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for seed and latents; each model has
            its own defaults.

    Returns:
        A `Result`. Its table has one row for each image: model, prompt, seed, ``seconds`` (of one
        image, the mean of its prompt); where all models are bundled ones, by the segmenter
        ``neglected`` (1 if a subject is missing, else 0), ``neglected_subjects``,
        ``misbound_colours`` and ``miscounted_subjects`` (shares); with an encoder ``full_prompt``
        and ``minimum_object_similarity`` (cosines). Its summary compares each with the first.

    Raises:
        UnknownName: there is no such model.
        ArgumentError: fewer than two models, one of them twice, or one that generates nothing;
            a prompt is no text or comes twice; no seed.
        DataError: a model or the encoder cannot be opened.
        OutputError: the store holds something else, or cannot be written.

    Example:
        >>> few = {"prompts": ["a cat"], "num_inference_steps": 1}
        >>> compare({"one": "openmoji", "again": "openmoji"}, **few).table["model"].tolist()
        ['one', 'again']
    """
    asked = _texts(prompts)
    if whole(seeds, "seeds", "compare", cure="1 is usual.") < 1:
        raise ArgumentError(f"compare: seeds is {seeds} and must be 1 or more; 1 is usual.")
    store = None if store is None else pathlike(store, "store", "compare")
    check_progress(progress)
    # These import torch, so they wait until arguments are checked.
    from regard.experiments.run import run

    opened = _opened(models)
    judges, notes = _judges_of(opened, encoder)
    cases = [
        ModelCase(name, model, replace(request, seed=seed))
        for name, model in opened.items()
        for request in [model.decide(Request.of(each, sampling)) for each in asked]
        for seed in range(seeds)
    ]
    plan = ComparePlan(opened, cases, judges, tuple(notes))
    return run(plan, store=store, overwrite=overwrite, progress=counting(progress))


def _texts(prompts: Any) -> list[str]:
    several = unseen_prompts() if prompts is None else prompts
    texts = None if isinstance(several, str | bytes) else listed(several)
    if not texts or not all(isinstance(each, str) for each in texts):
        raise ArgumentError(
            f"compare: prompts is {shown(prompts)} and must be a list of texts, at least one."
        )
    twice = [each for number, each in enumerate(texts) if each in texts[:number]]
    if twice:
        raise ArgumentError(f"compare: '{twice[0]}' comes twice. Give each prompt once.")
    return texts


def _opened(models: Any) -> dict[str, "TextToImage"]:
    """The models, by what they are called."""
    from regard.models.text_to_image import TextToImage

    named = models if isinstance(models, Mapping) else {}
    several = list(named.values()) or (None if isinstance(models, str | bytes) else listed(models))
    if several is None or len(several) < 2 or not all(isinstance(each, str) for each in named):
        raise ArgumentError(
            f"compare: models is {shown(models)} and must be a list of two or more, such as "
            f"['openmoji', 'my-checkpoint']."
        )
    opened = [TextToImage.of(each) for each in several]
    names = list(named) or [each.name for each in opened]
    twice = [each for number, each in enumerate(names) if each in names[:number]]
    if twice:
        raise ArgumentError(
            f"compare: two models are called '{twice[0]}'. Give each once, or say in Python what "
            f"to call them: {{'mine': model, 'other': another}}."
        )
    return dict(zip(names, opened, strict=True))


def _judges_of(
    models: Mapping[str, "TextToImage"], encoder: Any
) -> tuple[list["Judge"], list[str]]:
    """The judges, opened, and what is not measured."""
    from regard.scores.change import judge_of
    from regard.scores.judges import Counts, Fit, Presence
    from regard.scores.pairs import open_encoder

    judges: list[Judge] = []
    notes: list[str] = []
    known = [judge_of(each) for each in models.values()]
    if None in known:
        notes.append(
            "The segmenter knows the images of bundled models alone, so neglected, misbound and "
            "miscounted subjects are not counted."
        )
    else:
        judges += [Presence(str(known[0])), Counts(str(known[0]))]
    if encoder is None:
        notes.append("No encoder was asked for, so there is no cosine of image and prompt.")
    else:
        opened = open_encoder(encoder)
        if opened.texts is None:
            raise ArgumentError(
                f"compare: the encoder '{opened.name}' reads no texts. Take one of images and "
                f"texts, such as 'openmoji-clip'."
            )
        judges.append(Fit(opened))
    return judges, notes


@dataclass(frozen=True)
class ModelCase:
    """One image of one model.

    Attributes:
        label: What the model is called.
        model: Which generates it.
        request: Decided by the model.
    """

    label: str
    model: "TextToImage"
    request: Request

    @property
    def name(self) -> tuple[str, str, int]:
        """Model, prompt and seed."""
        return self.label, self.request.prompt, self.request.seed


@dataclass(frozen=True)
class ComparePlan(Plan[ModelCase, Result]):
    """The same prompts and seeds in several models; the images of a prompt are generated together.

    Attributes:
        models: By what they are called; the first is what the others are compared with.
        cases: Model by model, prompt by prompt.
        judges: Of the images.
        notes: What is not measured, and why.
    """

    models: Mapping[str, "TextToImage"]
    cases: Sequence[ModelCase]
    judges: Sequence["Judge"]
    notes: tuple[str, ...] = ()
    kind: Kind = COMPARE
    grows = ("prompts", "seeds", "models")

    @property
    def recipe(self) -> dict[str, Any]:  # type: ignore[override]  # the plan's own cases decide it
        """Prompts, seeds, and with what each model generates."""
        names = [case.name for case in self.cases]
        first = {case.label: case.request for case in reversed(self.cases)}
        return {
            "prompts": list(dict.fromkeys(prompt for _, prompt, _ in names)),
            "seeds": list(dict.fromkeys(seed for *_, seed in names)),
            "models": {
                name: shared_recipe(model, first[name]) for name, model in self.models.items()
            },
            "judges": [each.recipe() for each in self.judges],
        }

    def decides(self, case: ModelCase) -> Any:
        """As for `Plan`: the model, the judges and the request."""
        judges = [each.recipe() for each in self.judges]
        return [case.label, case.model.recipe(), judges, case.request.to_json()]

    def meter(self, progress: Report | None) -> Meter:
        """Counts images."""
        return Meter(progress, len(self.cases), GENERATING)

    def groups(self) -> Iterator[list[ModelCase]]:
        """Images of one model and prompt."""
        return (list(group) for _, group in groupby(self.cases, lambda case: case.name[:2]))

    def work(
        self, cases: Sequence[ModelCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Generate the images of one prompt, and judge them.

        Raises:
            ArgumentError: an image shows nothing.
        """
        started = time.perf_counter()
        requests = [case.request for case in cases]
        made = generate(cases[0].model, requests, progress=meter.share(len(cases)))
        seconds = (time.perf_counter() - started) / len(cases)
        refuse_void([each.void for each in made])
        meter.add(len(cases))
        images = [each.image for each in made]
        told: dict[str, list[Any]] = {}
        for judge in self.judges:
            told |= judge(images, requests, images[0])
        return [
            Done(
                [{**_columns(case), "seconds": seconds, **{k: v[place] for k, v in told.items()}}],
                [case.label],
                np.stack([small(images[place])]),
            )
            for place, case in enumerate(cases)
        ]

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Result:
        """One row of the table for each image."""
        units = {name: unit for judge in self.judges for name, unit in judge.units.items()}
        return Result(
            self.kind, pd.DataFrame(rows), recipe, cases, self.notes, {"seconds": "s"} | units
        )


def _columns(case: ModelCase) -> dict[str, Any]:
    return dict(zip(("model", "prompt", "seed"), case.name, strict=True))
