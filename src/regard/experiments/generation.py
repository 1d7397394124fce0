"""What `openmoji` draws, read by the segmenter, and whether its words look at what they name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from regard.data.prompts import prompts
from regard.data.scenes import HELD_OUT_PAIRS, HELD_OUT_SINGLES, Scene, mentions_in
from regard.experiments.evaluate import Report, unseen_scenes
from regard.measures.place import best_threshold, disc, iou
from regard.models.detector import Detections, detect
from regard.scores.presence import misbound_colours, neglected_subjects
from regard.stats.means import bootstrap, paired
from regard.trace import resize
from regard.zoo.cards import READINGS, reading_key

STEPS, GUIDANCE, BATCH = 30, 4.0, 24
NOISED_AT = 200
"""Timestep (of 1000) at which real scenes are noised: the outlines are still there."""


Maps = Mapping[str, xr.DataArray]
"""Maps of all tokens over token, y and x, as `watched` names them."""


@dataclass(frozen=True)
class Drawn:
    """One generated image, what the segmenter sees in it, and its words' maps."""

    prompt: str
    seed: int
    image: Any
    seen: Detections
    maps: xr.DataArray  # token, y, x: mean over the layers of the finest grid, heads and steps
    others: Maps = field(default_factory=dict)


def draw(
    pipeline: Any,
    wanted: Sequence[tuple[str, int]],
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    on_batch: Callable[[int], None] | None = None,
) -> list[Drawn]:
    """Generate many images in batches; each is what its prompt and seed give alone.

    Args:
        pipeline: A text-to-image pipeline of diffusers.
        wanted: Pairs of prompt and seed.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        on_batch: Called with the number of images made so far.

    Returns:
        One `Drawn` for each pair, in order.
    """
    import torch

    drawn: list[Drawn] = []
    for first in range(0, len(wanted), BATCH):
        part = wanted[first : first + BATCH]
        watch = Watch(pipeline, [prompt for prompt, _ in part])
        with torch.no_grad(), watch.tap(pipeline):
            images = pipeline(
                [prompt for prompt, _ in part],
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed) for _, seed in part],
            ).images
        found = zip(part, images, detect(images), watch.maps(), strict=True)
        for (prompt, seed), image, seen, maps in found:
            drawn.append(Drawn(prompt, seed, image, seen, maps["finest"], maps))
        if on_batch is not None:
            on_batch(len(drawn))
    return drawn


