"""Which rows of a batch are conditional, for pipelines of which that is proven.

Guidance evaluates a model with the prompt and without it, and every pipeline has its own order. A
pipeline stands here only if ``tests/laws/test_conditions.py`` has shown its order: with another
prompt and the same negative prompt, exactly the rows labelled 'cond' change.
"""

from typing import Any

Label = str | None
"""'cond', 'uncond', 'perturbed' or another such part; None where it is not known."""

UNKNOWN: tuple[Label, ...] = (None,)

CFG: tuple[Label, ...] = ("uncond", "cond")
"""The usual order: the negative prompt first."""

ORDERS: dict[str, tuple[Label, ...]] = {
    "LTXPipeline": CFG,
    "StableDiffusion3Img2ImgPipeline": CFG,
    "StableDiffusion3InpaintPipeline": CFG,
    "StableDiffusion3PAGPipeline": CFG,
    "StableDiffusion3Pipeline": CFG,
    "StableDiffusionControlNetImg2ImgPipeline": CFG,
    "StableDiffusionControlNetInpaintPipeline": CFG,
    "StableDiffusionControlNetPipeline": CFG,
    "StableDiffusionImg2ImgPipeline": CFG,
    "StableDiffusionInpaintPipeline": CFG,
    "StableDiffusionInstructPix2PixPipeline": ("cond", "uncond_text", "uncond"),
    "StableDiffusionPAGImg2ImgPipeline": CFG,
    "StableDiffusionPAGInpaintPipeline": CFG,
    "StableDiffusionPAGPipeline": CFG,
    "StableDiffusionPipeline": CFG,
    "StableDiffusionXLControlNetPipeline": CFG,
    "StableDiffusionXLImg2ImgPipeline": CFG,
    "StableDiffusionXLInpaintPipeline": CFG,
    "StableDiffusionXLPAGPipeline": CFG,
    "StableDiffusionXLPipeline": CFG,
}
"""The parts of a batch while guidance is on; else the prompt is all there is."""

IN_TURN = frozenset(
    {
        "ChromaPipeline",
        "FluxControlNetPipeline",
        "FluxControlPipeline",
        "FluxFillPipeline",
        "FluxImg2ImgPipeline",
        "FluxInpaintPipeline",
        "FluxKontextPipeline",
        "FluxPipeline",
    }
)
"""These evaluate the prompt first, and then the negative prompt if there is one."""

CONTEXTS = ("cond", "uncond")
"""Names under which a pipeline itself says which of the two it evaluates."""


def parts_of(
    pipeline: Any,
    *,
    rows: int,
    turn: int,
    context: str | None,
    skips: bool,
    reads_text: bool = True,
) -> tuple[Label, ...]:
    """The labels of equal parts of a batch, ``(None,)`` where they are not known.

    Args:
        pipeline: What evaluates its model; None for a model alone.
        rows: Of the batch.
        turn: Evaluations since the scheduler's last step.
        context: What the pipeline says it evaluates, if it says so.
        skips: Whether layers of the model are left out, as skip-layer guidance does.
        reads_text: Whether the model is given a text beside the image. Which of several texts is
            the prompt, only who evaluates it knows.

    Example:
        >>> parts_of(None, rows=2, turn=0, context=None, skips=False, reads_text=False)
        ('cond',)
        >>> parts_of(None, rows=2, turn=0, context=None, skips=False)
        (None,)
        >>> parts_of(object(), rows=2, turn=0, context=None, skips=False)
        (None,)
    """
    if pipeline is None:
        return UNKNOWN if reads_text and rows > 1 else ("cond",)
    names = [kind.__name__ for kind in type(pipeline).__mro__]
    if context in CONTEXTS:
        return (context,)
    if not IN_TURN.isdisjoint(names):
        return (("cond", "uncond")[turn],) if turn < 2 else UNKNOWN
    order = next((ORDERS[name] for name in names if name in ORDERS), None)
    if order is None:
        return UNKNOWN
    if skips:
        return ("perturbed",)
    parts = order if getattr(pipeline, "do_classifier_free_guidance", False) else ("cond",)
    if getattr(pipeline, "do_perturbed_attention_guidance", False):
        parts = (*parts, "perturbed")
    if rows % len(parts):
        return UNKNOWN
    return parts
