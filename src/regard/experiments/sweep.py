"""One call: ablate each head, layer, word or stage, one at a time, and see what that did."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from regard.arguments import indices, listed, pathlike, shown, verb, whole_or_none
from regard.data.scenes import mentions_in
from regard.errors import ArgumentError, unknown
from regard.experiments.images import ImageCase, ImagePlan, Variant, shared_recipe
from regard.experiments.meter import counting
from regard.experiments.result import Result
from regard.experiments.sweep_report import SWEEP
from regard.generation import Request, Sampling
from regard.progress import Progress, check_progress

OVER = ("heads", "layers", "words", "stages")
BUNDLED = "openmoji-clip"


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
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Result:
    """Ablate each head, layer, word or stage, one at a time, and measure how the image changes.

    Each image is compared with the baseline of its prompt and seed. Images of a prompt and seed
    are generated in batches, each with its own ablation, and the steps before the first ablated
    one are run once for a batch. Only the conditional branch is changed.

    Args:
        model: A diffusers text-to-image pipeline, or the name or folder of one.
        prompts: What to generate; ten or more make intervals that can be trusted.
        over: ``heads`` and ``layers``, each silenced; ``words``, each hidden from the image;
            ``stages``, the cross- or self-attention of a stage silenced.
        seeds: How many, from 0; or which.
        during: Which steps are ablated: one, a range, or its first step and the one
            after its last; None for all.
        encoder: Scores how well an image fits its prompt and how far two are apart, as
            `regard.models.encoder.encoder` takes it; None takes ``openmoji-clip`` for bundled
            models, and none for others. With ``openmoji-clip`` the segmenter is used too.
        store: A folder to which what each prompt and seed gave is written at once. A call with
            the same settings and folder goes on from there, also with further prompts and seeds,
            and the result reads its images there: keep it until that is saved. None keeps all in
            memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for seed and latents.

    Returns:
        A `Result`. Its table has one row for each ablation, prompt and seed: ablation, what it is
        (layer, stage, kind and head; or word), prompt, seed, and against the baseline:
        ``distance`` (mean absolute difference, share of full scale), ``perceptual_distance``,
        ``clip_score`` and ``clip_change`` (cosine), ``neglected`` (share of the prompt's subjects)
        and ``neglected_change``, ``still_shown`` (share of the subjects of the baseline) and
        ``segmenter`` (``same``, or what was seen before and after). Its summary has one row for
        each ablation, the strongest first.

    Raises:
        UnknownName: there is no such sweep or model.
        PromptError: a prompt is empty, or longer than the text encoder takes.
        ArgumentError: there is no prompt, or one twice, or no seed; a step beyond those of the run;
            or the model has nothing to ablate. All this is said before anything is generated.
        OutputError: the store holds something else, or another sweep, cannot be written, or
            another process writes there.
        NothingObserved: the model has no attention that can be seen.

    Example:
        >>> few = {"seeds": 1, "num_inference_steps": 1}
        >>> found = sweep("openmoji", "a cat on the beach", "stages", **few)
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
    # These import torch, so they wait until arguments are checked.
    from regard.experiments.ablations import ablations, layers_of
    from regard.experiments.run import run
    from regard.models.text_to_image import TextToImage

    model = TextToImage.of(model)
    first = [model.decide(each) for each in first]
    span = _span(during, first[0].num_inference_steps)
    texts = [model.tokenize(each.prompt, whole=True) for each in first]
    judges, notes = _judges_of(model, encoder, asked)
    layers = layers_of(model, first[0])
    cases = [
        ImageCase(replace(request, seed=seed), variants)
        for request, text in zip(first, texts, strict=True)
        for variants in [(Variant("baseline"), *ablations(over, layers, text, span))]
        for seed in numbers
    ]
    said = {"over": over, "prompts": asked, "seeds": numbers, "during": span}
    recipe = {**said, **shared_recipe(model, first[0]), **_encoder_in(judges)}
    plan = ImagePlan(SWEEP, model, cases, judges, recipe, tuple(notes))
    return run(plan, store=store, overwrite=overwrite, progress=counting(progress))


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
        advice = "'places' are called 'stages' now." if over == "places" else ""
        raise unknown("sweep", str(over), OVER, advice=advice)
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
    """The first ablated step, and the one after the last."""
    from regard.methods.where import where_of

    span = where_of({"steps": during}, "sweep").span
    if span is None:
        return None
    if span.stop > steps:
        raise ArgumentError(
            f"sweep: step {span.stop - 1} is asked for, and the run has {steps}: 0..{steps - 1}."
        )
    return [span.start, span.stop]


def _judges_of(model: Any, encoder: Any, prompts: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The bundled judges for bundled models, else those of the encoder given; and what is lacking.

    Raises:
        RegardError: the encoder cannot be opened.
    """
    from regard.scores.change import makes_scenes
    from regard.scores.judges import Losses, Pixels, Shift
    from regard.scores.pairs import open_encoder

    if encoder is None and not makes_scenes(model):
        return [Pixels()], [
            "Only pixels are compared: no encoder is known for the images of this "
            "model. Name one with encoder= (--encoder)."
        ]
    which = open_encoder(BUNDLED if encoder is None else encoder)
    # The encoder of the scenes is for images that are scenes.
    scenes = which.name == BUNDLED
    judges = [Pixels(), Shift(which), *([Losses()] if scenes else [])]
    return judges, _lacking(which, prompts, scenes=scenes)


def _lacking(encoder: Any, prompts: Sequence[str], *, scenes: bool) -> list[str]:
    """What is not measured, and why."""
    notes = []
    if encoder.texts is None:
        notes.append(f"'{encoder.name}' reads no texts, so there is no clip_score.")
    if encoder.layers is None:
        notes.append(f"'{encoder.name}' shows no layers, so there is no perceptual_distance.")
    strange = [prompt for prompt in prompts if not mentions_in(prompt)]
    if not scenes:
        notes.append("The segmenter knows the bundled scenes alone, so it was not used.")
    elif strange:
        told = "; ".join(f"'{prompt}'" for prompt in strange[:3])
        notes.append(f"The segmenter knows no subject of {told}: nothing is told of subjects.")
    return notes


def _encoder_in(judges: Sequence[Any]) -> dict[str, Any]:
    from regard.scores.judges import recipe_of

    return recipe_of(next((judge.encoder for judge in judges if hasattr(judge, "encoder")), None))