class Watch:
    """Everything about words that is looked at in one batch: attention, outputs, propagation."""

    def __init__(self, pipeline: Any, prompts: Sequence[str]) -> None:
        from regard.explain import Propagation
        from regard.models import TextToImage
        from regard.tap import HeatMap, OutputMap

        tokens = range(pipeline.tokenizer.model_max_length)
        self._told = TextToImage.of(pipeline).reading
        # Outputs are compared with the start token, which stands for nothing, and with all words.
        among = [range(last_word(pipeline, prompt) + 1) for prompt in prompts]
        self._heat = HeatMap(tokens, keep=("layer",))
        self._outputs = {
            "dot": OutputMap(tokens, among=among, sharpness=None, keep=("layer",)),
            "output": OutputMap(tokens, among=among, keep=("layer",)),
        }
        self._carried = Propagation(tokens)

    def tap(self, model: Any) -> Any:
        """A tap for the pipeline or its denoiser."""
        from regard.tap import TO_TEXT, Select, Tap

        layers = Select(layers=self._told.get("layers"), key="text")
        through = Select(layers=self._told.get("through"), kind="self")
        shown = [(layers, each) for each in (*self._outputs.values(), self._carried)]
        return Tap(model, observe=[(TO_TEXT, self._heat), *shown, (through, self._carried)])

    def maps(self) -> list[dict[str, xr.DataArray]]:
        """For each image all maps: ``every`` layer, the ``finest``, those ``shown``, and others."""
        from regard.tap import has_names

        heats, names = self._heat.result(), self._told.get("layers")
        shown = [
            heat
            for heat in heats
            if names is None or any(has_names(heat.layer, name) for name in names)
        ]
        steps = list(self._carried.result().values())
        columns = {
            "finest": finest(heats),
            "every": every(heats),
            "shown": every(shown),
            **{name: every(each.result()) for name, each in self._outputs.items()},
            "carried": [_tokens_of(each) for each in (sum(steps) / len(steps)).numpy()],
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _tokens_of(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("token", "y", "x"), attrs={"units": "attention weight"})


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
    from regard.models import load

    pipeline = load("openmoji").pipeline
    singles = single_prompts(1 if quick else 4)
    pairs = [
        (p, seed) for p in prompts()[:: 9 if quick else 1] for seed in range(1 if quick else 4)
    ]
    report(f"drawing {len(singles)} images of one subject")
    one = draw(pipeline, singles, on_batch=lambda n: report(f"{n} of {len(singles)}"))
    report(f"drawing {len(pairs)} images of two subjects")
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
    """Share of images that show their subject, and of coloured objects in the right colour."""
    neglected, misbound = _verdicts(drawn)
    coloured = np.array([_names_a_colour(each.prompt) for each in drawn], bool)
    # A subject that is not there has no colour, so not the right one either: NaN is not 0.
    return {
        "subject_shown": _share(neglected == 0),
        "colour_right": _share(misbound[coloured] == 0),
    }


def _verdicts(drawn: Sequence[Drawn]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of neglected subjects and of misbound colours, float [image] each."""
    prompts, seen = [each.prompt for each in drawn], [each.seen for each in drawn]
    return neglected_subjects(prompts, seen).values, misbound_colours(prompts, seen).values


def _names_a_colour(prompt: str) -> bool:
    return any(mention.colour for mention in mentions_in(prompt))


def _share(hits: np.ndarray) -> float:
    """The share of true ones; NaN of none."""
    return float(np.mean(hits)) if len(hits) else np.nan


def pair_figures(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Shares of two-subject pictures: both there, one neglected, colours bound right.

    ``colours_bound_right`` is taken over images that show both subjects, one of them coloured.
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


def word_map(
    pipeline: Any,
    prompt: str,
    word: str,
    maps: xr.DataArray,
    *,
    asked: Sequence[str] | None = None,
) -> xr.DataArray:
    """The map of one word, where it first stands alone: the sum over its tokens.

    Args:
        pipeline: Whose tokenizer it is.
        prompt: What was read.
        word: A word of it.
        maps: Over token, y and x.
        asked: Words that are asked for; the token after the word then counts too, unless it is
            one of theirs or none of the prompt. None counts the word's own alone.
    """
    tokens = spelling(pipeline, prompt, word)
    if asked is not None:
        taken = {at for each in asked for at in spelling(pipeline, prompt, each)}
        following = tokens[-1] + 1
        if following <= last_word(pipeline, prompt) and following not in taken:
            tokens = [*tokens, following]
    return maps.isel(token=tokens).sum("token", keep_attrs=True)


def spelling(pipeline: Any, prompt: str, word: str) -> list[int]:
    """The indices of the tokens of a word, where it first stands alone."""
    # Whole words: 'on' is not the end of 'lion', nor 'bow' the beginning of 'bowl'.
    found = re.search(rf"\b{re.escape(word)}\b", prompt)
    assert found is not None
    start = found.start()
    offsets = _offsets(pipeline, prompt)
    return [i for i, (a, b) in enumerate(offsets) if a < start + len(word) and b > max(a, start)]


def last_word(pipeline: Any, prompt: str) -> int:
    """The index of the last token that spells part of a prompt."""
    return max(i for i, (a, b) in enumerate(_offsets(pipeline, prompt)) if b > a)


def _offsets(pipeline: Any, prompt: str) -> Sequence[tuple[int, int]]:
    told = pipeline.tokenizer(
        prompt, padding="max_length", truncation=True, return_offsets_mapping=True
    )
    return list(told.offset_mapping)


def read_as(
    reading: str, pipeline: Any, prompt: str, word: str, maps: Maps, asked: Sequence[str]
) -> xr.DataArray:
    """The map of one word in one of the ways that `regard.zoo.cards.READINGS` lists."""
    if reading == "own":
        return word_map(pipeline, prompt, word, maps["finest"])
    if reading == "regions":
        total = maps["shown"] + maps["carried"]
        words = total.isel(token=slice(1, last_word(pipeline, prompt) + 1)).sum("token")
        shares = total / words
        return word_map(pipeline, prompt, word, shares, asked=asked)
    name = {"carriers": "finest", "propagated": "carried"}.get(reading, reading)
    return word_map(pipeline, prompt, word, maps[name], asked=asked)


def generated_maps(pipeline: Any, drawn: Sequence[Drawn]) -> dict[str, float]:
    """Mean IoU of subject words' maps with the segmenter's masks on generated images.

    The threshold is chosen on every other prompt and the figure taken on the rest, for each of the
    readings by itself. Intervals are over prompts.
    """
    order = {prompt: i for i, prompt in enumerate(dict.fromkeys(d.prompt for d in drawn))}
    asked: list[Asked] = []
    for each in drawn:
        subjects = [mention.subject for mention in mentions_in(each.prompt)]
        for subject in subjects:
            sighting = each.seen.subjects.get(subject)
            if sighting is not None:
                maps = each.others or {"finest": each.maps}
                mask = _mask(sighting.mask)
                asked.append(Asked(order[each.prompt], each.prompt, subject, subjects, maps, mask))
    halves = {each.group % 2 for each in asked}
    if halves != {0, 1}:
        return {"map_miou": np.nan}
    return readings_of(pipeline, "map_miou", asked)


Pair = tuple[xr.DataArray, xr.DataArray]


@dataclass(frozen=True)
class Asked:
    """One subject of one image: how to read its map, and the mask that it should find.

    ``group`` numbers the scenes or prompts; even ones choose, odd ones are told of.
    """

    group: int
    prompt: str
    word: str
    subjects: Sequence[str]
    maps: Maps
    mask: xr.DataArray


def readings_of(pipeline: Any, figure: str, asked: Sequence[Asked]) -> dict[str, float]:
    """Each reading's mean IoU with interval, and how far it lies above that of own tokens.

    The keys of the first reading are those of ``figure``, the others carry their names; ``_low``
    and ``_high`` are the ends of the 95 % interval, ``_gain``, ``_gain_low`` and ``_gain_high`` the
    paired difference.
    """
    groups = [each.group for each in asked if each.group % 2]
    figures: dict[str, float] = {}
    own: Any = None
    for reading in READINGS:
        if reading not in ("own", "carriers") and "shown" not in asked[0].maps:
            continue
        halves: tuple[list[Pair], list[Pair]] = ([], [])
        for each in asked:
            heat = read_as(reading, pipeline, each.prompt, each.word, each.maps, each.subjects)
            halves[each.group % 2].append((heat, each.mask))
        values, key = held_out_ious(*halves), reading_key(figure, reading)
        own = values if own is None else own
        figures |= _interval(key, bootstrap(values, clusters=groups))
        if reading != "own":
            gain = paired(own, values, clusters=groups, repeats=2000)
            figures |= _interval(f"{key}_gain", gain.interval)
    return figures


def _interval(key: str, found: Any) -> dict[str, float]:
    return {key: found.mean, f"{key}_low": found.low, f"{key}_high": found.high}


def _mask(mask: np.ndarray) -> xr.DataArray:
    return xr.DataArray(mask, dims=("y", "x"))


def held_out_iou(chosen_on: Sequence[Pair], told_of: Sequence[Pair]) -> float:
    """Mean IoU on one set of maps and masks at the one threshold that is best on another."""
    return float(np.nanmean(held_out_ious(chosen_on, told_of)))


def held_out_ious(chosen_on: Sequence[Pair], told_of: Sequence[Pair]) -> list[float]:
    """The IoU of each map of one set at the one threshold that is best on another."""
    limit = best_threshold([h for h, _ in chosen_on], [m for _, m in chosen_on])
    return [iou(h, m, threshold=limit).item() for h, m in told_of]


def true_maps(pipeline: Any, scenes: Sequence[Scene]) -> dict[str, float]:
    """Mean IoU with true masks when real scenes are noised and seen once, beside two baselines.

    ``map_miou_all_layers`` averages the coarse layers too; ``map_miou_disc`` puts a centred disc in
    the place of every map; ``map_miou_shuffled`` takes the map of another word of the same prompt.
    Thresholds are chosen anew for each, on every other scene. Intervals are over scenes.
    """
    coarse: tuple[list[Pair], list[Pair]] = ([], [])
    centre: tuple[list[Pair], list[Pair]] = ([], [])
    shuffled: tuple[list[Pair], list[Pair]] = ([], [])
    asked: list[Asked] = []
    rng = np.random.default_rng(0)
    seen = seen_once(pipeline, scenes)
    for number, (each, maps) in enumerate(zip(scenes, seen, strict=True)):
        text = each.caption()
        subjects = [placed.mention.subject for placed in each.placed]
        for placed in each.placed:
            subject, mask, half = placed.mention.subject, _mask(placed.mask), number % 2
            others = [word for word in text.split() if word != subject]
            other = others[rng.integers(len(others))]
            asked.append(Asked(number, text, subject, subjects, maps, mask))
            coarse[half].append((word_map(pipeline, text, subject, maps["every"]), mask))
            centre[half].append((disc((16, 16)), mask))
            shuffled[half].append((word_map(pipeline, text, other, maps["finest"]), mask))
    return {
        **readings_of(pipeline, "map_miou_true_mask", asked),
        "map_miou_all_layers": held_out_iou(*coarse),
        "map_miou_disc": held_out_iou(*centre),
        "map_miou_shuffled": held_out_iou(*shuffled),
    }


def seen_once(pipeline: Any, scenes: Sequence[Scene]) -> list[dict[str, xr.DataArray]]:
    """Encode real scenes, add noise at `NOISED_AT`, and let the denoiser look once.

    Returns:
        For each scene the maps of all tokens (token, y, x), as `Watch` names them.
    """
    import torch

    from regard.zoo.pixels import to_tensor

    maps: list[dict[str, xr.DataArray]] = []
    generator = torch.Generator().manual_seed(0)
    vae = pipeline.vae
    for first in range(0, len(scenes), BATCH):
        part = scenes[first : first + BATCH]
        watch = Watch(pipeline, [each.caption() for each in part])
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
            with watch.tap(pipeline.unet) as tap:
                tap.conditions = ("cond",)  # it is given the captions and nothing else
                pipeline.unet(noisy, times, words)
        maps += watch.maps()
    return maps
