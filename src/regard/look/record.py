"""What `look` keeps of attention while images are generated, and the trace that it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from regard.arguments import caller
from regard.axes import LAYER, STEP
from regard.errors import ArgumentError
from regard.generation import Request
from regard.look.asked import KEEPABLE, check_keep, check_words
from regard.look.recipe import recipe_of
from regard.look.self_attention import PatchRows, SelfAttention
from regard.measures.words import word_table
from regard.trace import Prompt, Trace, labelled_layer, rows_of_maps
from regard.trace.labels import beside


@dataclass(frozen=True)
class Keeping:
    """What to keep of each image, as `look` takes it.

    Raises:
        ArgumentError: an argument lies outside what it may be.
        UnknownName: self-attention has no such argument.
    """

    words: Sequence[str] | None
    keep: Sequence[str]
    patches: SelfAttention | None
    carriers: bool | None

    @classmethod
    def of(cls, words: Any, keep: Any, self_attention: Any, carriers: bool | None) -> "Keeping":
        """From what `look` is given, checked."""
        check_words(words)
        check_keep(keep)
        return cls(words, keep, SelfAttention.of(self_attention), carriers)


class AttentionRecord:
    """What is kept of attention while one image is generated.

    Args:
        model: A `TextToImage`.
        request: Decided by the model.
        keeping: What to keep.
        sample: Which image of the batch it is.
    """

    def __init__(self, model: Any, request: Request, keeping: Keeping, *, sample: int = 0) -> None:
        from regard.tap import TO_TEXT, HeatMap

        self.model, self.request, self.keeping = model, request, keeping
        self.text: Prompt = model.tokenize(request.read)
        self.tokens = _tokens(self.text, keeping.words)
        self.pads = self.text.pads if keeping.words is None else []
        # In cross-attention the padding is what is left of each row, which costs nothing to know;
        # but where the image is attended to as well, or attention is another image's, more is left.
        more = model.has_joint_attention or request.read != request.prompt
        rest = self.pads if more else ()
        self.heat = HeatMap(self.tokens, keep=keeping.keep, rest=rest, sample=sample)
        self.ran: dict[str, set[int]] = {}
        patches, steps = keeping.patches, request.num_inference_steps
        assert steps is not None, "the model decides it"
        self.rows = patches and PatchRows(patches, model, keeping.keep, steps, sample=sample)
        self.observers = [(TO_TEXT, self.heat), (TO_TEXT, self._note)]
        self.observers += self.rows.observers if self.rows else []

    def _note(self, call: Any) -> None:
        self.ran.setdefault(call.layer, set()).add(call.step)

    def trace(self, made: Any, *, parity: float, seconds: float) -> Trace:
        """The trace, once the image is there; maps are handed over and forgotten here.

        Args:
            made: What was generated.
            parity: How well the weights explain what the model computed.
            seconds: What the image took.
        """
        heats = self.heat.take()
        if self.rows:
            self.rows.finish()
        pixels = np.asarray(made.image.convert("RGB"))
        recipe = self._recipe(made, heats, parity, pixels.shape[:2])
        recipe["seconds"] = round(seconds, 2)
        noise = self.model.noise(self.request.num_inference_steps)
        recipe |= {"not_repeatable": noise.reason} if noise.reason else {}
        # Some denoisers are told the time on a scale of their own, so the scheduler's is taken.
        trace = Trace(self._labelled(heats, made.timesteps), self.text.tokens, recipe, pixels)
        return replace(trace, table=word_table(trace))

    def _recipe(
        self, made: Any, heats: Sequence[Any], parity: float, size: Sequence[int]
    ) -> dict[str, Any]:
        """With what the image was made, and what was kept of it and left out."""
        request, text = self.request, self.text
        padding = f"{len(text.pads)} tokens, their maps summed as token {self._pad}"
        return {
            **recipe_of(self.model, request),
            **({} if request.read == request.prompt else {"source_prompt": request.prompt}),
            "size": list(size),
            "void": made.void,
            "keep": list(self.keeping.keep),
            "edits": [method.recipe() for method in request.methods],
            "layouts": {each.layer: _layout(each, len(text.tokens)) for each in heats},
            "parity_error": parity,
            **_skipped(self.ran),
            **(self.rows.recipe() if self.rows else {}),
            "padding": "" if self._pad is None else padding,
            "reading": _reading(self.model, self.keeping),
            "cut": text.cut,
            "partly_cut": text.partly_cut,
        }

    @property
    def _pad(self) -> int | None:
        """The token that stands for all the padding; None where it is not kept."""
        return self.pads[0] if self.pads else None

    def _labelled(self, heats: list[Any], timesteps: Sequence[float]) -> dict[str, xr.DataArray]:
        """The attention of each layer; what was taken is let go when it has its labels."""
        patches = self.rows.labelled(timesteps) if self.rows else {}
        layers: dict[str, xr.DataArray] = {}
        while heats:
            each = heats.pop(0)
            layers[each.layer] = _maps_of(
                each, self.tokens, self._pad, self.keeping.keep, timesteps
            )
        return beside(layers, patches)


# Inside


def _reading(model: Any, keeping: Keeping) -> dict[str, Any]:
    """Which maps of words to show, as `Trace.reading` has it, and why these."""
    measured, carriers = model.reading, keeping.carriers
    why = f"measured for {model.name}" if measured else "not measured for this model: own tokens"
    told = dict(measured) if LAYER in keeping.keep else {**measured, "layers": None}
    if carriers is not None:
        told, why = {**told, "carriers": carriers}, "as asked for"
    elif keeping.words is not None and told.get("carriers"):
        told, why = {**told, "carriers": False}, "own tokens: of the next no maps were kept"
    return {"carriers": bool(told.get("carriers")), "layers": told.get("layers"), "why": why}


def _tokens(text: Prompt, words: Sequence[str] | None) -> list[int]:
    """The tokens to watch: those of some words, or all but the padding."""
    if words is not None:
        return text.spelled(words)
    pads = set(text.pads)
    return [token.index for token in text.tokens if token.index not in pads]


def _maps_of(
    heat: Any, tokens: list[int], pad: int | None, keep: Sequence[str], times: Sequence[float]
) -> xr.DataArray:
    (maps,) = heat.maps.numpy()
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
