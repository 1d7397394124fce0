"""What `openmoji` generates, and whether its words are attended to where their subjects are."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_PAIRS, HELD_OUT_SINGLES, Scene, mentions_in
from regard.experiments.evaluations.task import CardTask, Chunk, Measured, chunks, unseen_scenes
from regard.experiments.evaluations.word_maps import (
    NamedSubject,
    WordWatch,
    halves,
    held_out_iou,
    read_as,
    readings_of,
    word_map,
)
from regard.experiments.store import Done, small
from regard.generation import Request, generate
from regard.measures.thresholds import disc
from regard.models import TextToImage, load
from regard.models.detector import detect
from regard.scores.presence import misbound_colours, neglected_subjects
from regard.tap import Tap
from regard.trace import Prompt
from regard.zoo.cards import READINGS
from regard.zoo.pixels import to_tensor

STEPS, GUIDANCE = 30, 4.0

GENERATED, NOISED = 16, 24
"""Images, and noised scenes, that are measured together."""

NOISED_AT = 200
"""Timestep (of 1000) at which real scenes are noised: the outlines are still there."""

ONE, TWO, SCENES = "one subject", "two subjects", "noised scenes"

Wanted = list[tuple[str, int]]
"""Prompts with seeds."""


@cache
def model() -> TextToImage:
    """The model, opened once."""
    return TextToImage.of(load("openmoji"))


def single_prompts(seeds: int) -> Wanted:
    """For each subject its two held-out prompts, one with a background, at several seeds."""
    both = [prompt for pair in HELD_OUT_SINGLES.values() for prompt in pair]
    return [(prompt, seed) for prompt in both for seed in range(seeds)]


def wanted(what: str, *, quick: bool) -> Wanted:
    """The prompts with one subject, or with two."""
    seeds = 1 if quick else 4
    if what == ONE:
        return single_prompts(seeds)
    return [(each, seed) for each in prompts()[:: 9 if quick else 1] for seed in range(seeds)]


def _chunks(quick: bool) -> list[Chunk]:
    generated = [
        chunk
        for what in (ONE, TWO)
        for chunk in chunks(_named(what, quick), len(wanted(what, quick=quick)), GENERATED)
    ]
    return [*generated, *chunks(SCENES, 96 if quick else 600, NOISED)]


def _named(what: str, quick: bool) -> str:
    return f"{what}, quick" if quick else what


def measured(chunk: Chunk) -> Done:
    """Verdicts of the segmenter and maps of the subjects, of generated images or noised scenes."""
    if chunk.what == SCENES:
        return noised(chunk)
    what, _, quick = chunk.what.partition(", ")
    return generated(chunk.of(wanted(what, quick=bool(quick))))


def generated(wanted: Wanted) -> Done:
    """Images of prompts with seeds.

    Returns:
        A row for each image; the maps of the subjects that are in it, and their masks.
    """
    texts = [model().tokenize(prompt) for prompt, _ in wanted]
    watch = WordWatch(model(), texts)
    how = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
    requests = [Request(prompt, seed=seed, **how) for prompt, seed in wanted]
    made = [each.image for each in generate(model(), requests, observe=watch.observers)]
    seen, asked = detect(made), [prompt for prompt, _ in wanted]
    verdicts = zip(
        neglected_subjects(asked, seen).values, misbound_colours(asked, seen).values, strict=True
    )
    rows = [
        {"prompt": prompt, "seed": seed, "neglected": float(lost), "misbound": float(wrong)}
        for (prompt, seed), (lost, wrong) in zip(wanted, verdicts, strict=True)
    ]
    found = [
        (text.text, text, subject, maps, detections.subjects[subject].mask)
        for text, maps, detections in zip(texts, watch.maps(), seen, strict=True)
        for subject in subjects_of(text.text)
        if subject in detections.subjects
    ]
    return Done(
        rows,
        [f"{prompt} [{each}]" for prompt, each in zip(asked, seen, strict=True)],
        np.stack([small(each) for each in made]),
        len(wanted),
        [prompt for prompt, *_ in found],
        _arrays([each[1:] for each in found]),
    )


def subjects_of(prompt: str) -> list[str]:
    """The subjects that a prompt names, in order."""
    return [mention.subject for mention in mentions_in(prompt)]


def _arrays(
    found: Sequence[tuple[Prompt, str, Any, np.ndarray]], among: Sequence[Sequence[str]] = ()
) -> dict[str, np.ndarray]:
    """The map of each subject in each reading, and its mask."""
    if not found:
        return {}
    words = among or [subjects_of(text.text) for text, *_ in found]
    heats: dict[str, list[np.ndarray]] = {reading: [] for reading in READINGS}
    for (text, word, maps, _), subjects in zip(found, words, strict=True):
        for reading, planes in heats.items():
            planes.append(read_as(reading, text, word, maps, subjects).values)
    stacked = {reading: np.stack(planes) for reading, planes in heats.items()}
    return {**stacked, "masks": np.stack([mask for *_, mask in found])}


def noised(chunk: Chunk) -> Done:
    """Real scenes, noised and seen once by the denoiser: the maps of their subjects.

    Returns:
        The number of its scene for each subject; its maps, its mask, its map averaged over coarse
        layers too (``coarse``), and the map of another word (``shuffled``).
    """
    scenes = unseen_scenes(chunk)
    texts = [model().tokenize(each.caption()) for each in scenes]
    others, found, numbers, among = _other_words(chunk.last), [], [], []
    coarse, shuffled = [], []
    for number, each, text, maps in zip(
        range(chunk.first, chunk.last), scenes, texts, _seen_once(chunk, scenes, texts), strict=True
    ):
        subjects = [placed.mention.subject for placed in each.placed]
        for place, placed in enumerate(each.placed):
            found.append((text, subjects[place], maps, placed.mask))
            numbers.append(number)
            among.append(subjects)
            coarse.append(word_map(text, subjects[place], maps["every"]).values)
            shuffled.append(word_map(text, others[number][place], maps["finest"]).values)
    arrays = {**_arrays(found, among), "coarse": np.stack(coarse), "shuffled": np.stack(shuffled)}
    return Done(size=len(chunk), values=numbers, arrays=arrays)


def _other_words(scenes: int) -> list[list[str]]:
    """For each subject of each of the first scenes another word of its caption, drawn at random."""
    rng, found = np.random.default_rng(0), []
    for each in unseen_scenes(Chunk(SCENES, 0, scenes)):
        words = each.caption().split()
        own = [placed.mention.subject for placed in each.placed]
        others = [[word for word in words if word != subject] for subject in own]
        found.append([several[rng.integers(len(several))] for several in others])
    return found


def _seen_once(
    chunk: Chunk, scenes: Sequence[Scene], texts: Sequence[Prompt]
) -> list[dict[str, xr.DataArray]]:
    """Encode real scenes, add noise at `NOISED_AT`, and let the denoiser see them once."""
    import torch

    pipeline = model().pipeline
    watch = WordWatch(model(), texts)
    captions = [text.text for text in texts]
    ids = pipeline.tokenizer(
        captions, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        latents = pipeline.vae.encode(to_tensor(each.image for each in scenes)).latent_dist.mode()
        latents = latents * pipeline.vae.config.scaling_factor
        times = torch.full((len(scenes),), NOISED_AT)
        noisy = pipeline.scheduler.add_noise(latents, _noise(chunk, latents.shape[1:]), times)
        words = pipeline.text_encoder(ids).last_hidden_state
        with Tap(pipeline.unet, observe=watch.observers) as tap:
            tap.conditions = ("cond",)  # it is given the captions and nothing else
            pipeline.unet(noisy, times, words)
    return watch.maps()


def _noise(chunk: Chunk, shape: Sequence[int]) -> Any:
    """The noise of some scenes: that of all scenes before is drawn first, chunk by chunk."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for first in range(0, chunk.last, NOISED):
        noise = torch.randn((min(NOISED, chunk.last - first), *shape), generator=generator)
    return noise


