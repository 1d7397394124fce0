"""What a sweep ablates: each head, layer, word or stage, one at a time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from regard.errors import ArgumentError
from regard.experiments.images import Variant
from regard.generation import Request, generate
from regard.methods import Method, Where, drop, scale_heads, scale_layers
from regard.methods.where import Steps
from regard.models.text_to_image import TextToImage
from regard.tap import AttentionCall
from regard.trace import Prompt

STAGES, KINDS = ("down", "mid", "up"), ("cross", "self", "joint")


@dataclass(frozen=True)
class Layer:
    """One attention layer, as it was seen in a first step.

    Attributes:
        path: Of its module.
        heads: Their number.
        kind: ``self``, ``cross`` or ``joint``; empty where the model is of no known family.
        stage: ``down``, ``mid`` or ``up``; empty where the model has no such parts.
        reads: Whether the image reads the text there.
    """

    path: str
    heads: int
    kind: str
    stage: str
    reads: bool

    @property
    def short(self) -> str:
        """Where it lies, by its numbers, as in ``up 1.0.0 cross``.

        Example:
            >>> path = "up_blocks.1.attentions.0.transformer_blocks.2.attn2"
            >>> Layer(path, 8, "cross", "up", True).short
            'up 1.0.2 cross'
        """
        numbers = ".".join(re.findall(r"(?<=\.)\d+(?=\.|$)", self.path))
        return " ".join(part for part in (self.stage, numbers, self.kind) if part)


def layers_of(model: TextToImage, request: Request) -> list[Layer]:
    """The attention layers of a model in running order, from one step of a generation.

    Raises:
        NothingObserved: it has none that can be seen.
        RegardError: it cannot generate what the request says.
    """
    seen: dict[str, Layer] = {}

    def note(call: AttentionCall) -> None:
        seen.setdefault(call.layer, _layer(call))

    generate(model, [replace(request, num_inference_steps=1)], observe=[note])
    # Others, such as those of a text encoder, are none of the denoiser's.
    known = {layer.path for layer in model.layers}
    return [layer for path, layer in seen.items() if path in known]


def _layer(call: AttentionCall) -> Layer:
    layout = call.layout
    kind, reads = "", False
    if layout is not None:
        kind, reads = layout.kind, layout.has(query="image", key="text")
    return Layer(call.layer, call.shape[1], kind, call.stage or "", reads)


def ablations(
    over: str, layers: Sequence[Layer], prompt: Prompt, during: Steps = None
) -> list[Variant]:
    """What is ablated for a prompt, one at a time.

    Args:
        over: ``heads``, ``layers``, ``words`` or ``stages``.
        layers: Of the model.
        prompt: Its words.
        during: In which steps; None for all.

    Raises:
        ArgumentError: the model has nothing of the kind.
    """
    return _MAKERS[over](layers, prompt, during)


def _heads(layers: Sequence[Layer], prompt: Prompt, during: Steps) -> list[Variant]:
    return [
        _without(
            f"{layer.path}:{head}",
            scale_heads(layer.path, {head: 0.0}, where=Where(steps=during)),
            {"layer": layer.path, "stage": layer.stage, "kind": layer.kind, "head": head},
            label=f"{layer.short}, head {head}",
        )
        for layer in layers
        for head in range(layer.heads)
    ]


def _layers(layers: Sequence[Layer], prompt: Prompt, during: Steps) -> list[Variant]:
    return [
        _without(
            layer.path,
            scale_layers(0.0, where=Where(steps=during, layers=layer.path)),
            {"layer": layer.path, "stage": layer.stage, "kind": layer.kind},
            label=layer.short,
        )
        for layer in layers
    ]


def _words(layers: Sequence[Layer], prompt: Prompt, during: Steps) -> list[Variant]:
    if not any(layer.reads for layer in layers):
        raise ArgumentError(
            f"sweep: in none of the {len(layers)} attention layers of this model does the image "
            f"read the text, so there are no words to leave out. Sweep heads or layers."
        )
    names = dict.fromkeys(token.name for token in prompt.tokens if token.role == "word")
    where = Where(steps=during)
    return [_without(name, drop(name, where=where), {"word": name}) for name in names]


def _stages(layers: Sequence[Layer], prompt: Prompt, during: Steps) -> list[Variant]:
    there = {(layer.stage, layer.kind) for layer in layers if layer.stage and layer.kind}
    if not there:
        raise ArgumentError(
            f"sweep: the {len(layers)} attention layers of this model do not lie down, mid or up. "
            f"Sweep layers or heads."
        )
    return [
        _without(
            f"{stage} {kind}",
            scale_layers(0.0, where=Where(steps=during, stage=stage, kind=kind)),
            {"stage": stage, "kind": kind},
        )
        for stage in STAGES
        for kind in KINDS
        if (stage, kind) in there
    ]


def _without(name: str, method: Method, told: dict[str, Any], *, label: str = "") -> Variant:
    return Variant(label or name, (method,), {"ablation": name, **told})


_MAKERS: dict[str, Callable[[Sequence[Layer], Prompt, Steps], list[Variant]]] = {
    "heads": _heads,
    "layers": _layers,
    "words": _words,
    "stages": _stages,
}
