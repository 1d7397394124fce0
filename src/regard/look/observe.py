"""One call: run a pipeline, watch its attention, and keep what was seen."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from regard.axes import LAYER, STEP
from regard.errors import ArgumentError
from regard.look.asked import (
    KEEPABLE,
    check_keep,
    check_methods,
    check_noise,
    check_progress,
    seeds_of_proof,
)
from regard.look.prompt import check_words, read
from regard.look.proof import prove as prove_look
from regard.look.result import Look
from regard.look.settings import Progress, Settings
from regard.look.turns import in_turn
from regard.measures.words import word_table
from regard.trace import Prompt, Trace, layer_maps


@in_turn
def look(
    model: Any,
    prompt: str,
    *,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 4.0,
    words: Sequence[str] | None = None,
    keep: Sequence[str] = KEEPABLE,
    negative_prompt: str = "",
    size: tuple[int, int] | int | None = None,
    prove: bool | int = False,
    methods: Sequence[Any] = (),  # of Method; its room imports torch, so it is not named
    latents: Any = None,
    carriers: bool | None = None,
    progress: Progress | None = None,
) -> Look:
    """Make an image from a prompt and see where each word was looked at, in shares of 0..1.

    The image is bit for bit the one that the pipeline makes without being watched.

    Args:
        model: A diffusers text-to-image pipeline with a UNet, or Stable Diffusion 3 or FLUX.1; or
            the name or folder of one.
        prompt: What to draw. What no text encoder can take of it is named in `Look.cut`.
        seed: Of the generator that draws the initial noise, and what noise the scheduler draws.
            Where a scheduler seeds its noise itself, the recipe says so as ``not_repeatable``.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance; up to 1 is off.
        words: The words to keep maps of, ``cat#2`` for the second cat; None keeps the start, all
            words and the end, and the sum of the padding. Together they make 1, or what joint
            attention leaves to the text.
        keep: Which of ``step``, ``layer`` and ``head`` to keep; the others are averaged.
        negative_prompt: What to keep away from.
        size: Rows and columns of the image in pixels, or one number for both.
        prove: Also generate the image again without each word, and judge the words by that; a
            number says at how many seeds.
        methods: What to change meanwhile, as `regard.methods` makes it; in this order. One may
            have the image read another prompt, beside this one.
        latents: The initial noise, a tensor [1, channel, y, x], for FLUX packed as [1, patch,
            channel]; None to draw it from the seed.
        carriers: Whether to show a word at the token after it too, see `Trace.heatmap`; None as was
            measured for this model, and at its own tokens where nothing was. The trace has both.
        progress: Called after each step with the steps done and the steps there are; a proof
            counts anew.

    Returns:
        The image, its latents, the trace with its table of words, and the proof if asked for.

    Raises:
        PromptError: the prompt is empty.
        UnknownName: there is no such model, no such word in the prompt, or no such layer.
        ArgumentError: another argument lies outside what it may be, or the model is not of the
            kind that can be looked at. All this is said before the model runs.
        NothingObserved: the model has no attention to text.

    Example:
        >>> seen = look("openmoji", "a cat on the beach", steps=2)
        >>> seen.trace.word_names
        ('a', 'cat', 'on', 'the', 'beach')
        >>> seen.image.size
        (64, 64)

    Source:
        Tang et al. (2023), "What the DAAM: Interpreting Stable Diffusion Using Cross Attention",
        section 2.2, with the model's own weights in place of summed and upscaled ones.
    """
    started = time.perf_counter()
    settings = Settings(prompt, negative_prompt, seed, steps, guidance, size)
    check_words(words, settings.caller)
    check_methods(methods, settings.caller)
    check_keep(keep, settings.caller)
    check_progress(progress, settings.caller)
    seeds = seeds_of_proof(prove, settings.caller)
    # These import torch, so they wait until arguments are checked.
    from regard.look.generate import check, opened, pixels_of
    from regard.look.noise import noise_of
    from regard.look.variants import Variant, generate_variants, prompt_under
    from regard.tap import TO_TEXT, HeatMap, Parity

    pipeline = opened(model)
    check(pipeline, settings)
    check_noise(latents, pipeline, settings.size, settings.caller)
    noise = noise_of(pipeline, settings.steps)
    if seeds:
        noise.check(settings.caller)
    shown = replace(settings, prompt=prompt_under(methods, prompt))
    source, text = read(pipeline, settings), read(pipeline, shown)
    tokens = _tokens(text, words)
    pads = text.pads if words is None else []
    # In cross-attention the padding is what is left of each row, which costs nothing to know; but
    # where the image is attended to as well, or attention is another picture's, more is left.
    asked = getattr(pipeline, "unet", None) is None or shown != settings
    heat, parity = HeatMap(tokens, keep=keep, rest=pads if asked else ()), Parity()
    ran: dict[str, set[int]] = {}
    note = lambda call: ran.setdefault(call.layer, set()).add(call.step)  # noqa: E731
    observe = [(TO_TEXT, each) for each in (heat, parity, note)]
    variant = Variant(tuple(methods))
    (made,) = generate_variants(
        pipeline, settings, source, [variant], observe=observe, start=latents, progress=progress
    )
    heats = heat.take()
    pixels = pixels_of(made.images)[0]
    pad = pads[0] if pads else None
    recipe = {
        **recipe_of(pipeline, shown),
        **({} if shown == settings else {"source_prompt": prompt}),
        "size": list(pixels.shape[:2]),
        "void": next(iter(made.void), ""),
        "keep": list(keep),
        "edits": [method.recipe() for method in methods],
        "layouts": {each.layer: _layout(each, len(text.tokens)) for each in heats},
        "reading": _reading(pipeline, carriers, words, keep),
        "parity_error": parity.result(),
        **_skipped(ran),
        "cut": text.cut,
        "partly_cut": text.partly_cut,
        "padding": _padding(text, pad),
        "seconds": round(time.perf_counter() - started, 2),
        **({"not_repeatable": noise.reason} if noise.reason else {}),
    }
    # Some denoisers are told the time on a scale of their own, so the scheduler's is taken.
    times = made.timesteps
    layers = {}
    while heats:  # each layer's maps are let go when they have their labels
        each = heats.pop(0)
        layers[each.layer] = _labelled(each, tokens, pad, keep, times)
    trace = Trace(layers, text.tokens, recipe, pixels)
    seen = Look(made.images[0], made.latents, replace(trace, table=word_table(trace)))
    if not seeds:
        return seen
    proof = prove_look(pipeline, seen, seeds=seeds, latents=latents, progress=progress)
    return seen.with_proof(proof)


def recipe_of(pipeline: Any, settings: Settings) -> dict[str, Any]:
    """What made an image, as plain JSON values: the model, its scheduler and the settings."""
    import regard.zoo as zoo
    from regard.look.generate import network_of

    scheduler = pipeline.scheduler
    return {
        "model": zoo.name_of(pipeline),
        "weights_sha256": zoo.fingerprint(pipeline),
        "dtype": str(network_of(pipeline).dtype).removeprefix("torch."),
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt,
        "seed": settings.seed,
        "steps": settings.steps,
        "guidance_scale": settings.guidance,
        "scheduler": type(scheduler).__name__,
        "scheduler_config": json.loads(json.dumps(dict(scheduler.config), default=str)),
        "versions": {
            name: version(name) for name in ("regard", "torch", "diffusers", "transformers")
        },
    }


def _reading(
    pipeline: Any, carriers: bool | None, words: Sequence[str] | None, keep: Sequence[str]
) -> dict[str, Any]:
    """Which maps of words to show, as `Trace.reading` has it, and why these."""
    import regard.zoo as zoo

    name = zoo.name_of(pipeline)
    measured = zoo.recipe(name).reading if name in zoo.recipes() else {}
    why = f"measured for {name}" if measured else "not measured for this model: own tokens"
    told = dict(measured) if LAYER in keep else {**measured, "layers": None}
    if carriers is not None:
        told, why = {**told, "carriers": carriers}, "as asked for"
    elif words is not None and told.get("carriers"):
        told, why = {**told, "carriers": False}, "own tokens: of the next no maps were kept"
    return {"carriers": bool(told.get("carriers")), "layers": told.get("layers"), "why": why}


def _tokens(text: Prompt, words: Sequence[str] | None) -> list[int]:
    """The tokens to watch: those of some words, or all but the padding."""
    if words is not None:
        return text.spelled(words)
    pads = set(text.pads)
    return [token.index for token in text.tokens if token.index not in pads]


def _labelled(
    heat: Any, tokens: list[int], pad: int | None, keep: Sequence[str], times: Sequence[float]
) -> xr.DataArray:
    maps = heat.maps[0].numpy()
    if pad is not None:
        # Joint attention has brought the padding with it, as its rows hold the image too.
        watched = maps.shape[2] > len(tokens)
        maps, tokens = maps if watched else _with_padding(maps, heat), [*tokens, pad]
    kept = STEP in keep
    return layer_maps(
        maps,
        steps=heat.steps if kept else heat.steps[:1],
        timesteps=[times[step] for step in heat.steps] if kept else [float("nan")],
        tokens=tokens,
        kind=heat.kind,
        place=heat.stage,
        averaged=[axis for axis in KEEPABLE if axis not in keep],
    )


def _with_padding(maps: np.ndarray, heat: Any) -> np.ndarray:
    """Maps with one more column: what is left of each row goes to the padding, all of it together.

    A row sums to 1 over all tokens, so this is exact; and it needs one column where the padding
    has dozens.
    """
    if heat.kind != "cross":
        raise ArgumentError(
            f"look: {heat.layer} attends to image and text at once, so that what is left of a row "
            f"is not the padding. Name the words to keep with words=[...]."
        )
    rest = np.clip(1.0 - maps.sum(axis=2, keepdims=True), 0.0, None)
    return np.concatenate([maps, rest], axis=2)


def _skipped(ran: dict[str, set[int]]) -> dict[str, Any]:
    """Layers that did not run in every step, as under a cache: nothing stands in for them."""
    steps = set().union(*ran.values())
    missing = {layer: sorted(steps - own) for layer, own in ran.items() if own != steps}
    return {"skipped_steps": missing} if missing else {}


def _padding(text: Prompt, pad: int | None) -> str:
    return "" if pad is None else f"{len(text.pads)} tokens, their maps summed as token {pad}"


def _layout(heat: Any, tokens: int) -> str:
    return f"{heat.kind}: {heat.grid[0]}x{heat.grid[1]} image to {tokens} text, {heat.heads} heads"