def single_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of images that show their subject, and of coloured objects in the right colour.

    Args:
        rows: As `generated` gives them.
    """
    neglected, misbound = _columns(rows)
    coloured = np.array([_names_a_colour(each["prompt"]) for each in rows], bool)
    # A subject that is not there has no colour, so not the right one either: NaN is not 0.
    return {
        "subject_shown": _share(neglected == 0),
        "colour_right": _share(misbound[coloured] == 0),
    }


def pair_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Shares of two-subject images: both there, one neglected, colours bound right.

    ``colours_bound_right`` is taken over images that show both subjects, one of them coloured.

    Args:
        rows: As `generated` gives them.
    """
    neglected, misbound = _columns(rows)
    never = np.array([_held_out(each["prompt"]) for each in rows], bool)
    coloured = np.array([_names_a_colour(each["prompt"]) for each in rows], bool)
    return {
        "both_present": _share(neglected == 0),
        "one_neglected": _share(neglected == 1 / 2),
        "both_present_held_out_pairs": _share(neglected[never] == 0),
        "colours_bound_right": _share(misbound[coloured & (neglected == 0)] == 0),
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of neglected subjects and of misbound colours, float [image] each."""
    neglected, misbound = (
        np.array([each[name] for each in rows], float) for name in ("neglected", "misbound")
    )
    return neglected, misbound


def _names_a_colour(prompt: str) -> bool:
    return any(mention.colour for mention in mentions_in(prompt))


def _held_out(prompt: str) -> bool:
    return frozenset(subjects_of(prompt)) in HELD_OUT_PAIRS


def _share(hits: np.ndarray) -> float:
    """The share of true ones; NaN of none."""
    return float(np.mean(hits)) if len(hits) else np.nan


def generated_maps(found: Measured) -> dict[str, float]:
    """Mean IoU of subject words' maps with the segmenter's masks on generated images.

    The threshold is chosen on every other prompt and the figure taken on the rest, for each of the
    readings by itself. Intervals are over prompts.
    """
    rows = [row["prompt"] for done in found.values() for row in done.rows]
    order = {prompt: number for number, prompt in enumerate(dict.fromkeys(rows))}
    subjects = [
        each
        for done in found.values()
        for each in _subjects(done, [order[prompt] for prompt in done.values])
    ]
    if {each.group % 2 for each in subjects} != {0, 1}:
        return {"map_miou": np.nan}
    return readings_of("map_miou", subjects)


def true_maps(found: Measured) -> dict[str, float]:
    """Mean IoU with true masks when real scenes are noised and seen once, beside two baselines.

    ``map_miou_all_layers`` averages the coarse layers too; ``map_miou_disc`` puts a centred disc in
    the place of every map; ``map_miou_shuffled`` takes the map of another word of the same prompt.
    Thresholds are chosen again for each, on every other scene. Intervals are over scenes.
    """
    subjects = [each for done in found.values() for each in _subjects(done, done.values)]
    centred = [NamedSubject(each.group, {"disc": disc((16, 16))}, each.mask) for each in subjects]
    return {
        **readings_of("map_miou_true_mask", subjects),
        "map_miou_all_layers": held_out_iou(*halves(subjects, "coarse")),
        "map_miou_disc": held_out_iou(*halves(centred, "disc")),
        "map_miou_shuffled": held_out_iou(*halves(subjects, "shuffled")),
    }


def _subjects(done: Done, groups: Sequence[int]) -> list[NamedSubject]:
    """The subjects of a chunk, as its arrays hold them."""
    plane = ("y", "x")
    heats = {name: each for name, each in done.arrays.items() if name != "masks"}
    return [
        NamedSubject(
            group,
            {name: xr.DataArray(each[place], dims=plane) for name, each in heats.items()},
            xr.DataArray(done.arrays["masks"][place], dims=plane),
        )
        for place, group in enumerate(groups)
    ]


def _figures(found: Measured) -> dict[str, float]:
    def of(*names: str) -> dict[Chunk, Done]:
        return {chunk: done for chunk, done in found.items() if chunk.what.startswith(names)}

    one, two = ([row for done in of(name).values() for row in done.rows] for name in (ONE, TWO))
    return {
        **single_figures(one),
        **pair_figures(two),
        **generated_maps(of(ONE, TWO)),
        **true_maps(of(SCENES)),
        "images": float(len(one) + len(two)),
    }


OPENMOJI = CardTask(
    "generating and noising", _chunks, measured, _figures, judges=("openmoji-segmenter",)
)
