"""Real scenes, noised and seen once by the denoiser: do maps of words find the true masks?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from regard.data.scenes import Scene
from regard.experiments.evaluations.subject_maps import arrays_of, model, subjects_in, word_of
from regard.experiments.evaluations.task import Chunk, Measured, unseen_scenes
from regard.experiments.evaluations.word_maps import (
    NamedSubject,
    WordWatch,
    halves,
    held_out_iou,
    readings_of,
    word_map,
)
from regard.experiments.store import Done
from regard.measures.thresholds import disc
from regard.models import TextToImage
from regard.tap import Tap
from regard.trace import Prompt
from regard.zoo import Recipe
from regard.zoo.pixels import to_tensor

SCENES = "noised scenes"

NOISED = 24
"""Scenes that are noised and measured together."""

NOISED_AT = 200
"""Timestep (of 1000) at which real scenes are noised: the outlines are still there."""


def noised(plan: Recipe, chunk: Chunk) -> Done:
    """Real scenes, noised and seen once by the denoiser: the maps of their subjects.

    Returns:
        The number of its scene for each subject; its maps, its mask, its map averaged over coarse
        layers too (``coarse``), and the map of another word (``shuffled``).
    """
    scenes, bundled = unseen_scenes(chunk, plan), model(plan.name)
    texts = [bundled.tokenize(each.caption()) for each in scenes]
    others, found, numbers, among = _other_words(plan, chunk.last), [], [], []
    coarse, shuffled = [], []
    seen = _seen_once(bundled, chunk, scenes, texts)
    for number, each, text, maps in zip(
        range(chunk.first, chunk.last), scenes, texts, seen, strict=True
    ):
        subjects = [word_of(mention) for mention in each.mentions]
        for place, mention in enumerate(each.mentions):
            found.append((text, subjects[place], maps, each.mask(mention)))
            numbers.append(number)
            among.append(subjects)
            coarse.append(word_map(text, subjects[place], maps["every"]).values)
            shuffled.append(word_map(text, others[number][place], maps["finest"]).values)
    arrays = {**arrays_of(found, among), "coarse": np.stack(coarse), "shuffled": np.stack(shuffled)}
    return Done(size=len(chunk), values=numbers, arrays=arrays)


def _other_words(plan: Recipe, scenes: int) -> list[list[str]]:
    """For each subject of each of the first scenes another word of its caption, at random."""
    rng, found = np.random.default_rng(0), []
    for each in unseen_scenes(Chunk(SCENES, 0, scenes), plan):
        words = each.caption().split()
        own = [word_of(mention) for mention in each.mentions]
        others = [[word for word in words if word != subject] for subject in own]
        found.append([several[rng.integers(len(several))] for several in others])
    return found


def _seen_once(
    model: TextToImage, chunk: Chunk, scenes: Sequence[Scene], texts: Sequence[Prompt]
) -> list[dict[str, xr.DataArray]]:
    """Encode real scenes, add noise at `NOISED_AT`, and let the denoiser see them once."""
    import torch

    pipeline, watch = model.pipeline, WordWatch(model, texts)
    captions = [text.text for text in texts]
    see = _seen_by_unet if hasattr(pipeline, "unet") else _seen_by_joint
    with torch.no_grad():
        latents = pipeline.vae.encode(to_tensor(each.image for each in scenes)).latent_dist.mode()
        latents = latents * pipeline.vae.config.scaling_factor
        see(pipeline, latents, _noise(chunk, latents.shape[1:]), captions, watch.observers)
    return watch.maps()


def _seen_by_unet(
    pipeline: Any, latents: Any, noise: Any, captions: list[str], observers: Any
) -> None:
    import torch

    words, _ = pipeline.encode_prompt(
        captions, latents.device, 1, do_classifier_free_guidance=False
    )
    times = torch.full((len(latents),), NOISED_AT)
    with Tap(pipeline.unet, observe=observers) as tap:
        tap.conditions = ("cond",)  # it is given the captions and nothing else
        pipeline.unet(pipeline.scheduler.add_noise(latents, noise, times), times, words)


def _seen_by_joint(
    pipeline: Any, latents: Any, noise: Any, captions: list[str], observers: Any
) -> None:
    import torch

    words, _, pooled, _ = pipeline.encode_prompt(
        captions, None, None, do_classifier_free_guidance=False
    )
    share = NOISED_AT / pipeline.scheduler.config.num_train_timesteps
    with Tap(pipeline.transformer, observe=observers) as tap:
        tap.conditions = ("cond",)
        pipeline.transformer(
            (1 - share) * latents + share * noise,
            encoder_hidden_states=words,
            pooled_projections=pooled,
            timestep=torch.full((len(latents),), NOISED_AT),
        )


def _noise(chunk: Chunk, shape: Sequence[int]) -> Any:
    """The noise of some scenes: that of all scenes before comes first, chunk by chunk."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for first in range(0, chunk.last, NOISED):
        noise = torch.randn((min(NOISED, chunk.last - first), *shape), generator=generator)
    return noise


def true_maps(found: Measured) -> dict[str, float]:
    """Mean IoU with true masks when real scenes are noised and seen once, beside two baselines.

    ``map_miou_all_layers`` averages the coarse layers too; ``map_miou_disc`` puts a centred disc in
    the place of every map; ``map_miou_shuffled`` takes the map of another word of the same prompt.
    Thresholds are chosen again for each, on every other scene. Intervals are over scenes.
    """
    subjects = [each for done in found.values() for each in subjects_in(done, done.values)]
    centred = [NamedSubject(each.group, {"disc": disc((16, 16))}, each.mask) for each in subjects]
    return {
        **readings_of("map_miou_true_mask", subjects),
        "map_miou_all_layers": held_out_iou(*halves(subjects, "coarse")),
        "map_miou_disc": held_out_iou(*halves(centred, "disc")),
        "map_miou_shuffled": held_out_iou(*halves(subjects, "shuffled")),
    }
