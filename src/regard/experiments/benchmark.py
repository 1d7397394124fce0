"""One call: the prompts of the Attend-and-Excite benchmark, as baseline and with some methods."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from regard.arguments import listed, pathlike, shown, verb, whole
from regard.data.prompts import prompts as published
from regard.data.scenes import mentions_in
from regard.errors import ArgumentError
from regard.experiments.benchmark_report import BASELINE, BENCHMARK
from regard.experiments.images import ImageCase, ImagePlan, Variant, shared_recipe
from regard.experiments.meter import counting
from regard.experiments.result import Result
from regard.generation import Request, Sampling
from regard.progress import Progress, check_progress

SETS = ("animals", "animals_objects", "objects")
CONTENDERS = (
    "attend-and-excite",
    "attend-and-excite carriers=true thresholds={} scale_factor=5.0",
    "nudge",
)
"""Attend-and-Excite as its paper has it; in small moves, words with what carries them; and ours."""

QUICK = 12
"""A quick benchmark takes every so many of the prompts."""


@verb
def benchmark(
    model: Any = "openmoji",
    *,
    methods: Sequence[str] = CONTENDERS,
    prompts: Sequence[str] | None = None,
    seeds: int = 4,
    encoder: Any = "openmoji-clip",
    captioner: str | os.PathLike[str] | None = "openmoji-captioner",
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Result:
    """Generate prompts with two subjects without and with methods, and count neglected subjects.

    All images of a prompt are generated one method after the other, so that their seconds can be
    compared, and then judged; only small copies of them are kept.

    Args:
        model: A diffusers text-to-image pipeline, or the name or folder of one.
        methods: Names in `regard.methods.methods` of methods that take ``words``, which are the
            subjects of each prompt. Settings may follow a name, as `regard.methods.parse` reads
            them: ``attend-and-excite scale_factor=5 steps=0:10``.
        prompts: Some of `regard.data.prompts.prompts`; None for all 276.
        seeds: Images of each prompt, from seed 0 on.
        encoder: Of images and texts, as `regard.models.encoder.encoder` takes it.
        captioner: As `regard.models.captioner.captions` takes it; None for no captions.
        store: A folder to which what each prompt and seed gave is written at once. A call with
            the same settings and folder goes on from there, also with further prompts and seeds,
            and the result reads its images there: keep it until that is saved. None keeps all in
            memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for seed and latents.

    Returns:
        A `Result`. Its table has one row for each image: set, prompt, seed, method, ``seconds`` (of
        one image, the mean of its batch); by the segmenter ``neglected`` (1 if a subject is
        missing, else 0), ``neglected_subjects`` and ``misbound_colours`` (shares); by the encoder
        ``full_prompt`` and ``minimum_object_similarity``, and with a captioner
        ``caption_similarity`` (cosines) and ``caption``. Its summary compares each method
        with the baseline.

    Raises:
        UnknownName: there is no such method, setting or model.
        ArgumentError: a method takes no words; a prompt is not of the benchmark, or one comes
            twice; no seed. All this is said before anything is generated.
        DataError: the encoder or the captioner cannot be opened.
        OutputError: the store holds something else, or another benchmark, cannot be written, or
            another process writes there.

    Example:
        >>> some = ["a cat and a dog"]
        >>> how = {"prompts": some, "seeds": 1, "num_inference_steps": 1, "captioner": None}
        >>> found = benchmark(methods=["attend-and-excite"], **how)
        >>> found.table["method"].tolist()
        ['baseline', 'attend-and-excite']

    Source:
        Chefer et al. (2023), "Attend-and-Excite: Attention-Based Semantic Guidance for
        Text-to-Image Diffusion Models", arXiv 2301.13826, section 4.

    Differs from the paper:
        Also says by a segmenter which subjects are there, and in which colours, where it knows
        them; the paper's encoder and captioner are CLIP ViT-B/16 and BLIP.
    """
    asked, names = checked(prompts, methods, seeds)
    store = None if store is None else pathlike(store, "store", "benchmark")
    check_progress(progress)
    contenders = {name: _maker(name) for name in names}
    # These import torch, so they wait until arguments are checked.
    from regard.experiments.run import run
    from regard.models.text_to_image import TextToImage
    from regard.scores.judges import recipe_of

    model = TextToImage.of(model)
    requests = [model.decide(Request.of(each, sampling)) for each in asked]
    for each in asked:
        model.tokenize(each, whole=True)
    judges, notes = _judges_of(model, encoder, captioner)
    cases = [
        ImageCase(replace(request, seed=seed), variants)
        for request in requests
        for variants in [_variants(request.prompt, contenders)]
        for seed in range(seeds)
    ]
    recipe = {
        **{"prompts": asked, "seeds": seeds, "methods": names},
        **shared_recipe(model, requests[0]),
        **recipe_of(judges[-1].encoder),
        "captioner": None if captioner is None else str(captioner),
    }
    plan = ImagePlan(
        BENCHMARK, model, cases, judges, recipe, tuple(notes),
        columns=("set", "prompt", "seed", "method", "seconds"), timed=True,
    )  # fmt: skip
    return run(plan, store=store, overwrite=overwrite, progress=counting(progress))


def quick_prompts() -> list[str]:
    """A few prompts of each set.

    Example:
        >>> len(quick_prompts())
        23
    """
    return list(published()[::QUICK])


def checked(
    prompts: Sequence[str] | None, methods: Sequence[str], seeds: int
) -> tuple[list[str], list[str]]:
    """The prompts and the names of the methods, if they can be.

    Raises:
        UnknownName: there is no such method, or it has no such setting.
        ArgumentError: a method takes no words, cannot have such a setting, or comes twice; a prompt
            is not of the benchmark, or comes twice; or there is no seed.

    Example:
        >>> checked(["a cat and a dog"], ["attend-and-excite"], 1)
        (['a cat and a dog'], ['attend-and-excite'])
    """
    asked = list(published()) if prompts is None else _texts(prompts, "prompts")
    names = _texts(methods, "methods")
    for what, several in (("prompt", asked), ("method", names)):
        twice = [each for number, each in enumerate(several) if each in several[:number]]
        if not several or twice:
            told = f"'{twice[0]}' comes twice" if twice else "there is none"
            raise ArgumentError(f"benchmark: {told}. Give each {what} once, and at least one.")
    strange = [each for each in asked if each not in set_of()]
    if strange:
        raise ArgumentError(
            f"benchmark: '{strange[0]}' is no prompt of the benchmark. Take some of "
            f"regard.data.prompts.prompts()."
        )
    if whole(seeds, "seeds", "benchmark", cure="4 is usual.") < 1:
        raise ArgumentError(f"benchmark: seeds is {seeds} and must be 1 or more; 4 is usual.")
    for name in names:
        _maker(name)
    return asked, names


def _texts(given: Any, name: str) -> list[str]:
    several = None if isinstance(given, str | bytes) else listed(given)
    if several is None or not all(isinstance(each, str) for each in several):
        raise ArgumentError(f"benchmark: {name} is {shown(given)} and must be a list of texts.")
    return several


def set_of() -> dict[str, str]:
    """From each prompt of the benchmark to the set that it is of.

    Example:
        >>> set_of()["a cat and a dog"]
        'animals'
    """
    return {prompt: name for name in SETS for prompt in published(name)}


def _maker(asked: str) -> Callable[..., Any]:
    """What makes a method of the words of a prompt, with the settings behind its name."""
    from regard.methods import options_of
    from regard.methods.recipe import method_of
    from regard.methods.text import name_and_settings

    name, settings = name_and_settings(asked)
    known = [option.name for option in options_of(name)]
    if "words" not in known:
        raise ArgumentError(
            f"benchmark: {name} takes no words, so it cannot get the subjects of a prompt. "
            f"Take a method such as {' or '.join(CONTENDERS)}."
        )
    if "words" in settings:
        raise ArgumentError(
            f"benchmark: the words of {name} are the subjects of each prompt. Leave words out."
        )

    def making(words: Sequence[str]) -> Any:
        return method_of(name, {**settings, "words": words}, "benchmark")

    making(["cat", "dog"])  # which says what is wrong with a setting
    return making


def _variants(prompt: str, contenders: dict[str, Callable[..., Any]]) -> tuple[Variant, ...]:
    """The baseline of a prompt, then each method with the subjects as its words."""
    words = [mention.subject for mention in mentions_in(prompt)]
    methods = {BASELINE: (), **{name: (make(words),) for name, make in contenders.items()}}
    part = set_of()[prompt]
    return tuple(Variant(name, own, {"set": part, "method": name}) for name, own in methods.items())


def _judges_of(model: Any, encoder: Any, captioner: Any) -> tuple[list[Any], list[str]]:
    """The judges, opened, and what is not measured; the segmenter knows bundled models alone.

    Raises:
        DataError: the encoder or the captioner cannot be opened.
        UnknownName: there is no such captioner.
        ArgumentError: the encoder reads no texts.
    """
    from regard.models.captioner import captions
    from regard.scores.change import makes_scenes
    from regard.scores.judges import Captions, Fit, Presence
    from regard.scores.pairs import open_encoder

    opened = open_encoder(encoder)
    if opened.texts is None:
        raise ArgumentError(
            f"benchmark: the encoder '{opened.name}' reads no texts, so it cannot score how well "
            f"an image fits its prompt. Take one of images and texts, such as 'openmoji-clip'."
        )
    judges, notes = [Fit(opened)], []
    if makes_scenes(model):
        judges.insert(0, Presence())
    else:
        notes.append(
            "The segmenter knows the images of bundled models alone, so neglected subjects and "
            "misbound colours are not counted."
        )
    if captioner is not None:
        captions([np.zeros((8, 8, 3), np.uint8)], model=captioner)  # says now if it cannot
        judges.append(Captions(captioner, opened))
    else:
        notes.append("No captioner was asked for, so there is no caption_similarity.")
    return judges, notes
