"""What `openmoji` draws, read by the segmenter, and whether its words look at what they name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_PAIRS, HELD_OUT_SINGLES, Scene, mentions_in
from regard.experiments.evaluate import Report, unseen_scenes
from regard.measures.place import best_threshold, disc, iou
from regard.measures.presence import misbound_colours, neglected_subjects
from regard.trace import resize
from regard.zoo.judge import Seen, see

STEPS, GUIDANCE, BATCH = 30, 4.0, 24
NOISED_AT = 200
"""Timestep (of 1000) at which real scenes are noised: the outlines are still there."""


@dataclass(frozen=True)
class Drawn:
    """One generated picture, what the segmenter sees in it, and its words' maps."""

    prompt: str
    seed: int
    image: Any
    seen: Seen
    maps: xr.DataArray  # token, y, x: mean over the layers of the finest grid, heads and steps


def draw(
    pipeline: Any,
    wanted: Sequence[tuple[str, int]],
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    on_batch: Callable[[int], None] | None = None,
) -> list[Drawn]:
    """Generate many pictures in batches; each is what its prompt and seed give alone.

    Args:
        pipeline: A text-to-image pipeline of diffusers.
        wanted: Pairs of prompt and seed.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        on_batch: Called with the number of pictures made so far.

    Returns:
        One `Drawn` for each pair, in order.
    """
    import torch

    from regard.tap import HeatMap, Tap

    length = pipeline.tokenizer.model_max_length
    drawn: list[Drawn] = []
    for first in range(0, len(wanted), BATCH):
        part = wanted[first : first + BATCH]
        heat = HeatMap(range(length), keep=("layer",))
        with torch.no_grad(), Tap(pipeline, observe=[heat]):
            images = pipeline(
                [prompt for prompt, _ in part],
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed) for _, seed in part],
            ).images
        maps = finest(heat.result())
        for (prompt, seed), image, seen, grid in zip(part, images, see(images), maps, strict=True):
            drawn.append(Drawn(prompt, seed, image, seen, grid))
        if on_batch is not None:
            on_batch(len(drawn))
    return drawn


def finest(heats: Sequence[Any]) -> list[xr.DataArray]:
    """For each image the maps of all tokens, mean over heads and the layers of the finest grid.

    Coarser layers say what is there more than where: alone, those of 8x8 and 4x4 tokens of
    `openmoji` find its subjects worse than a centred disc.
    """
    grid = max(heat.grid for heat in heats)
    return every([heat for heat in heats if heat.grid == grid])


def every(heats: Sequence[Any]) -> list[xr.DataArray]:
    """For each image the maps of all tokens, mean over heads and all layers on the finest grid."""
    grid = max(heat.grid for heat in heats)
    dims = ("sample", "token", "y", "x")
    layers = [xr.DataArray(heat.maps[:, 0, 0].numpy(), dims=dims) for heat in heats]
    mean = sum(resize(layer, grid) for layer in layers) / len(layers)
    return list(mean.assign_attrs(units="attention weight"))


def openmoji(*, quick: bool, report: Report) -> dict[str, float]:
    """Subjects and colours of one- and two-subject prompts, and the overlap of maps with masks."""
    from regard.zoo import load

    pipeline = load("openmoji")
    singles = single_prompts(1 if quick else 4)
    pairs = [
        (p, seed) for p in prompts()[:: 9 if quick else 1] for seed in range(1 if quick else 4)
    ]
    report(f"drawing {len(singles)} pictures of one subject")
    one = draw(pipeline, singles, on_batch=lambda n: report(f"{n} of {len(singles)}"))
    report(f"drawing {len(pairs)} pictures of two subjects")
    two = draw(pipeline, pairs, on_batch=lambda n: report(f"{n} of {len(pairs)}"))
    figures = {**single_figures(one), **pair_figures(two)}
    report("comparing maps with masks")
    figures |= generated_maps(pipeline, one + two)
    figures |= true_maps(pipeline, unseen_scenes(96 if quick else 600))
    return {**figures, "images": float(len(one) + len(two))}


def single_prompts(seeds: int) -> list[tuple[str, int]]:
    """For each subject its two held-out prompts, one with a background, at several seeds."""
    both = [prompt for pair in HELD_OUT_SINGLES.values() for prompt in pair]
    return [(prompt, seed) for prompt in both for seed in range(seeds)]


