"""One call: generate an image, watch attention meanwhile, and keep what was seen."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import xarray as xr

from regard.arguments import caller, verb
from regard.axes import LAYER, STEP
from regard.errors import ArgumentError
from regard.generation import Request, Sampling
from regard.generation.turns import in_turn
from regard.look.asked import KEEPABLE, check_keep, check_progress, check_words, seeds_of_proof
from regard.look.proof import prove as prove_look
from regard.look.recipe import recipe_of
from regard.look.result import Look
from regard.look.self_attention import PatchRows, SelfAttention
from regard.measures.words import word_table
from regard.trace import Prompt, Trace, labelled_layer, rows_of_maps
from regard.trace.labels import beside


@verb
@in_turn
def look(
    model: Any,
    prompt: str,
    *,
    words: Sequence[str] | None = None,
    keep: Sequence[str] = KEEPABLE,
    self_attention: SelfAttention | Any = None,
    prove: bool | int = False,
    methods: Sequence[Any] = (),  # of Method; its package imports torch, so it is not named
    carriers: bool | None = None,
    on_step: Any = None,
    progress: Any = None,
    **sampling: Unpack[Sampling],
) -> Look:
    """Generate an image and see which of its regions attend to each word, in shares of 0..1.

    The image is bit for bit the one that the pipeline makes without being watched.

    Args:
        model: A `regard.models.TextToImage`, a diffusers text-to-image pipeline with a UNet, or
            Stable Diffusion 3 or FLUX.1; or the name or folder of one.
        prompt: What to generate. What no text encoder can take of it is named in `Look.cut`.
        words: The words to keep maps of, ``cat#2`` for the second cat; None keeps the start, all
            words and the end, and the sum of the padding. Together they make 1, or what joint
            attention leaves to the text.
        keep: Which of ``step``, ``layer`` and ``head`` to keep; the others are averaged.
        self_attention: Patches of the image whose own attention is kept too, exactly: each a row
            and column, as in ``[(0, 3)]``, or a point, as in ``[(0.5, 0.25)]``; or a
            `SelfAttention`, or a mapping of its arguments, that names layers and more. Ask
            `Trace.attention`. The text of joint attention counts as one key. None for none.
        prove: Also generate the image again without each word, and judge the words by that; a
            number says at how many seeds.
        methods: What to change meanwhile, as `regard.methods` makes it; in this order. One may
            have the image read another prompt, beside this one.
        carriers: Whether to show a word at the token after it too, see `Trace.heatmap`; None as was
            measured for this model, and at its own tokens where nothing was. The trace has both.
        on_step: Called with a `regard.generation.StepEvent` after each step of the image; it may
            raise `regard.errors.Cancelled`.
        progress: Called after each step with the steps done and the steps there are; a proof
            counts from 0 again.
        **sampling: As in `regard.generation.Sampling`: seed, num_inference_steps, guidance_scale,
            negative_prompt, height, width and latents. What is left out is the model's own. Where a
            scheduler seeds its noise itself, the recipe says so as ``not_repeatable``.

    Returns:
        The image, its latents, the trace with its table of words, and the proof if asked for.

    Raises:
        PromptError: the prompt is empty.
        UnknownName: there is no such model, no such word in the prompt, or no such layer.
        ArgumentError: another argument lies outside what it may be, or the model is not of the
            kind that can be looked at. All this is said before the model runs; in the first step
            is said that a layer has no such patch, or that more self-attention would be kept than
            ``max_bytes``.
        NothingObserved: the model has no attention to text, or no such self-attention.
        Cancelled: ``on_step`` raised it.

    Example:
        >>> seen = look("openmoji", "a cat on the beach", num_inference_steps=2)
        >>> seen.trace.word_names
        ('a', 'cat', 'on', 'the', 'beach')
        >>> seen.image.size
        (64, 64)

    Source:
        Tang et al. (2023), "What the DAAM: Interpreting Stable Diffusion Using Cross Attention",
        section 2.2, with the model's own weights in place of summed and upscaled ones.
    """
    started = time.perf_counter()
    request = Request.of(prompt, sampling, methods)
    check_words(words)
    check_keep(keep)
    check_progress(progress)
    patches = SelfAttention.of(self_attention)
    seeds = seeds_of_proof(prove)
    # These import torch, so they wait until arguments are checked.
    from regard.generation import generate
    from regard.models.text_to_image import TextToImage

    model = TextToImage.of(model)
    request = model.decide(request)
    noise = model.noise(request.num_inference_steps)
    if seeds:
        noise.check()
    text = model.tokenize(request.read)
    watch = _Watch(model, request, text, words, keep, patches)
    (made,) = generate(
        model, [request], observe=watch.observers, on_step=on_step, progress=progress
    )
    watch.finish()
    pixels = np.asarray(made.image.convert("RGB"))
    recipe = {
        **recipe_of(model, request),
        **({} if request.read == request.prompt else {"source_prompt": request.prompt}),
        "size": list(pixels.shape[:2]),
        "void": made.void,
        "keep": list(keep),
        "edits": [method.recipe() for method in request.methods],
        **watch.recipe(),
        "reading": _reading(model, carriers, words, keep),
        "cut": text.cut,
        "partly_cut": text.partly_cut,
        "seconds": round(time.perf_counter() - started, 2),
        **({"not_repeatable": noise.reason} if noise.reason else {}),
    }
    # Some denoisers are told the time on a scale of their own, so the scheduler's is taken.
    trace = Trace(watch.labelled(made.timesteps), text.tokens, recipe, pixels)
    seen = Look(made.image, made.latents, replace(trace, table=word_table(trace)))
    if not seeds:
        return seen
    proof = prove_look(model, seen, seeds=seeds, latents=request.latents, progress=progress)
    return seen.with_proof(proof)


class _Watch:
    """What is kept of attention while an image is generated."""

    def __init__(
        self,
        model: Any,
        request: Request,
        text: Prompt,
        words: Sequence[str] | None,
        keep: Sequence[str],
        patches: SelfAttention | None,
    ) -> None:
        from regard.tap import TO_TEXT, HeatMap, Parity

        self.text, self.keep = text, keep
        self.tokens = _tokens(text, words)
        self.pads = text.pads if words is None else []
        # In cross-attention the padding is what is left of each row, which costs nothing to know;
        # but where the image is attended to as well, or attention is another image's, more is left.
        more = model.has_joint_attention or request.read != request.prompt
        self.heat = HeatMap(self.tokens, keep=keep, rest=self.pads if more else ())
        self.parity, self.ran = Parity(), dict[str, set[int]]()
        self.rows = patches and PatchRows(patches, model, keep, request.num_inference_steps)
        self.observers = [(TO_TEXT, each) for each in (self.heat, self.parity, self._note)]
        self.observers += self.rows.observers if self.rows else []

    def _note(self, call: Any) -> None:
        self.ran.setdefault(call.layer, set()).add(call.step)

    @property
    def pad(self) -> int | None:
        """The token that stands for all the padding; None where it is not kept."""
        return self.pads[0] if self.pads else None

    def finish(self) -> None:
        """Take the maps, once the image is there."""
        self.heats = self.heat.take()
        if self.rows:
            self.rows.finish()

    def recipe(self) -> dict[str, Any]:
        """What a recipe says of it: the layout of each layer, and what was left out."""
        tokens = len(self.text.tokens)
        padding = f"{len(self.text.pads)} tokens, their maps summed as token {self.pad}"
        return {
            "layouts": {each.layer: _layout(each, tokens) for each in self.heats},
            "parity_error": self.parity.result(),
            **_skipped(self.ran),
            **(self.rows.recipe() if self.rows else {}),
            "padding": "" if self.pad is None else padding,
        }

    def labelled(self, timesteps: Sequence[float]) -> dict[str, xr.DataArray]:
        """The attention of each layer; what was taken is let go when it has its labels."""
        patches = self.rows.labelled(timesteps) if self.rows else {}
        layers: dict[str, xr.DataArray] = {}
        while self.heats:
            each = self.heats.pop(0)
            layers[each.layer] = _labelled(each, self.tokens, self.pad, self.keep, timesteps)
        return beside(layers, patches)


def _reading(
    model: Any, carriers: bool | None, words: Sequence[str] | None, keep: Sequence[str]
) -> dict[str, Any]:
    """Which maps of words to show, as `Trace.reading` has it, and why these."""
    measured = model.reading
    why = f"measured for {model.name}" if measured else "not measured for this model: own tokens"
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
    return labelled_layer(
        rows_of_maps(maps),
        grid=(maps.shape[3], maps.shape[4]),
        steps=heat.steps if kept else heat.steps[:1],
        timesteps=[times[step] for step in heat.steps] if kept else [float("nan")],
        tokens=tokens,
        kind=heat.kind,
        stage=heat.stage,
        averaged=[axis for axis in KEEPABLE if axis not in keep],
    )


def _with_padding(maps: np.ndarray, heat: Any) -> np.ndarray:
    """Maps with one more column: what is left of each row goes to the padding, all of it together.

    A row sums to 1 over all tokens, so this is exact; and it needs one column where the padding
    has dozens.
    """
    if heat.kind != "cross":
        raise ArgumentError(
            f"{caller()}: {heat.layer} attends to image and text at once, so that what is left of "
            f"a row is not the padding. Name the words to keep with words=[...]."
        )
    rest = np.clip(1.0 - maps.sum(axis=2, keepdims=True), 0.0, None)
    return np.concatenate([maps, rest], axis=2)


def _skipped(ran: dict[str, set[int]]) -> dict[str, Any]:
    """Layers that did not run in every step, as under a cache: nothing stands in for them."""
    steps = set().union(*ran.values())
    missing = {layer: sorted(steps - own) for layer, own in ran.items() if own != steps}
    return {"skipped_steps": missing} if missing else {}


def _layout(heat: Any, tokens: int) -> str:
    return f"{heat.kind}: {heat.grid[0]}x{heat.grid[1]} image to {tokens} text, {heat.heads} heads"
