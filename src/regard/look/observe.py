"""One call: generate images, watch attention meanwhile, and keep what was seen."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Unpack, overload

from regard.arguments import verb
from regard.generation import Request, Sampling
from regard.generation.turns import in_turn
from regard.look.asked import KEEPABLE, requests_of, seeds_to_verify
from regard.look.record import AttentionRecord, Keeping
from regard.look.result import Look
from regard.look.self_attention import SelfAttention
from regard.look.several import Looks
from regard.look.verify import verify as verify_look
from regard.progress import Advance, Progress, check_progress, reporting


@overload
def look(model: Any, prompt: str, *, seed: int = 0, **options: Any) -> Look: ...
@overload
def look(
    model: Any, prompt: str | Sequence[str], *, seed: int | Sequence[int] = 0, **options: Any
) -> Looks: ...
@verb
@in_turn
def look(
    model: Any,
    prompt: str | Sequence[str],
    *,
    words: Sequence[str] | None = None,
    keep: Sequence[str] = KEEPABLE,
    self_attention: SelfAttention | Any = None,
    verify: bool | int = False,
    methods: Sequence[Any] = (),  # of Method; its package imports torch, so it is not named
    carriers: bool | None = None,
    on_step: Any = None,
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Look | Looks:
    """Generate an image and see which of its regions attend to each word, in shares of 0..1.

    The image is bit for bit the one that the pipeline makes without being watched.

    Args:
        model: A `regard.models.TextToImage`, a diffusers text-to-image pipeline with a UNet, or
            Stable Diffusion 3 or FLUX.1; or the name or folder of one.
        prompt: What to generate. What no text encoder can take of it is named in `Look.cut`.
            Several prompts, with one seed or with as many, give several looks, and so do several
            seeds of one prompt.
        words: The words to keep maps of, ``cat#2`` for the second cat; None keeps the start, all
            words and the end, and the sum of the padding. Together they make 1, or what joint
            attention leaves to the text.
        keep: Which of ``step``, ``layer`` and ``head`` to keep; the others are averaged.
        self_attention: Patches of the image whose own attention is kept too, exactly: each a row
            and column, as in ``[(0, 3)]``, or a point, as in ``[(0.5, 0.25)]``; or a
            `SelfAttention`, or a mapping of its arguments, that names layers and more. Ask
            `Trace.attention`. The text of joint attention counts as one key. None for none.
        verify: Also run the leave-one-word-out check: generate the image again without each
            word, and judge the words by that; a number says at how many seeds.
        methods: What to change meanwhile, as `regard.methods` makes it; in this order. One may
            have the image read another prompt, beside this one.
        carriers: Whether to show a word at the token after it too, see `Trace.heatmap`; None as was
            measured for this model, and at its own tokens where nothing was. The trace has both.
        on_step: Called with a `regard.generation.StepEvent` after each step of the image; it may
            raise `regard.errors.Cancelled`.
        progress: None shows a progress bar on standard error if that is a terminal, or in a
            notebook; True always shows one, False never. A function is called after each step with
            the steps done and the steps there are; the check of words counts from 0 again.
        **sampling: As in `regard.generation.Sampling`: seed, or several of them,
            num_inference_steps, guidance_scale, negative_prompt, height, width and latents; all but
            the seed are the same for all. What is left out is the model's own. Where a scheduler
            seeds its noise itself, the recipe says so as ``not_repeatable``.

    Returns:
        The image, its latents, the trace with its table of words, and the verification if asked
        for; or `Looks`, a sequence of these, where prompt or seed is a list. Several are generated
        in batches of up to 16 and their traces kept apart; under methods, or where a scheduler
        draws noise for the whole batch, one after another. In a batch latents differ from those of
        a single look by some 1e-6, for sums are added in another order there.

    Raises:
        PromptError: a prompt is empty.
        UnknownName: there is no such model, no such word in the prompt, or no such layer.
        ArgumentError: another argument lies outside what it may be, prompts and seeds cannot be
            paired, or the model is of no supported kind. All this is said before
            the model runs; in the first step is said that a layer has no such patch, or that more
            self-attention would be kept than ``max_bytes``.
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
    requests, several = requests_of(prompt, sampling, methods)
    keeping = Keeping.of(words, keep, self_attention, carriers)
    check_progress(progress)
    seeds = seeds_to_verify(verify)
    from regard.models.text_to_image import TextToImage  # torch waits until arguments are checked

    with reporting(progress, "generating") as advance:
        model = TextToImage.of(model)
        requests = [model.decide(each) for each in requests]
        if seeds:
            model.noise(requests[0].num_inference_steps).check()
        looks = list(_looks(model, requests, keeping, on_step, advance))
        if seeds:
            how: dict[str, Any] = {"seeds": seeds, "latents": requests[0].latents}
            found = [verify_look(model, each, progress=advance, **how) for each in looks]
            pairs = zip(looks, found, strict=True)
            looks = [each.with_verification(own) for each, own in pairs]
    return Looks(tuple(looks)) if several else looks[0]


def _looks(
    model: Any, requests: Sequence[Request], keeping: Keeping, on_step: Any, advance: Advance
) -> Iterator[Look]:
    """A look for each request, generated in as few batches as their records can be kept apart."""
    from regard.generation import batches, generate
    from regard.generation.events import part_of
    from regard.tap import TO_TEXT, Parity

    noise = model.noise(requests[0].num_inference_steps)
    together = noise.apart and not noise.reason and not requests[0].methods
    size = batches.ROWS if together else 1
    groups = [requests[first : first + size] for first in range(0, len(requests), size)]
    for number, group in enumerate(groups):
        started, parity = time.perf_counter(), Parity()
        records = [
            AttentionRecord(model, each, keeping, sample=row) for row, each in enumerate(group)
        ]
        observers = [(TO_TEXT, parity), *(one for each in records for one in each.observers)]
        told = part_of(advance, number, len(groups))
        made = generate(model, group, observe=observers, on_step=on_step, progress=told)
        seconds = (time.perf_counter() - started) / len(group)
        for record, one in zip(records, made, strict=True):
            trace = record.trace(one, parity=parity.result(), seconds=seconds)
            yield Look(one.image, one.latents, trace)
