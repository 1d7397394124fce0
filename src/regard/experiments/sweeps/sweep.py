"""One call: take away each head, layer, word or place in its turn, and see what that did."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from regard.arguments import indices, listed, pathlike, shown, verb, whole_or_none
from regard.errors import ArgumentError, unknown
from regard.experiments.store import Done, Store, small
from regard.experiments.sweeps.result import Sweep
from regard.generation import Request, Sampling
from regard.look.asked import check_progress
from regard.look.recipe import recipe_of

OVER = ("heads", "layers", "words", "places")


@verb
def sweep(
    model: Any,
    prompts: str | Sequence[str],
    over: str = "heads",
    *,
    seeds: int | Sequence[int] = 2,
    during: Any = None,
    encoder: Any = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], Any] | None = None,
    **sampling: Unpack[Sampling],
) -> Sweep:
    """Take away each head, layer, word or place, and say what became of the picture without it.

    Each picture is compared with the bare one of its prompt and seed. Pictures of a prompt and
    seed are drawn in batches, each with its own part missing, and the steps before anything is
    missing are made once for a batch. Only the half of the guidance that reads the prompt is
    changed.

    Args:
        model: A diffusers text-to-image pipeline, or the name or folder of one.
        prompts: What to draw; ten or more make intervals that can be trusted.
        over: ``heads`` and ``layers``, each silenced; ``words``, each hidden from the image;
            ``places``, the cross- or self-attention of a whole part of the model silenced.
        seeds: How many, from 0; or which.
        during: In which steps something is missing: one, a range, or its first step and the one
            after its last; None for all.
        encoder: Who judges how well a picture fits its prompt and how far two are apart, as
            `regard.models.encoder.encoder` takes it; None takes ``openmoji-clip`` for bundled
            models, and nobody for others. With ``openmoji-clip`` the segmenter is asked too.
        store: A folder to which what each prompt and seed gave is written at once. A call with
            the same settings and folder goes on from there, and the result reads its pictures
            there: keep it until that is saved. None keeps all in memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: Called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for seed and latents.

    Returns:
        A `Sweep`: ``.table``, ``.summary()`` and ``.save(folder)``.

    Raises:
        UnknownName: there is no such sweep or model.
        PromptError: a prompt is empty, or longer than the text encoder takes.
        ArgumentError: there is no prompt, or one twice, or no seed; a step that the run has not;
            or the model has nothing to take away. All this is said before anything is drawn.
        OutputError: the store holds something else, or another sweep, cannot be written, or
            another process writes there.
        NothingObserved: the model has no attention that can be seen.

    Example:
        >>> few = {"seeds": 1, "num_inference_steps": 1}
        >>> found = sweep("openmoji", "a cat on the beach", "places", **few)
        >>> found.table["ablation"].tolist()[:3]
        ['down cross', 'down self', 'mid cross']

    Source:
        Michel et al. (2019), "Are Sixteen Heads Really Better than One?", arXiv 1905.10650,
        section 3.2, for silencing one head at a time.
    """
    asked, numbers = checked(prompts, over, seeds)
    store = None if store is None else pathlike(store, "store", "sweep")
    check_progress(progress)
    first = [Request.of(each, sampling) for each in asked]
    started = time.perf_counter()
    # These import torch, so they wait until arguments are checked.
    from regard.experiments.sweeps.ablations import ablations, layers_of
    from regard.experiments.sweeps.judging import judges_of
    from regard.models.text_to_image import TextToImage

    model = TextToImage.of(model)
    first = [model.decide(each) for each in first]
    span = _span(during, first[0].num_inference_steps)
    texts = [model.tokenize(each.prompt, whole=True) for each in first]
    judges = judges_of(model, encoder)
    layers = layers_of(model, first[0])
    plans = {text.text: ablations(over, layers, text, span) for text in texts}
    recipe = _recipe(model, first[0], asked, numbers, over, span, judges)
    tell = _Counter(progress, [len(plans[each]) + 1 for each in asked for _ in numbers])
    rows: list[dict[str, Any]] = []
    names: dict[tuple[str, int], str] = {}
    with Store(store, recipe, who="sweep", overwrite=overwrite) as kept:
        for number, (request, text) in enumerate(zip(first, texts, strict=True)):
            for seed in numbers:
                name = f"{number:03}-seed-{seed}"
                finished = kept.get(name)
                if finished is None:
                    here = replace(request, seed=seed)
                    finished = _drawn(model, here, plans[text.text], judges, tell.drawn)
                    kept.put(name, finished)
                rows += finished.rows
                names[text.text, seed] = name
                tell.next()
    recipe["seconds"] = round(time.perf_counter() - started, 1)
    notes = tuple(judges.notes(asked))
    return Sweep(over, pd.DataFrame(rows), kept.cells(names), recipe, notes)


def _drawn(
    model: Any,
    request: Request,
    plan: Sequence[Any],
    judges: Any,
    progress: Callable[[int, int], Any],
) -> Done:
    """All pictures of one prompt and seed, measured."""
    from regard.generation import generate
    from regard.generation.outcome import refuse_void

    requests = [request, *(replace(request, methods=(each.method,)) for each in plan)]
    made = generate(model, requests, progress=progress)
    refuse_void([made[0].void])
    refuse_void([each.void for each in made], even=False)
    images = [each.image for each in made]
    measured = judges.measured(request.prompt, images)
    rows = [
        {
            "ablation": each.name,
            **each.told,
            "prompt": request.prompt,
            "seed": request.seed,
            **{name: values[number] for name, values in measured.items()},
        }
        for number, each in enumerate(plan)
    ]
    labels = ["as it is", *(each.label for each in plan)]
    return Done(rows, labels, np.stack([small(each) for each in images]))


def checked(
    prompts: str | Sequence[str], over: str, seeds: int | Sequence[int]
) -> tuple[list[str], list[int]]:
    """The prompts and the seeds as lists.

    Raises:
        UnknownName: there is no such sweep.
        ArgumentError: there is no prompt or seed, or one twice.

    Example:
        >>> checked("a cat", "heads", 2)
        (['a cat'], [0, 1])
    """
    if over not in OVER:
        raise unknown("sweep", str(over), OVER)
    asked = [prompts] if isinstance(prompts, str) else listed(prompts)
    if asked is None or isinstance(prompts, bytes):
        raise ArgumentError(
            f"sweep: prompts is {shown(prompts)} and must be a text or several, such as 'a cat'."
        )
    if not asked:
        raise ArgumentError(
            "sweep: there is no prompt. Give at least one, such as 'a lion and a blue car'."
        )
    twice = [each for number, each in enumerate(asked) if each in asked[:number]]
    if twice:
        raise ArgumentError(f"sweep: the prompt '{twice[0]}' comes twice. Give each once.")
    count = whole_or_none(seeds)
    if count is not None and count < 1:
        raise ArgumentError(f"sweep: seeds is {count} and must be 1 or more; 2 is usual.")
    given = list(range(count)) if count is not None else indices(seeds, "seeds", "sweep")
    numbers = given if isinstance(given, list) else []
    if not numbers or len(set(numbers)) < len(numbers):
        raise ArgumentError(f"sweep: seeds are {numbers}. Give at least one, and each once.")
    for each in numbers:
        Request("a cat", seed=each)  # which says what is wrong with a seed
    return asked, numbers


def _span(during: Any, steps: int) -> list[int] | None:
    """The first step in which something is missing, and the one after the last."""
    from regard.methods.where import where_of

    span = where_of({"steps": during}, "sweep").span
    if span is None:
        return None
    if span.stop > steps:
        raise ArgumentError(
            f"sweep: step {span.stop - 1} is asked for, and the run has {steps}: 0..{steps - 1}."
        )
    return [span.start, span.stop]


def _recipe(
    model: Any,
    request: Request,
    prompts: Sequence[str],
    seeds: Sequence[int],
    over: str,
    during: list[int] | None,
    judges: Any,
) -> dict[str, Any]:
    """With what a sweep is made, as plain JSON values."""
    told = recipe_of(model, request)
    for name in ("prompt", "seed", "negative_prompt"):
        told.pop(name)
    which = judges.encoder
    return {
        "over": over,
        "prompts": list(prompts),
        "seeds": list(seeds),
        "during": during,
        **told,
        "encoder": None if which is None else which.name,
        "encoder_sha256": None if which is None else which.recipe.get("weights_sha256"),
    }


class _Counter:
    """Progress of several runs, in pictures of all."""

    def __init__(self, progress: Callable[[int, int], Any] | None, sizes: Sequence[int]) -> None:
        self._progress: Callable[[int, int], Any] = progress or (lambda done, total: None)
        self._sizes, self._before = list(sizes), 0
        self._total = sum(sizes)

    def drawn(self, done: int, steps: int) -> None:
        """Steps of the run at hand."""
        self._progress(self._before + done * self._sizes[0] // steps, self._total)

    def next(self) -> None:
        """The run at hand is finished."""
        self._before += self._sizes.pop(0)
        self._progress(self._before, self._total)
