"""One call: the prompts of the Attend-and-Excite benchmark, bare and under some methods."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from regard.arguments import listed, pathlike, shown, verb, whole
from regard.data.prompts import prompts as published
from regard.data.scenes import mentions_in
from regard.errors import ArgumentError
from regard.experiments.benchmark.result import BARE, Benchmark
from regard.experiments.store import Done, Store, small
from regard.generation import Request, Sampling
from regard.look.asked import check_progress
from regard.look.recipe import recipe_of

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
    progress: Callable[[int, int], Any] | None = None,
    **sampling: Unpack[Sampling],
) -> Benchmark:
    """Draw prompts with two subjects bare and under methods, and count what is neglected.

    All pictures of a prompt are drawn one method after the other, so that their seconds can be
    compared, and then judged; only small copies of them are kept.

    Args:
        model: A diffusers text-to-image pipeline, or the name or folder of one.
        methods: Names in `regard.methods.methods` of methods that take ``words``, which are the
            subjects of each prompt. Settings may follow a name, as `regard.methods.parse` reads
            them: ``attend-and-excite scale_factor=5 steps=0:10``.
        prompts: Some of `regard.data.prompts.prompts`; None for all 276.
        seeds: Pictures of each prompt, from seed 0 on.
        encoder: Of pictures and texts, as `regard.models.encoder.encoder` takes it.
        captioner: As `regard.models.captioner.captions` takes it; None for no captions.
        store: A folder to which what each prompt gave is written at once. A call with the same
            settings and folder goes on from there, and the result reads its pictures there: keep
            it until that is saved. None keeps all in memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: Called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for seed and latents.

    Returns:
        A `Benchmark`: ``.table``, ``.summary()`` and ``.save(folder)``.

    Raises:
        UnknownName: there is no such method, setting or model.
        ArgumentError: a method takes no words; a prompt is not of the benchmark, or one comes
            twice; no seed. All this is said before anything is drawn.
        DataError: the encoder or the captioner cannot be opened.
        OutputError: the store holds something else, or another benchmark, cannot be written, or
            another process writes there.

    Example:
        >>> some = ["a cat and a dog"]
        >>> how = {"prompts": some, "seeds": 1, "num_inference_steps": 1, "captioner": None}
        >>> found = benchmark(methods=["attend-and-excite"], **how)
        >>> found.table["method"].tolist()
        ['bare', 'attend-and-excite']

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
    from regard.experiments.benchmark.judging import judges_of
    from regard.models.text_to_image import TextToImage

    requests = [Request.of(each, sampling) for each in asked]
    model = TextToImage.of(model)
    requests = [model.decide(each) for each in requests]
    for each in asked:
        model.tokenize(each, whole=True)
    judges = judges_of(model, encoder, captioner)
    recipe = {**_recipe(model, requests[0], asked, names, seeds), **judges.recipe}
    total = len(asked) * (len(names) + 1) * seeds
    rows: list[dict[str, Any]] = []
    with Store(store, recipe, who="benchmark", overwrite=overwrite) as kept:
        for number, each in enumerate(requests):
            done = kept.get(f"{number:03}")
            if done is None:
                done = _drawn(model, each, contenders, seeds, judges)
                kept.put(f"{number:03}", done)
            rows += done.rows
            if progress is not None:
                progress((number + 1) * total // len(asked), total)
    cells = kept.cells({each: f"{number:03}" for number, each in enumerate(asked)})
    return Benchmark(pd.DataFrame(rows), recipe, tuple(judges.notes), cells)


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
            f"benchmark: {name} takes no words, so it cannot be told the subjects of a prompt. "
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


def _drawn(
    model: Any,
    request: Request,
    contenders: dict[str, Callable[..., Any]],
    seeds: int,
    judges: Any,
) -> Done:
    """The pictures of one prompt, bare, then under each method, and what they show.

    All seeds of one method are one batch.
    """
    from regard.experiments.benchmark.judging import judged
    from regard.generation import generate
    from regard.generation.outcome import refuse_void

    model.noise(request.num_inference_steps).check()
    words = [mention.subject for mention in mentions_in(request.prompt)]
    entries = {BARE: (), **{name: (make(words),) for name, make in contenders.items()}}
    rows, labels, images = [], [], []
    for name, methods in entries.items():
        own = [replace(request, methods=methods, seed=seed) for seed in range(seeds)]
        started = time.perf_counter()
        made = generate(model, own)
        refuse_void([each.void for each in made], even=name == BARE)
        seconds = (time.perf_counter() - started) / seeds
        for seed, each in enumerate(made):
            told = {"set": set_of()[request.prompt], "prompt": request.prompt}
            rows.append({**told, "seed": seed, "method": name, "seconds": seconds})
            labels.append(f"{name} {seed}")
            images.append(each.image.convert("RGB"))
    measured = judged([request.prompt] * len(images), [np.asarray(each) for each in images], judges)
    told = [{**row, **more} for row, more in zip(rows, measured.to_dict("records"), strict=True)]
    return Done(told, labels, np.stack([small(each) for each in images]))


def _recipe(
    model: Any,
    request: Request,
    prompts: Sequence[str],
    methods: Sequence[str],
    seeds: int,
) -> dict[str, Any]:
    """With what all was drawn, as plain JSON values."""
    told = recipe_of(model, request)
    for name in ("prompt", "seed", "negative_prompt"):
        told.pop(name)
    return {"prompts": list(prompts), "seeds": seeds, "methods": list(methods), **told}