def single_figures(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Share of pictures that show their subject, and of coloured objects in the right colour."""
    neglected, misbound = _verdicts(drawn)
    coloured = np.array([_names_a_colour(each.prompt) for each in drawn], bool)
    # A subject that is not there has no colour, so not the right one either: NaN is not 0.
    return {
        "subject_shown": _share(neglected == 0),
        "colour_right": _share(misbound[coloured] == 0),
    }


def _verdicts(drawn: Sequence[Drawn]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of neglected subjects and of misbound colours, float [picture] each."""
    prompts, seen = [each.prompt for each in drawn], [each.seen for each in drawn]
    return neglected_subjects(prompts, seen).values, misbound_colours(prompts, seen).values


def _names_a_colour(prompt: str) -> bool:
    return any(mention.colour for mention in mentions_in(prompt))


def _share(hits: np.ndarray) -> float:
    """The share of true ones; NaN of none."""
    return float(np.mean(hits)) if len(hits) else np.nan


def pair_figures(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Shares of two-subject pictures: both there, one neglected, colours bound right.

    ``colours_bound_right`` is taken over pictures that show both subjects, one of them coloured.
    """
    neglected, misbound = _verdicts(drawn)
    never = np.array([_held_out(each.prompt) for each in drawn], bool)
    coloured = np.array([_names_a_colour(each.prompt) for each in drawn], bool)
    return {
        "both_present": _share(neglected == 0),
        "one_neglected": _share(neglected == 1 / 2),
        "both_present_held_out_pairs": _share(neglected[never] == 0),
        "colours_bound_right": _share(misbound[coloured & (neglected == 0)] == 0),
    }


def _held_out(prompt: str) -> bool:
    return frozenset(m.subject for m in mentions_in(prompt)) in HELD_OUT_PAIRS


# ---------------------------------------------------------------- maps against masks


def word_map(pipeline: Any, prompt: str, word: str, maps: xr.DataArray) -> xr.DataArray:
    """The map of one word, where it first stands alone: the sum over its tokens."""
    # Whole words: 'on' is not the end of 'lion', nor 'bow' the beginning of 'bowl'.
    found = re.search(rf"\b{re.escape(word)}\b", prompt)
    assert found is not None
    start = found.start()
    offsets = pipeline.tokenizer(
        prompt, padding="max_length", truncation=True, return_offsets_mapping=True
    ).offset_mapping
    tokens = [i for i, (a, b) in enumerate(offsets) if a < start + len(word) and b > max(a, start)]
    return maps.isel(token=tokens).sum("token", keep_attrs=True)


def generated_maps(pipeline: Any, drawn: Sequence[Drawn]) -> dict[str, float]:
    """Mean IoU of subject words' maps with the segmenter's masks on generated pictures.

    The threshold is chosen on every other prompt and the figure taken on the rest.
    """
    halves: tuple[list[Pair], list[Pair]] = ([], [])
    order = {prompt: i for i, prompt in enumerate(dict.fromkeys(d.prompt for d in drawn))}
    for each in drawn:
        for mention in mentions_in(each.prompt):
            sighting = each.seen.subjects.get(mention.subject)
            if sighting is not None:
                heat = word_map(pipeline, each.prompt, mention.subject, each.maps)
                halves[order[each.prompt] % 2].append((heat, _mask(sighting.mask)))
    return {"map_miou": held_out_iou(*halves)} if all(halves) else {"map_miou": np.nan}


Pair = tuple[xr.DataArray, xr.DataArray]


def _mask(mask: np.ndarray) -> xr.DataArray:
    return xr.DataArray(mask, dims=("y", "x"))


def held_out_iou(chosen_on: Sequence[Pair], told_of: Sequence[Pair]) -> float:
    """Mean IoU on one set of maps and masks at the one threshold that is best on another."""
    limit = best_threshold([h for h, _ in chosen_on], [m for _, m in chosen_on])
    return float(np.nanmean([iou(h, m, threshold=limit).item() for h, m in told_of]))


def true_maps(pipeline: Any, scenes: Sequence[Scene]) -> dict[str, float]:
    """Mean IoU with true masks when real scenes are noised and seen once, beside two baselines.

    ``map_miou_all_layers`` averages the coarse layers too; ``map_miou_disc`` puts a centred disc in
    the place of every map; ``map_miou_shuffled`` takes the map of another word of the same prompt.
    Thresholds are chosen anew for each, on every other scene.
    """
    right: tuple[list[Pair], list[Pair]] = ([], [])
    coarse: tuple[list[Pair], list[Pair]] = ([], [])
    centre: tuple[list[Pair], list[Pair]] = ([], [])
    shuffled: tuple[list[Pair], list[Pair]] = ([], [])
    rng = np.random.default_rng(0)
    seen = seen_once(pipeline, scenes)
    for number, (each, (maps, averaged)) in enumerate(zip(scenes, seen, strict=True)):
        text = each.caption()
        for placed in each.placed:
            subject, mask, half = placed.mention.subject, _mask(placed.mask), number % 2
            others = [word for word in text.split() if word != subject]
            other = others[rng.integers(len(others))]
            right[half].append((word_map(pipeline, text, subject, maps), mask))
            coarse[half].append((word_map(pipeline, text, subject, averaged), mask))
            centre[half].append((disc((16, 16)), mask))
            shuffled[half].append((word_map(pipeline, text, other, maps), mask))
    return {
        "map_miou_true_mask": held_out_iou(*right),
        "map_miou_all_layers": held_out_iou(*coarse),
        "map_miou_disc": held_out_iou(*centre),
        "map_miou_shuffled": held_out_iou(*shuffled),
    }


def seen_once(pipeline: Any, scenes: Sequence[Scene]) -> list[tuple[xr.DataArray, xr.DataArray]]:
    """Encode real scenes, add noise at `NOISED_AT`, and let the denoiser look once.

    Returns:
        For each scene the maps of all tokens (token, y, x), as `finest` and `every` take them.
    """
    import torch

    from regard.tap import HeatMap, Tap
    from regard.zoo.pixels import to_tensor

    maps: list[tuple[xr.DataArray, xr.DataArray]] = []
    generator = torch.Generator().manual_seed(0)
    length, vae = pipeline.tokenizer.model_max_length, pipeline.vae
    for first in range(0, len(scenes), BATCH):
        part = scenes[first : first + BATCH]
        heat = HeatMap(range(length), keep=("layer",))
        with torch.no_grad():
            latents = vae.encode(to_tensor(s.image for s in part)).latent_dist.mode()
            latents = latents * vae.config.scaling_factor
            noise = torch.randn(latents.shape, generator=generator)
            times = torch.full((len(part),), NOISED_AT)
            noisy = pipeline.scheduler.add_noise(latents, noise, times)
            ids = pipeline.tokenizer(
                [s.caption() for s in part],
                padding="max_length",
                truncation=True,
                return_tensors="pt",
            ).input_ids
            words = pipeline.text_encoder(ids).last_hidden_state
            with Tap(pipeline.unet, observe=[heat]):
                pipeline.unet(noisy, times, words)
        heats = heat.result()
        maps += zip(finest(heats), every(heats), strict=True)
    return maps
